// NumPy's arrays, and threads, as the kernels take them.
#ifndef MASKLSTM_CSRC_PYTHON_NUMPY_ARRAYS_H_
#define MASKLSTM_CSRC_PYTHON_NUMPY_ARRAYS_H_

#include <pybind11/numpy.h>

#include <optional>

#include "csrc/cpu/dispatch.h"
#include "csrc/python/arguments.h"

namespace masklstm {

// A dense, row-major array; an error for others: a silent copy would hide its cost.
ArrayView ViewOf(const pybind11::array& array, const char* name);
std::optional<ArrayView> ViewOf(const std::optional<pybind11::array>& array, const char* name);

ParallelFor ThreadsOf(int threads);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_PYTHON_NUMPY_ARRAYS_H_
