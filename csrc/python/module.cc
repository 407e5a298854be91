// masklstm.kernels: the kernels on NumPy arrays, and on arrays in a GPU's memory, without
// TensorFlow.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "csrc/core/division.h"
#include "csrc/core/masked_loss.h"
#include "csrc/core/names.h"
#include "csrc/cpu/dispatch.h"
#include "csrc/python/arguments.h"
#include "csrc/python/cuda.h"
#include "csrc/python/numpy_arrays.h"
#include "csrc/python/recurrent.h"

namespace masklstm {
namespace {

namespace py = pybind11;

// The arguments that all functions share.
struct Arguments {
  ArrayView y_true;
  ArrayView y_pred;
  std::optional<ArrayView> sample_weight;
  std::optional<ArrayView> mask;
  MaskedLossInputs inputs;

  Arguments(const py::array& y_true, const py::array& y_pred, const std::string& loss,
            const std::optional<py::array>& sample_weight, const std::optional<py::array>& mask,
            const py::object& missing, const py::dict& parameters)
      : y_true(ViewOf(y_true, "y_true")),
        y_pred(ViewOf(y_pred, "y_pred")),
        sample_weight(ViewOf(sample_weight, "sample_weight")),
        mask(ViewOf(mask, "mask")),
        inputs(MakeInputs(this->y_true, this->y_pred, loss, this->sample_weight, this->mask,
                          missing, parameters)) {}
};

// An array of the shape of another one; `drop` trailing axes are left out.
py::array EmptyLike(const py::array& array, const py::dtype& dtype, int drop) {
  const py::ssize_t rank = std::max<py::ssize_t>(0, array.ndim() - drop);
  return py::array(dtype, std::vector<py::ssize_t>(array.shape(), array.shape() + rank));
}

py::tuple MaskedLoss(const py::array& y_true, const py::array& y_pred, const std::string& loss,
                     const std::optional<py::array>& sample_weight,
                     const std::optional<py::array>& mask, const std::string& reduction_name,
                     const py::object& missing, int threads, const py::kwargs& parameters) {
  const Arguments arguments(y_true, y_pred, loss, sample_weight, mask, missing, parameters);
  const MaskedLossInputs& inputs = arguments.inputs;
  const Reduction reduction = MakeReduction(reduction_name);
  const ParallelFor parallel_for = ThreadsOf(threads);
  py::object result;
  void* row_means = nullptr;
  if (reduction == Reduction::kNone) {
    py::array rows = EmptyLike(y_true, py::dtype(ComputingType(inputs)), 1);
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
  const Arguments arguments(y_true, y_pred, loss, sample_weight, mask, missing, parameters);
  const MaskedLossInputs& inputs = arguments.inputs;
  const Groups groups = MakeGroups(balance, arguments.y_true);
  const ParallelFor parallel_for = ThreadsOf(threads);
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
  const Arguments arguments(y_true, y_pred, loss, sample_weight, mask, missing, parameters);
  const MaskedLossInputs& inputs = arguments.inputs;
  const Reduction reduction = MakeReduction(reduction_name);
  const ParallelFor parallel_for = ThreadsOf(threads);
  py::array gradient = out ? *out : EmptyLike(y_pred, y_pred.dtype(), 0);
  CheckOut(ViewOf(gradient, "out"), gradient.writeable(), arguments.y_true, arguments.y_pred,
           arguments.sample_weight, arguments.mask);
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

py::list ParametersOf(const LossDescription& loss) {
  py::list parameters;
  for (const ParameterDescription& parameter : loss.parameters) {
    py::dict entry;
    entry["name"] = parameter.name;
    entry["default"] = parameter.default_value;
    entry["domain"] = parameter.domain.text;
    entry["is_list"] = parameter.is_list;
    entry["accepts"] = py::cpp_function(
        [domain = parameter.domain](double value) { return domain.Contains(value); });
    parameters.append(entry);
  }
  return parameters;
}

py::dict LossTable() {
  py::dict losses;
  for (const LossDescription& loss : Losses()) losses[py::str(loss.name)] = ParametersOf(loss);
  return losses;
}

py::dict ToDict(const Interval& interval) {
  py::dict entries;
  entries["lower"] = interval.lower;
  entries["upper"] = interval.upper;
  entries["includes_lower"] = interval.includes_lower;
  entries["includes_upper"] = interval.includes_upper;
  entries["whole"] = interval.is_whole;
  entries["text"] = interval.text;
  return entries;
}

py::dict Descriptions() {
  py::dict descriptions;
  for (const LossDescription& loss : Losses()) {
    py::dict entries;
    entries["parameters"] = ParametersOf(loss);
    entries["labels"] = ToDict(loss.labels);
    entries["predictions"] = ToDict(loss.predictions);
    py::list channels;
    for (const ChannelDescription& channel : loss.channels) {
      py::dict of_channel = ToDict(channel.domain);
      of_channel["name"] = channel.name;
      of_channel["repeats"] = channel.repeats;
      channels.append(of_channel);
    }
    entries["channels"] = channels;
    descriptions[py::str(loss.name)] = entries;
  }
  return descriptions;
}

py::dict Types() {
  py::dict types;
  for (const DataTypeName& type : kDataTypes) {
    py::dict entries;
    entries["typestr"] = type.typestr;
    entries["bytes"] = type.bytes;
    entries["floating_point"] = type.is_floating_point;
    entries["prediction"] = type.may_be_prediction;
    types[py::str(type.name)] = entries;
  }
  return types;
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
  DefineCuda(module);  // first: NumPy would try to make arrays of its own of those of a GPU
  DefineRecurrent(module);
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
  module.def(
      "losses", &LossTable,
      "All losses: a dict from name to the list of the loss's parameters, each a dict with "
      "name, default, domain (an interval, as text), is_list (whether it takes several numbers) "
      "and accepts (a predicate for one number).");
  module.def(
      "descriptions", &Descriptions,
      "All losses: a dict from name to a dict with parameters (as in losses()), labels and "
      "predictions. These say where the loss is meant to be used, as intervals: dicts with "
      "lower, upper, includes_lower, includes_upper, whole (whole numbers alone) and text. "
      "Values outside of them are not refused. `channels` lists what a loss takes several of "
      "for each label, side by side along an axis of y_pred that y_true does not have: dicts "
      "as for an interval, with a name and repeats (whether it stands for several channels, "
      "one for each component or quantile); empty for all other losses.");
  module.def(
      "num_channels",
      [](const std::string& loss, const py::kwargs& parameters) {
        return NumChannelsOf(loss, parameters);
      },
      "How many predictions a loss takes for each label, along an axis of y_pred that y_true does "
      "not have; 0 if there is no such axis.",
      py::arg("loss"));
  module.def("types", &Types,
             "All types that labels may have: a dict from NumPy's name to a dict with typestr, "
             "bytes, floating_point, and prediction (whether predictions may have it as well).");
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
