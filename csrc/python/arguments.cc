#include "csrc/python/arguments.h"

#include <algorithm>
#include <limits>

#include "csrc/core/error_texts.h"

namespace masklstm {
namespace {

namespace py = pybind11;

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
DataType DataTypeOf(const ArrayView& array, const char* name, bool is_prediction) {
  std::string names;
  for (const DataTypeName& known : kDataTypes) {
    if (is_prediction && !known.may_be_prediction) continue;
    if (array.dtype == known.name) return known.type;
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  throw py::type_error("Expected '" + std::string(name) + "' to have one of the dtypes " + names +
                       ". Received: " + array.dtype);
}

Broadcast MakeView(const std::optional<ArrayView>& array, const char* name,
                   const std::string& dtype, const ArrayView& y_true) {
  Broadcast view;
  if (!array) return view;
  RequireDtype(*array, name, dtype);
  static const char kNothing = 0;  // an empty array may have no memory, but it was given
  const BroadcastResult result =
      MakeBroadcast(array->data ? array->data : &kNothing, array->shape.data(), array->shape.size(),
                    y_true.shape.data(), y_true.shape.size(), &view);
  if (result != BroadcastResult::kOk) {
    const std::string shape = array->ShapeText();
    throw py::value_error(BroadcastText(result, name, shape, y_true.ShapeText(), shape));
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

void RequireNoOverlap(const ArrayView& out, const std::optional<ArrayView>& input,
                      const char* name) {
  if (!input || input->size() == 0 || out.size() == 0) return;
  const int64_t out_bytes = out.bytes();
  const int64_t bytes = input->bytes();
  const char* out_begin = static_cast<const char*>(out.data);
  const char* begin = static_cast<const char*>(input->data);
  const bool is_same = begin == out_begin && bytes == out_bytes;
  if (!is_same && begin < out_begin + out_bytes && out_begin < begin + bytes) {
    throw py::value_error("Expected 'out' to share no memory with '" + std::string(name) +
                          "', or all of it. Received: arrays that overlap in part");
  }
}

// One number of a parameter, in its domain and held by the computing type.
double ReadParameter(const py::object& value, const ParameterDescription& description,
                     const MaskedLossInputs& inputs) {
  // Booleans are numbers here, since some parameters are switches.
  const double number = py::isinstance<py::bool_>(value)
                            ? value.cast<double>()
                            : ToNumber(value).value_or(std::numeric_limits<double>::quiet_NaN());
  // A number above 0 must be one in the computing type too: formulas divide by it.
  const bool is_double = inputs.computing_type() == DataType::kFloat64;
  const double least =
      is_double ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min();
  const bool is_lost = number < least && !description.domain.Contains(0.0);
  if (is_lost || !description.domain.Contains(number)) {
    const std::string for_type =
        is_lost ? ", for " + ComputingType(inputs) + " of at least " + Repr(py::float_(least)) : "";
    throw py::value_error("Invalid value for argument '" + description.name +
                          "'. Expected a number in " + description.domain.text + for_type +
                          ". Received: " + description.name + "=" + Repr(value));
  }
  return number;
}

// Fills inputs->parameters; after a list stands NaN.
void ReadParameters(const py::dict& parameters, MaskedLossInputs* inputs) {
  const LossDescription& loss = Losses()[inputs->loss];
  std::fill_n(inputs->parameters, kMaxParameters, std::numeric_limits<double>::quiet_NaN());
  py::size_t num_used = 0;
  double* next = inputs->parameters;
  for (const ParameterDescription& description : loss.parameters) {
    if (!parameters.contains(description.name)) {
      *next++ = description.default_value;
      continue;
    }
    ++num_used;
    const py::object value = parameters[py::str(description.name)];
    if (!description.is_list || !py::isinstance<py::sequence>(value)) {
      *next++ = ReadParameter(value, description, *inputs);
      continue;
    }
    const py::sequence numbers = value;
    if (numbers.size() < 1 || numbers.size() > static_cast<py::size_t>(kMaxChannels)) {
      throw py::value_error("Invalid value for argument '" + description.name +
                            "'. Expected 1 to " + std::to_string(kMaxChannels) +
                            " numbers. Received: " + description.name + "=" + Repr(value));
    }
    for (const py::handle number : numbers) {
      *next++ = ReadParameter(py::reinterpret_borrow<py::object>(number), description, *inputs);
    }
  }
  if (num_used != parameters.size()) {
    throw py::type_error("Loss '" + loss.name +
                         "' got unexpected parameters. Received: " + Repr(parameters));
  }
}

void CheckShapes(const MaskedLossInputs& inputs, const ArrayView& y_true, const ArrayView& y_pred) {
  std::vector<int64_t> expected = y_true.shape;
  if (inputs.num_channels > 0) expected.push_back(inputs.num_channels);
  if (y_pred.shape == expected) return;
  throw py::value_error(inputs.num_channels == 0
                            ? ShapesDifferText(y_true.ShapeText(), y_pred.ShapeText())
                            : ChannelsDifferText(Losses()[inputs.loss].name, inputs.num_channels,
                                                 y_true.ShapeText(), y_pred.ShapeText()));
}

}  // namespace

int64_t ArrayView::size() const {
  int64_t size = 1;
  for (const int64_t length : shape) size *= length;
  return size;
}

int64_t ArrayView::bytes() const {
  // Their names end in the number of bits, but for bool's.
  const size_t digits = dtype.find_first_of("0123456789");
  return size() * (digits == std::string::npos ? 1 : std::stoi(dtype.substr(digits)) / 8);
}

std::string ArrayView::ShapeText() const {
  py::tuple lengths(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) lengths[i] = shape[i];
  return py::str(lengths);
}

std::string Repr(const py::handle& object) { return py::repr(object); }

void ThrowNotDense(const ArrayView& array, const char* name, const py::object& strides,
                   const std::string& advice) {
  throw py::value_error("Expected '" + std::string(name) + "' to be C-contiguous; " + advice +
                        ". Received: an array of shape " + array.ShapeText() + " with strides " +
                        Repr(strides));
}

void RequireDtype(const ArrayView& array, const char* name, const std::string& expected) {
  if (array.dtype != expected) {
    throw py::type_error("Expected '" + std::string(name) + "' to have dtype " + expected +
                         ". Received: " + array.dtype);
  }
}

std::string ComputingType(const MaskedLossInputs& inputs) {
  return inputs.computing_type() == DataType::kFloat64 ? "float64" : "float32";
}

MaskedLossInputs MakeInputs(const ArrayView& y_true, const ArrayView& y_pred,
                            const std::string& loss, const std::optional<ArrayView>& sample_weight,
                            const std::optional<ArrayView>& mask, const py::object& missing,
                            const py::dict& parameters) {
  MaskedLossInputs inputs;
  inputs.label_type = DataTypeOf(y_true, "y_true", false);
  inputs.prediction_type = DataTypeOf(y_pred, "y_pred", true);
  inputs.loss = FindLoss(loss);
  if (inputs.loss < 0) ThrowUnknownName("loss", loss, Losses());
  ReadParameters(parameters, &inputs);
  inputs.num_channels = NumChannels(inputs.loss, inputs.parameters);
  CheckShapes(inputs, y_true, y_pred);
  inputs.y_true = y_true.data;
  inputs.y_pred = y_pred.data;
  SetRows(y_true.shape.data(), y_true.shape.size(), &inputs);
  inputs.weights[0] = MakeView(sample_weight, "sample_weight", ComputingType(inputs), y_true);
  inputs.mask = MakeView(mask, "mask", "bool", y_true);

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
  return inputs;
}

int NumChannelsOf(const std::string& loss, const py::dict& parameters) {
  MaskedLossInputs inputs;
  inputs.prediction_type = DataType::kFloat64;
  inputs.loss = FindLoss(loss);
  if (inputs.loss < 0) ThrowUnknownName("loss", loss, Losses());
  ReadParameters(parameters, &inputs);
  return NumChannels(inputs.loss, inputs.parameters);
}

Reduction MakeReduction(const std::string& name) {
  Reduction reduction;
  if (!FindReduction(name, &reduction)) ThrowUnknownName("reduction", name, kReductions);
  return reduction;
}

Groups MakeGroups(const std::string& name, const ArrayView& y_true) {
  Balance balance;
  if (!FindBalance(name, &balance)) ThrowUnknownName("balance", name, kBalances);
  const int axis = GroupAxis(balance, static_cast<int>(y_true.shape.size()));
  if (axis < 0) {
    throw py::value_error(NoGroupAxisText(y_true.ShapeText(), name));
  }
  return GroupsAlong(axis, y_true.shape.data(), y_true.shape.size());
}

void CheckOut(const ArrayView& out, bool is_writeable, const ArrayView& y_true,
              const ArrayView& y_pred, const std::optional<ArrayView>& sample_weight,
              const std::optional<ArrayView>& mask) {
  RequireDtype(out, "out", y_pred.dtype);
  if (out.shape != y_pred.shape || !is_writeable) {
    throw py::value_error("Expected 'out' to be writeable and to have the shape of y_pred, " +
                          y_pred.ShapeText() + ". Received: a " +
                          (is_writeable ? "writeable" : "read-only") + " array of shape " +
                          out.ShapeText());
  }
  RequireNoOverlap(out, y_true, "y_true");
  RequireNoOverlap(out, y_pred, "y_pred");
  RequireNoOverlap(out, sample_weight, "sample_weight");
  RequireNoOverlap(out, mask, "mask");
}

}  // namespace masklstm
