// The kernels on arrays in a GPU's memory: whatever has `__cuda_array_interface__`, such as arrays
// of CuPy and Numba and tensors of PyTorch.
#include "csrc/python/cuda.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "csrc/python/arguments.h"

#ifdef MASKLSTM_HAS_CUDA
#include "csrc/cuda/dispatch.h"
#include "csrc/cuda/memory.h"
#include "csrc/cuda/status.h"
#endif

namespace masklstm {
namespace {

constexpr char kInterface[] = "__cuda_array_interface__";

// Errors other than that there is no such attribute are the caller's to see: PyTorch has one for
// tensors that need a gradient.
bool HasInterface(pybind11::handle object) {
  const auto interface = pybind11::reinterpret_steal<pybind11::object>(
      PyObject_GetAttrString(object.ptr(), kInterface));
  if (interface) return true;
  if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw pybind11::error_already_set();
  PyErr_Clear();
  return false;
}

// What only arrays in a GPU's memory can be converted to, so that all others go to NumPy's
// overload.
struct DeviceObject {
  pybind11::object object;
};

}  // namespace
}  // namespace masklstm

template <>
struct pybind11::detail::type_caster<masklstm::DeviceObject> {
  PYBIND11_TYPE_CASTER(masklstm::DeviceObject, const_name("DeviceArray"));

  bool load(handle source, bool) {
    if (!masklstm::HasInterface(source)) return false;
    value.object = reinterpret_borrow<object>(source);
    return true;
  }
};

namespace masklstm {
namespace {

namespace py = pybind11;

#ifdef MASKLSTM_HAS_CUDA

std::string TypeStringOf(const std::string& dtype) {
  for (const DataTypeName& type : kDataTypes) {
    if (dtype == type.name) return type.typestr;
  }
  throw py::type_error("Expected a boolean, integer or floating-point dtype. Received: " + dtype);
}

// The type's name; empty if there is none.
std::string NameOf(const std::string& type_string) {
  for (const DataTypeName& type : kDataTypes) {
    // The byte order of a type without one is written in several ways.
    const std::string text = type.typestr;
    if (type_string == text || type_string == "|" + text.substr(1)) return type.name;
  }
  return "";
}

// An array that lies in a GPU's memory; what the functions here return.
class DeviceArray {
 public:
  DeviceArray(std::string dtype, std::vector<int64_t> shape, int64_t stream)
      : view_{nullptr, std::move(dtype), std::move(shape)}, stream_(stream) {
    memory_ = std::make_unique<CudaMemory>(view_.bytes(), Stream());
    view_.data = memory_->data();
  }

  ~DeviceArray() {
    // The memory goes back in the order of its own stream: work on others must be done by then.
    try {
      for (const int64_t stream : other_streams_) WaitForCuda(reinterpret_cast<void*>(stream));
    } catch (const std::runtime_error&) {  // the stream is gone, and its work with it
    }
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  void UsedOn(int64_t stream) {
    if (stream != stream_) other_streams_.insert(stream);
  }

  void* data() const { return memory_->data(); }
  void* Stream() const { return reinterpret_cast<void*>(stream_); }
  const ArrayView& view() const { return view_; }

  py::tuple Shape() const { return py::tuple(py::cast(view_.shape)); }

  py::dict Interface() const {
    py::dict interface;
    interface["shape"] = Shape();
    interface["typestr"] = TypeStringOf(view_.dtype);
    interface["data"] = py::make_tuple(reinterpret_cast<uintptr_t>(data()), false);
    interface["strides"] = py::none();
    interface["stream"] = stream_ == 0 ? 1 : stream_;  // 1 stands for the default stream
    interface["version"] = 3;
    return interface;
  }

  // Waits for the stream.
  py::array Numpy() const {
    const py::dtype dtype =
        view_.dtype == "bfloat16"
            ? py::dtype::from_args(py::module_::import("ml_dtypes").attr("bfloat16"))
            : py::dtype(view_.dtype);
    py::array array(dtype, std::vector<py::ssize_t>(view_.shape.begin(), view_.shape.end()));
    void* const target = array.mutable_data();
    const py::gil_scoped_release release;
    CopyToHost(data(), view_.bytes(), Stream(), target);
    return array;
  }

  std::string Text() const {
    return "DeviceArray of shape " + view_.ShapeText() + ", " + view_.dtype;
  }

 private:
  ArrayView view_;
  int64_t stream_;
  std::set<int64_t> other_streams_;
  std::unique_ptr<CudaMemory> memory_;
};

// Python's older protocols would make an empty object of pybind11's base class, which aborts.
[[noreturn]] py::object RefuseToPickle(const DeviceArray&, const py::args&) {
  throw py::type_error(
      "A DeviceArray cannot be copied or pickled; its numpy() can. Received: a DeviceArray");
}

constexpr char kNoNew[] =
    "A DeviceArray has memory from the start: it comes from to_device() and from the functions "
    "that "
    "compute one. Received: a call that would make an empty one";

[[noreturn]] py::object RefuseNew(const py::args&, const py::kwargs&) {
  throw py::type_error(kNoNew);
}

// A method as a function of a reference, for which pybind11 refuses None as self.
template <auto kMethod>
auto OfArray() {
  return [](const DeviceArray& array) { return (array.*kMethod)(); };
}

// What an object says of its memory. It may say anything: each entry is checked before it is used,
// and errors name the argument.
class Interface {
 public:
  Interface(const py::object& object, const char* name) : name_(name) {
    if (!HasInterface(object)) {
      throw py::type_error("Expected '" + name_ +
                           "' to be in a GPU's memory, as y_true is: an object with " + kInterface +
                           ". Received: " + std::string(py::str(py::type::of(object))));
    }
    const py::object interface = object.attr(kInterface);
    if (!py::isinstance<py::dict>(interface)) {
      throw py::type_error("Expected " + std::string(kInterface) + " of '" + name_ +
                           "' to be a dict. Received: " + Repr(interface));
    }
    entries_ = interface;
  }

