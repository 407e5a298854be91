#ifndef MASKLSTM_CSRC_PYTHON_RECURRENT_H_
#define MASKLSTM_CSRC_PYTHON_RECURRENT_H_

#include <pybind11/pybind11.h>

namespace masklstm {

// Adds the functions of recurrent layers.
void DefineRecurrent(pybind11::module_& module);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_PYTHON_RECURRENT_H_
