#include "csrc/python/numpy_arrays.h"

#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace masklstm {

namespace py = pybind11;

ArrayView ViewOf(const py::array& array, const char* name) {
  const std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
  // The type as text, since bfloat16 is no type of NumPy's own. It marks foreign byte order, too.
  const ArrayView view{array.data(), py::str(array.dtype()), shape};
  if (py::hasattr(array, "mask")) {
    throw py::value_error("Expected '" + std::string(name) +
                          "' to be a plain array, since NumPy's masks would be lost. Fill the gaps "
                          "of labels with NaN: filled(numpy.nan). Received: a masked array");
  }
  if ((array.flags() & py::array::c_style) == 0) {
    ThrowNotDense(view, name, array.attr("strides"),
                  "make a dense copy with numpy.ascontiguousarray");
  }
  return view;
}

std::optional<ArrayView> ViewOf(const std::optional<py::array>& array, const char* name) {
  if (!array) return std::nullopt;
  return ViewOf(*array, name);
}

ParallelFor ThreadsOf(int threads) {
  if (threads < 1) {
    throw py::value_error("Invalid value for argument 'threads'. Expected at least 1. Received: " +
                          std::to_string(threads));
  }
  return [threads](int64_t total, int64_t, const std::function<void(int64_t, int64_t)>& work) {
    const int64_t parts = std::min<int64_t>(threads, total);
    std::vector<std::thread> others;
    int64_t started = 1;  // the calling thread has the first part
    try {
      for (; started < parts; ++started) {
        others.emplace_back(work, total * started / parts, total * (started + 1) / parts);
      }
    } catch (const std::exception&) {
      // No thread or no memory for one more: the calling thread does the rest.
      work(total * started / parts, total);
    }
    work(0, total / parts);
    for (std::thread& thread : others) thread.join();
  };
}

}  // namespace masklstm