  py::object Get(const char* key) const {
    return entries_.contains(key) ? py::object(entries_[key]) : py::none();
  }

  std::vector<int64_t> Shape() const {
    const std::vector<int64_t> shape = Integers("shape", "a tuple of lengths");
    int64_t size = 16;  // bytes of one element, at most
    for (const int64_t length : shape) {
      if (length < 0 || __builtin_mul_overflow(size, std::max<int64_t>(length, 1), &size)) {
        Refuse("shape", "a tuple of lengths");
      }
    }
    return shape;
  }

  std::vector<int64_t> Strides(size_t rank) const {
    const char* const expected = "None, or as many numbers of bytes as the shape has axes";
    const std::vector<int64_t> strides = Integers("strides", expected);
    if (strides.size() != rank) Refuse("strides", expected);
    return strides;
  }

  std::string Dtype() const {
    const py::object text = Get("typestr");
    const std::string dtype = py::isinstance<py::str>(text) ? NameOf(py::str(text)) : "";
    std::string known;
    for (const DataTypeName& type : kDataTypes) {
      known += (known.empty() ? "" : ", ") + std::string(type.typestr);
    }
    if (dtype.empty()) Refuse("typestr", "one of " + known);
    return dtype;
  }

  // The address, and whether it may only be read.
  std::pair<uintptr_t, bool> Data(bool is_empty) const {
    const std::string expected = "a tuple of an address and whether it is read-only";
    const py::object data = Get("data");
    try {
      const auto entries = data.cast<std::pair<uintptr_t, bool>>();
      if (entries.first != 0 || is_empty) return entries;
    } catch (const py::cast_error&) {
    }
    Refuse("data", expected);
  }

  std::optional<int64_t> Stream() const {
    const py::object stream = Get("stream");
    if (stream.is_none()) return std::nullopt;
    try {
      return stream.cast<int64_t>();
    } catch (const py::cast_error&) {
      Refuse("stream", "a CUDA stream as a number");
    }
  }

 private:
  std::vector<int64_t> Integers(const char* key, const std::string& expected) const {
    const py::object tuple = Get(key);
    try {
      if (py::isinstance<py::tuple>(tuple)) return tuple.cast<std::vector<int64_t>>();
    } catch (const py::cast_error&) {
    }
    Refuse(key, expected);
  }

  [[noreturn]] void Refuse(const char* key, const std::string& expected) const {
    throw py::value_error("Expected " + std::string(kInterface) + "['" + key + "'] of '" + name_ +
                          "' to be " + expected +
                          ". Received: " + (entries_.contains(key) ? Repr(Get(key)) : "nothing"));
  }

