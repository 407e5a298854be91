// masklstm.kernels: the kernels on NumPy arrays, without TensorFlow.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "csrc/kernels/masked_loss.h"
#include "csrc/kernels/names.h"

namespace masklstm {
namespace {

namespace py = pybind11;

std::string ShapeOf(const py::array& array) { return py::str(array.attr("shape")); }

std::string Repr(const py::handle& object) { return py::repr(object); }

// The array itself if it is dense and row-major, else an error: a silent copy would hide its cost.
void RequireDense(const py::array& array, const char* name) {
  if (py::hasattr(array, "mask")) {
    throw py::value_error("Expected '" + std::string(name) +
                          "' to be a plain array, since NumPy's masks would be lost. Fill the gaps "
                          "of labels with NaN: filled(numpy.nan). Received: a masked array");
  }
  if ((array.flags() & py::array::c_style) == 0) {
    throw py::value_error("Expected '" + std::string(name) +
                          "' to be C-contiguous; make a dense copy with numpy.ascontiguousarray. "
                          "Received: an array of shape " +
                          ShapeOf(array) + " with strides " +
                          std::string(py::str(array.attr("strides"))));
  }
}

void RequireDtype(const py::array& array, const char* name, const py::dtype& expected) {
  if (!array.dtype().is(expected) && !array.dtype().equal(expected)) {
    throw py::type_error("Expected '" + std::string(name) + "' to have dtype " +
                         std::string(py::str(expected)) +
                         ". Received: " + std::string(py::str(array.dtype())));
  }
}

// The object as a double; none for a boolean, a text, what is not one real number, and an integer
// that no double can be.
std::optional<double> ToNumber(const py::object& object) {
  if (py::isinstance<py::bool_>(object) || py::isinstance<py::str>(object) ||
      py::str(py::type::of(object).attr("__name__")).equal(py::str("bool"))) {
    return std::nullopt;
  }
  const double number = PyFloat_AsDouble(object.ptr());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    return std::nullopt;
  }
  if (PyIndex_Check(object.ptr())) {
    // Python's own integer, since NumPy's become doubles when they are compared with one.
    const auto integer = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
    if (!integer) {
      PyErr_Clear();
      return std::nullopt;
    }
    if (!py::float_(number).equal(integer)) return std::nullopt;
  }
  return number;
}

// The array's type, one of the library's own.
DataType DataTypeOf(const py::array& array, const char* name, bool is_floating_point) {
  DataType type;
  std::string names;
  for (const DataTypeName& known : kDataTypes) {
    if (is_floating_point && !IsFloatingPoint(known.type)) continue;
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  // Text, since bfloat16 is no type of NumPy's own. It marks foreign byte order, too.
  const std::string text = py::str(array.dtype());
  if (!FindDataType(text, &type) || (is_floating_point && !IsFloatingPoint(type))) {
    throw py::type_error("Expected '" + std::string(name) + "' to have one of the dtypes " + names +
                         ". Received: " + text);
  }
  return type;
}

py::dtype ComputingType(const MaskedLossInputs& inputs) {
  return inputs.computing_type() == DataType::kFloat64 ? py::dtype::of<double>()
                                                       : py::dtype::of<float>();
}

Broadcast MakeView(const std::optional<py::array>& array, const char* name, const py::dtype& dtype,
                   const py::array& y_true) {
  Broadcast view;
  if (!array) return view;
  RequireDense(*array, name);
  RequireDtype(*array, name, dtype);
  const std::vector<int64_t> shape(array->shape(), array->shape() + array->ndim());
  const std::vector<int64_t> full(y_true.shape(), y_true.shape() + y_true.ndim());
  switch (
      MakeBroadcast(array->data(), shape.data(), shape.size(), full.data(), full.size(), &view)) {
    case BroadcastResult::kOk:
      break;
    case BroadcastResult::kShapesDiffer:
      throw py::value_error("Incompatible shape for argument '" + std::string(name) +
                            "'. Expected a shape whose axes, from the left, are those of y_true, " +
                            ShapeOf(y_true) + ", or 1. Received: " + ShapeOf(*array));
    case BroadcastResult::kTooManyAxes:
      throw py::value_error("Argument '" + std::string(name) + "' of shape " + ShapeOf(*array) +
                            " repeats along too many separate axes of y_true, " + ShapeOf(y_true) +
                            ". Broadcast it to that shape first.");
  }
  return view;
}

template <typename Entries>
[[noreturn]] void ThrowUnknownName(const std::string& argument, const std::string& name,
                                   const Entries& known) {
  std::string names;
  for (const auto& entry : known) {
    names += (names.empty() ? "'" : ", '") + std::string(entry.name) + "'";
  }
  throw py::value_error("Invalid value for argument '" + argument + "'. Expected one of {" + names +
                        "}. Received: " + argument + "='" + name + "'");
}

MaskedLossInputs MakeInputs(const py::array& y_true, const py::array& y_pred,
                            const std::string& loss, const std::optional<py::array>& sample_weight,
                            const std::optional<py::array>& mask, const py::object& missing,
                            const py::dict& parameters) {
  RequireDense(y_true, "y_true");
  RequireDense(y_pred, "y_pred");
  MaskedLossInputs inputs;
  inputs.label_type = DataTypeOf(y_true, "y_true", false);
  inputs.prediction_type = DataTypeOf(y_pred, "y_pred", true);
  if (!y_true.attr("shape").equal(y_pred.attr("shape"))) {
    throw py::value_error(
        "y_true and y_pred must have the same shape. Received: y_true with shape " +
        ShapeOf(y_true) + ", y_pred with shape " + ShapeOf(y_pred));
  }
  inputs.y_true = y_true.data();
  inputs.y_pred = y_pred.data();
  inputs.row_size = y_true.ndim() == 0 ? 1 : y_true.shape(y_true.ndim() - 1);
  inputs.num_rows = 1;
  for (int axis = 0; axis + 1 < y_true.ndim(); ++axis) inputs.num_rows *= y_true.shape(axis);
  inputs.weights[0] = MakeView(sample_weight, "sample_weight", ComputingType(inputs), y_true);
  inputs.mask = MakeView(mask, "mask", py::dtype::of<bool>(), y_true);

  if (const std::optional<double> number = ToNumber(missing)) {
    inputs.missing.sentinel = *number;
  } else if (!py::isinstance<py::str>(missing) ||
             !(missing.equal(py::str("nan")) || missing.equal(py::str("nonfinite"))) ||
             !ParseMissing(py::str(missing), &inputs.missing)) {
    throw py::value_error(
        "Invalid value for argument 'missing'. Expected 'nonfinite' or a number (an integer beyond "
        "2^53 only if it is a float64). Received: missing=" +
        Repr(missing));
  }

  inputs.loss = FindLoss(loss);
  if (inputs.loss < 0) ThrowUnknownName("loss", loss, Losses());
  const auto& descriptions = Losses()[inputs.loss].parameters;
  py::size_t num_used = 0;
  for (py::size_t i = 0; i < descriptions.size(); ++i) {
    const auto& description = descriptions[i];
    inputs.parameters[i] = description.default_value;
    if (!parameters.contains(description.name)) continue;
    ++num_used;
    const py::object value = parameters[py::str(description.name)];
    // Booleans are numbers here, since some parameters are switches.
    inputs.parameters[i] = py::isinstance<py::bool_>(value)
                               ? value.cast<double>()
                               : ToNumber(value).value_or(std::numeric_limits<double>::quiet_NaN());
    if (!description.accepts(inputs.parameters[i])) {
      throw py::value_error("Invalid value for argument '" + description.name +
                            "'. Expected a number in " + description.domain +
                            ". Received: " + description.name + "=" + Repr(value));
    }
  }
  if (num_used != parameters.size()) {
    throw py::type_error("Loss '" + loss +
                         "' got unexpected parameters. Received: " + Repr(parameters));
  }
  return inputs;
}

ParallelFor Threads(int threads) {
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

Reduction MakeReduction(const std::string& name) {
  Reduction reduction;
  if (!FindReduction(name, &reduction)) ThrowUnknownName("reduction", name, kReductions);
  return reduction;
}

Groups MakeGroups(const std::string& name, const py::array& y_true) {
  Balance balance;
  if (!FindBalance(name, &balance)) ThrowUnknownName("balance", name, kBalances);
  const int axis = GroupAxis(balance, y_true.ndim());
  if (axis < 0) {
    throw py::value_error("y_true of shape " + ShapeOf(y_true) + " has no axis for balance='" +
                          name + "'");
  }
  const std::vector<int64_t> shape(y_true.shape(), y_true.shape() + y_true.ndim());
  return GroupsAlong(axis, shape.data(), shape.size());
}

// Refuses an output that shares memory with an input, unless it is the input itself: each element
// is read before it is written, but not before its neighbours are.
void RequireNoOverlap(const py::array& out, const std::optional<py::array>& input,
                      const char* name) {
  if (!input || input->size() == 0 || out.size() == 0) return;
  const char* out_begin = static_cast<const char*>(out.data());
  const char* begin = static_cast<const char*>(input->data());
  const bool is_same = begin == out_begin && input->nbytes() == out.nbytes();
  if (!is_same && begin < out_begin + out.nbytes() && out_begin < begin + input->nbytes()) {
    throw py::value_error("Expected 'out' to share no memory with '" + std::string(name) +
                          "', or all of it. Received: arrays that overlap in part");
  }
}

// An array of the labels' shape; `drop` trailing axes are left out.
py::array EmptyLike(const py::array& y_true, const py::dtype& dtype, int drop) {
  const py::ssize_t rank = std::max<py::ssize_t>(0, y_true.ndim() - drop);
  return py::array(dtype, std::vector<py::ssize_t>(y_true.shape(), y_true.shape() + rank));
}

py::tuple MaskedLoss(const py::array& y_true, const py::array& y_pred, const std::string& loss,
                     const std::optional<py::array>& sample_weight,
                     const std::optional<py::array>& mask, const std::string& reduction_name,
                     const py::object& missing, int threads, const py::kwargs& parameters) {
  const MaskedLossInputs inputs =
      MakeInputs(y_true, y_pred, loss, sample_weight, mask, missing, parameters);
  const Reduction reduction = MakeReduction(reduction_name);
  const ParallelFor parallel_for = Threads(threads);
  py::object result;
  void* row_means = nullptr;
  if (reduction == Reduction::kNone) {
    py::array rows = EmptyLike(y_true, ComputingType(inputs), 1);
    row_means = rows.mutable_data();
    result = rows;
  }
  Sums sums;
  {
    py::gil_scoped_release release;
    sums = ComputeMaskedLoss(inputs, reduction, parallel_for, row_means);
  }
  if (reduction != Reduction::kNone) {
    result = py::float_(Divided(sums.loss_sum, sums, reduction));
  }
  return py::make_tuple(result, sums.weight_sum, sums.valid_count);
}

py::tuple MaskedGroupSums(const py::array& y_true, const py::array& y_pred, const std::string& loss,
                          const std::optional<py::array>& sample_weight,
                          const std::optional<py::array>& mask, const std::string& balance,
                          const py::object& missing, int threads, const py::kwargs& parameters) {
  const MaskedLossInputs inputs =
      MakeInputs(y_true, y_pred, loss, sample_weight, mask, missing, parameters);
  const Groups groups = MakeGroups(balance, y_true);
  const ParallelFor parallel_for = Threads(threads);
  std::vector<Sums> sums(groups.num_groups);
  {
    py::gil_scoped_release release;
    ComputeGroupSums(inputs, groups, parallel_for, sums.data());
  }
  py::array_t<double> loss_sum(groups.num_groups);
  py::array_t<double> weight_sum(groups.num_groups);
  py::array_t<int64_t> valid_count(groups.num_groups);
  for (int64_t i = 0; i < groups.num_groups; ++i) {
    loss_sum.mutable_at(i) = sums[i].loss_sum;
    weight_sum.mutable_at(i) = sums[i].weight_sum;
    valid_count.mutable_at(i) = sums[i].valid_count;
  }
  return py::make_tuple(loss_sum, weight_sum, valid_count);
}

py::array MaskedLossGradient(const py::array& y_true, const py::array& y_pred,
                             const std::string& loss, const std::optional<py::array>& sample_weight,
                             const std::optional<py::array>& mask,
                             const std::string& reduction_name, const py::object& missing,
                             int threads, const std::optional<py::array>& out,
                             const py::kwargs& parameters) {
  const MaskedLossInputs inputs =
      MakeInputs(y_true, y_pred, loss, sample_weight, mask, missing, parameters);
  const Reduction reduction = MakeReduction(reduction_name);
  const ParallelFor parallel_for = Threads(threads);
  py::array gradient = out ? *out : EmptyLike(y_true, y_pred.dtype(), 0);
  RequireDense(gradient, "out");
  RequireDtype(gradient, "out", y_pred.dtype());
  if (!gradient.attr("shape").equal(y_pred.attr("shape")) || !gradient.writeable()) {
    throw py::value_error("Expected 'out' to be writeable and to have the shape of y_pred, " +
                          ShapeOf(y_pred) + ". Received: a " +
                          (gradient.writeable() ? "writeable" : "read-only") + " array of shape " +
                          ShapeOf(gradient));
  }
  RequireNoOverlap(gradient, y_true, "y_true");
  RequireNoOverlap(gradient, y_pred, "y_pred");
  RequireNoOverlap(gradient, sample_weight, "sample_weight");
  RequireNoOverlap(gradient, mask, "mask");
  void* data = gradient.mutable_data();
  {
    py::gil_scoped_release release;
    const Sums sums = GradientNeedsSums(inputs, reduction)
                          ? ComputeMaskedLoss(inputs, reduction, parallel_for, nullptr)
                          : Sums{};
    ComputeMaskedLossGradient(inputs, reduction, sums, 1.0, nullptr, parallel_for, data);
  }
  return gradient;
}

py::dict LossTable() {
  py::dict losses;
  for (const LossDescription& loss : Losses()) {
    py::list parameters;
    for (const ParameterDescription& parameter : loss.parameters) {
      py::dict entry;
      entry["name"] = parameter.name;
      entry["default"] = parameter.default_value;
      entry["domain"] = parameter.domain;
      entry["accepts"] = py::cpp_function(parameter.accepts);
      parameters.append(entry);
    }
    losses[py::str(loss.name)] = parameters;
  }
  return losses;
}

constexpr char kModuleDoc[] = R"(The native kernels on NumPy arrays, without TensorFlow.

Arrays are C-contiguous; they may be read-only and of any alignment, and are never copied. Predictions
are float16, bfloat16 (of ml_dtypes), float32 or float64; labels are of one of these types, or
integers or booleans. float64 predictions are computed in float64, all others in float32.
)";

constexpr char kMaskedLossDoc[] = R"(Reduces a masked loss in one pass.

Args:
    y_true: Labels; array of any shape and type (see the module). NaN means missing.
    y_pred: Predictions of the same shape, floating point.
    loss: Name of the loss, one of `losses()`.
    sample_weight: Weights of the computing type, float32 or float64, whose axes are y_true's from
        the left, or 1.
    mask: Booleans, True = keep, whose axes are y_true's from the left, or 1.
    reduction: "mean", "mean_with_sample_weight", "sum", "none", or "sum_of_elements".
    missing: A number that means "no label" besides NaN, or "nonfinite".
    threads: Number of threads; the result's bits do not depend on it.
    **parameters: The loss's parameters.

Returns:
    Tuple (loss, weight_sum, valid_count). The loss is a float in full double precision, or for
    reduction "none" an array of shape `y_true.shape[:-1]`. weight_sum is only computed for
    reductions over elements.

Raises:
    ValueError, TypeError: For arrays or parameters that do not fit; says what was expected.

Example:

>>> import numpy as np
>>> from masklstm import kernels
>>> y_true = np.array([1.0, np.nan, 3.0], dtype="float32")
>>> y_pred = np.array([2.0, 5.0, 5.0], dtype="float32")
>>> kernels.masked_loss(y_true, y_pred)
(2.5, 2.0, 2)
)";

constexpr char kGroupSumsDoc[] = R"(The sums of each sample, step or feature in one pass.

Arguments as for `masked_loss`; `balance` is "sample" (the first axis), "timestep" (the second) or
"feature" (the last).

Returns:
    Tuple (loss_sum, weight_sum, valid_count) of arrays with one entry for each group.

Example:

>>> import numpy as np
>>> from masklstm import kernels
>>> y_true = np.array([[1.0, np.nan], [3.0, 4.0]], dtype="float32")
>>> y_pred = np.array([[2.0, 5.0], [5.0, 4.0]], dtype="float32")
>>> kernels.masked_group_sums(y_true, y_pred, balance="feature")
(array([5., 0.]), array([2., 1.]), array([2, 1]))
)";

