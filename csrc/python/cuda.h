#ifndef MASKLSTM_CSRC_PYTHON_CUDA_H_
#define MASKLSTM_CSRC_PYTHON_CUDA_H_

#include <pybind11/pybind11.h>

namespace masklstm {

// Adds the functions for arrays in a GPU's memory; where CUDA was left out, they say so.
void DefineCuda(pybind11::module_& module);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_PYTHON_CUDA_H_