  std::string name_;
  py::dict entries_;
};

// A dense array with __cuda_array_interface__, ready for work on `stream`.
ArrayView ViewOf(const py::object& object, const char* name, int64_t stream, bool* is_writeable) {
  const Interface interface(object, name);
  ArrayView view{nullptr, interface.Dtype(), interface.Shape()};
  const auto [address, is_read_only] = interface.Data(view.size() == 0);
  view.data = reinterpret_cast<const void*>(address);
  if (is_writeable != nullptr) *is_writeable = !is_read_only;
  RequireCurrentDevice(view.data);
  const int64_t item_size = view.size() == 0 ? 1 : view.bytes() / view.size();
  if (address % item_size != 0) {
    throw py::value_error("Expected '" + std::string(name) + "' to begin at a multiple of " +
                          std::to_string(item_size) + " bytes");
  }
  if (py::isinstance<DeviceArray>(object)) object.cast<DeviceArray&>().UsedOn(stream);
  if (!interface.Get("mask").is_none()) {
    throw py::value_error("Expected '" + std::string(name) +
                          "' to be a plain array. Received: a masked one");
  }
  if (!interface.Get("strides").is_none()) {
    const std::vector<int64_t> strides = interface.Strides(view.shape.size());
    int64_t expected = item_size;
    for (size_t axis = view.shape.size(); view.size() > 0 && axis-- > 0;) {
      if (view.shape[axis] != 1 && strides[axis] != expected) {
        ThrowNotDense(view, name, interface.Get("strides"), "make a dense copy first");
      }
      expected *= view.shape[axis];
    }
  }
  // Whoever made the array may still be writing to it, on a stream of his own.
  const std::optional<int64_t> theirs = interface.Stream();
  if (theirs && *theirs != stream && !(*theirs == 1 && stream == 0)) {
    const py::gil_scoped_release release;
    WaitForCuda(reinterpret_cast<void*>(*theirs));
  }
  return view;
}

std::optional<ArrayView> ViewOf(const std::optional<py::object>& object, const char* name,
                                int64_t stream) {
  if (!object) return std::nullopt;
  return ViewOf(*object, name, stream, nullptr);
}

// The arguments that all functions share.
struct Arguments {
  ArrayView y_true;
  ArrayView y_pred;
  std::optional<ArrayView> sample_weight;
  std::optional<ArrayView> mask;
  MaskedLossInputs inputs;
  void* stream;