constexpr char kGradientDoc[] =
    R"(The gradient of `masked_loss` by y_pred (of the sum of the loss, for reduction "none").

Arguments as for `masked_loss`; `out` is an array of y_pred's shape and dtype to write to; it
may be one of the inputs.

Example:

>>> import numpy as np
>>> from masklstm import kernels
>>> y_true = np.array([1.0, np.nan, 3.0], dtype="float32")
>>> y_pred = np.array([2.0, 5.0, 5.0], dtype="float32")
>>> kernels.masked_loss_gradient(y_true, y_pred)
array([1., 0., 2.], dtype=float32)
)";

PYBIND11_MODULE(kernels, module) {
  std::string error;
  if (InstructionSet(&error).empty()) throw py::import_error(error);
  module.doc() = kModuleDoc;
  module.def("masked_loss", &MaskedLoss, kMaskedLossDoc, py::arg("y_true"), py::arg("y_pred"),
             py::arg("loss") = "squared_error", py::arg("sample_weight") = py::none(),
             py::arg("mask") = py::none(), py::arg("reduction") = "mean",
             py::arg("missing") = std::numeric_limits<double>::quiet_NaN(), py::arg("threads") = 1);
  module.def("masked_group_sums", &MaskedGroupSums, kGroupSumsDoc, py::arg("y_true"),
             py::arg("y_pred"), py::arg("loss") = "squared_error",
             py::arg("sample_weight") = py::none(), py::arg("mask") = py::none(),
             py::arg("balance") = "sample",
             py::arg("missing") = std::numeric_limits<double>::quiet_NaN(), py::arg("threads") = 1);
  module.def("masked_loss_gradient", &MaskedLossGradient, kGradientDoc, py::arg("y_true"),
             py::arg("y_pred"), py::arg("loss") = "squared_error",
             py::arg("sample_weight") = py::none(), py::arg("mask") = py::none(),
             py::arg("reduction") = "mean",
             py::arg("missing") = std::numeric_limits<double>::quiet_NaN(), py::arg("threads") = 1,
             py::arg("out") = py::none());
  module.def("losses", &LossTable,
             "All losses: a dict from name to the list of the loss's parameters, each a dict with "
             "name, default, domain (an interval, as text) and accepts (a predicate).");
  module.def(
      "instruction_set",
      [] {
        std::string ignored;
        return InstructionSet(&ignored);
      },
      "The instruction set in use: 'baseline', 'avx2' or 'avx512'. The environment variable "
      "MASKLSTM_ISA chooses a lower one before the first import.");
}

}  // namespace
}  // namespace masklstm