  Arguments(const DeviceObject& y_true, const py::object& y_pred, const std::string& loss,
            const std::optional<py::object>& sample_weight, const std::optional<py::object>& mask,
            const py::object& missing, int64_t stream, const py::dict& parameters)
      : y_true(ViewOf(y_true.object, "y_true", stream, nullptr)),
        y_pred(ViewOf(y_pred, "y_pred", stream, nullptr)),
        sample_weight(ViewOf(sample_weight, "sample_weight", stream)),
        mask(ViewOf(mask, "mask", stream)),
        inputs(MakeInputs(this->y_true, this->y_pred, loss, this->sample_weight, this->mask,
                          missing, parameters)),
        stream(reinterpret_cast<void*>(stream)) {}
};

py::tuple MaskedLoss(const DeviceObject& y_true, const py::object& y_pred, const std::string& loss,
                     const std::optional<py::object>& sample_weight,
                     const std::optional<py::object>& mask, const std::string& reduction_name,
                     const py::object& missing, int64_t stream, const py::kwargs& parameters) {
  const Arguments arguments(y_true, y_pred, loss, sample_weight, mask, missing, stream, parameters);
  const Reduction reduction = MakeReduction(reduction_name);
  std::string dtype = "float64";
  std::vector<int64_t> shape;
  if (reduction == Reduction::kNone) {
    dtype = ComputingType(arguments.inputs);
    shape = arguments.y_true.shape;
    if (!shape.empty()) shape.pop_back();
  }
  auto result = std::make_unique<DeviceArray>(dtype, shape, stream);
  auto weight_sum = std::make_unique<DeviceArray>("float64", std::vector<int64_t>{}, stream);
  auto valid_count = std::make_unique<DeviceArray>("int64", std::vector<int64_t>{}, stream);
  const CudaMemory scratch(CudaScratchBytes(arguments.inputs, reduction), arguments.stream);
  const CudaLossOutputs outputs{result->data(), true, static_cast<double*>(weight_sum->data()),
                                static_cast<int64_t*>(valid_count->data())};
  ThrowIfCudaError(
      CudaMaskedLoss(arguments.inputs, reduction, scratch.data(), outputs, arguments.stream));
  return py::make_tuple(std::move(result), std::move(weight_sum), std::move(valid_count));
}

py::tuple MaskedGroupSums(const DeviceObject& y_true, const py::object& y_pred,
                          const std::string& loss, const std::optional<py::object>& sample_weight,
                          const std::optional<py::object>& mask, const std::string& balance,
                          const py::object& missing, int64_t stream, const py::kwargs& parameters) {
  const Arguments arguments(y_true, y_pred, loss, sample_weight, mask, missing, stream, parameters);
  const Groups groups = MakeGroups(balance, arguments.y_true);
  const std::vector<int64_t> shape{groups.num_groups};
  auto loss_sum = std::make_unique<DeviceArray>("float64", shape, stream);
  auto weight_sum = std::make_unique<DeviceArray>("float64", shape, stream);
  auto valid_count = std::make_unique<DeviceArray>("int64", shape, stream);
  const CudaMemory scratch(CudaGroupScratchBytes(arguments.inputs, groups), arguments.stream);
  const CudaGroupSums sums{static_cast<double*>(loss_sum->data()),
                           static_cast<double*>(weight_sum->data()),
                           static_cast<int64_t*>(valid_count->data())};
  ThrowIfCudaError(
      CudaMaskedGroupSums(arguments.inputs, groups, scratch.data(), sums, arguments.stream));
  return py::make_tuple(std::move(loss_sum), std::move(weight_sum), std::move(valid_count));
}

py::object MaskedLossGradient(const DeviceObject& y_true, const py::object& y_pred,
                              const std::string& loss,
                              const std::optional<py::object>& sample_weight,
                              const std::optional<py::object>& mask,
                              const std::string& reduction_name, const py::object& missing,
                              const std::optional<py::object>& out, int64_t stream,
                              const py::kwargs& parameters) {
  const Arguments arguments(y_true, y_pred, loss, sample_weight, mask, missing, stream, parameters);
  const MaskedLossInputs& inputs = arguments.inputs;
  const Reduction reduction = MakeReduction(reduction_name);
  py::object result = out ? *out
                          : py::cast(std::make_unique<DeviceArray>(arguments.y_pred.dtype,
                                                                   arguments.y_pred.shape, stream));
  bool is_writeable;
  const ArrayView gradient = ViewOf(result, "out", stream, &is_writeable);
  CheckOut(gradient, is_writeable, arguments.y_true, arguments.y_pred, arguments.sample_weight,
           arguments.mask);

  CudaScale scale = {};
  const bool needs_sums = GradientNeedsSums(inputs, reduction);
  const CudaMemory divisors(needs_sums ? sizeof(double) + sizeof(int64_t) : 0, arguments.stream);
  const CudaMemory scratch(needs_sums ? CudaScratchBytes(inputs, reduction) : 0, arguments.stream);
  if (needs_sums) {
    double* const weight_sum = static_cast<double*>(divisors.data());
    int64_t* const valid_count = reinterpret_cast<int64_t*>(weight_sum + 1);
    const CudaLossOutputs outputs{nullptr, true, weight_sum, valid_count};
    ThrowIfCudaError(CudaMaskedLoss(inputs, reduction, scratch.data(), outputs, arguments.stream));
    scale.weight_sum = weight_sum;
    scale.valid_count = valid_count;
  }
  const CudaMemory factors(CudaGradientScratchBytes(inputs, reduction), arguments.stream);
  ThrowIfCudaError(CudaMaskedLossGradient(inputs, reduction, scale, factors.data(),
                                          const_cast<void*>(gradient.data), arguments.stream));
  return result;
}

std::unique_ptr<DeviceArray> ToDevice(const py::array& array, int64_t stream) {
  if ((array.flags() & py::array::c_style) == 0) {
    throw py::value_error("Expected a C-contiguous array; see numpy.ascontiguousarray");
  }
  auto result = std::make_unique<DeviceArray>(
      py::str(array.dtype()), std::vector<int64_t>(array.shape(), array.shape() + array.ndim()),
      stream);
  const void* const source = array.data();
  const int64_t bytes = array.nbytes();
  const py::gil_scoped_release release;
  CopyToDevice(source, bytes, result->Stream(), result->data());
  return result;
}

void Copy(const DeviceObject& source, const DeviceObject& target, int64_t stream) {
  bool is_writeable;
  const ArrayView from = ViewOf(source.object, "source", stream, nullptr);
  const ArrayView to = ViewOf(target.object, "target", stream, &is_writeable);
  if (from.bytes() != to.bytes() || !is_writeable) {
    throw py::value_error("Expected a writeable target of " + std::to_string(from.bytes()) +
                          " bytes. Received: one of " + std::to_string(to.bytes()));
  }
  CopyOnDevice(from.data, from.bytes(), reinterpret_cast<void*>(stream),
               const_cast<void*>(to.data));
}

constexpr char kLossDoc[] = R"(The same for arrays in a GPU's memory.

Arrays are whatever has `__cuda_array_interface__` and is dense: CuPy's and Numba's arrays, PyTorch's
tensors, a `DeviceArray`. The kernels run on `stream`, a CUDA stream as a number (0: the default
stream). Nothing waits: the results are `DeviceArray`s, whose `numpy()` does. Their sums have the
same bits on every run, but not those of the CPU.
)";

constexpr char kOutDoc[] = "The same for arrays in a GPU's memory; see `masked_loss`.";

#else

// Says that CUDA was left out, for arrays that would need it.
[[noreturn]] py::object Refuse(const DeviceObject&, const py::args&, const py::kwargs&) {
  throw py::type_error(
      "y_true is in a GPU's memory, but this build of masklstm has no CUDA kernels. Build it from "
      "its sources where nvcc is installed: MASKLSTM_CUDA=ON pip install --no-deps .");
}

#endif

}  // namespace

void DefineCuda(py::module_& module) {
#ifdef MASKLSTM_HAS_CUDA
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  py::class_<DeviceArray> device_array(module, "DeviceArray", "An array in a GPU's memory.",
                                       py::is_final());
  device_array.def_property_readonly("shape", OfArray<&DeviceArray::Shape>())
      .def_property_readonly("dtype", [](const DeviceArray& array) { return array.view().dtype; })
      .def_property_readonly(kInterface, OfArray<&DeviceArray::Interface>())
      .def("numpy", OfArray<&DeviceArray::Numpy>(),
           "A copy in the host's memory; waits for the stream.")
      .def("__repr__", OfArray<&DeviceArray::Text>())
      .def("__reduce__", &RefuseToPickle)
      .def("__reduce_ex__", &RefuseToPickle)
      .def_static("__new__", &RefuseNew);
  // The slot as well, which Python's own `__new__` would go round.
  reinterpret_cast<PyTypeObject*>(device_array.ptr())->tp_new = [](PyTypeObject*, PyObject*,
                                                                   PyObject*) -> PyObject* {
    PyErr_SetString(PyExc_TypeError, kNoNew);
    return nullptr;
  };
  module.def("to_device", &ToDevice, "Copies a NumPy array into the GPU's memory.",
             py::arg("array"), py::arg("stream") = 0);
  module.def("copy", &Copy, "Copies an array within the GPU's memory.", py::arg("source"),
             py::arg("target"), py::arg("stream") = 0);
  module.def(
      "synchronize", [](int64_t stream) { WaitForCuda(reinterpret_cast<void*>(stream)); },
      "Waits until all work on the stream is done.", py::arg("stream") = 0,
      py::call_guard<py::gil_scoped_release>());
  module.def("cuda_launches", &CudaLaunchCount, "How many CUDA kernels were launched so far.");
  module.def("masked_loss", &MaskedLoss, kLossDoc, py::arg("y_true"), py::arg("y_pred"),
             py::arg("loss") = "squared_error", py::arg("sample_weight") = py::none(),
             py::arg("mask") = py::none(), py::arg("reduction") = "mean", py::arg("missing") = nan,
             py::arg("stream") = 0);
  module.def("masked_group_sums", &MaskedGroupSums, kOutDoc, py::arg("y_true"), py::arg("y_pred"),
             py::arg("loss") = "squared_error", py::arg("sample_weight") = py::none(),
             py::arg("mask") = py::none(), py::arg("balance") = "sample", py::arg("missing") = nan,
             py::arg("stream") = 0);
  module.def("masked_loss_gradient", &MaskedLossGradient, kOutDoc, py::arg("y_true"),
             py::arg("y_pred"), py::arg("loss") = "squared_error",
             py::arg("sample_weight") = py::none(), py::arg("mask") = py::none(),
             py::arg("reduction") = "mean", py::arg("missing") = nan, py::arg("out") = py::none(),
             py::arg("stream") = 0);
#else
  for (const char* name : {"masked_loss", "masked_group_sums", "masked_loss_gradient"}) {
    module.def(name, &Refuse, "Arrays in a GPU's memory need a build with CUDA.");
  }
#endif
}

}  // namespace masklstm
