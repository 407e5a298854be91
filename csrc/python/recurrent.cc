// masklstm.kernels: an LSTM and a GRU on NumPy arrays, without TensorFlow.
#include "csrc/python/recurrent.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "csrc/python/arguments.h"
#include "csrc/python/numpy_arrays.h"
#include "csrc/recurrent/dispatch.h"

namespace masklstm {
namespace {

namespace py = pybind11;

using Shape = std::vector<int64_t>;

std::string TextOf(const Shape& shape) { return ArrayView{nullptr, "", shape}.ShapeText(); }

// The arguments that both functions share, and the arrays that they point to.
class Layer {
 public:
  Layer(const std::string& cell, const py::array& sequences, const py::array& kernel,
        const py::array& recurrent_kernel, const std::optional<py::array>& bias,
        const std::vector<py::array>& initial_states, const std::optional<py::array>& mask,
        bool go_backwards, bool zero_output_for_mask, int threads) {
    inputs.cell = CellOf(cell);
    const ArrayView x = ViewOf(sequences, "sequences");
    dtype = x.dtype;
    if (dtype != "float32" && dtype != "float64") {
      throw py::type_error("Expected 'sequences' to have dtype float32 or float64. Received: " +
                           dtype);
    }
    if (x.shape.size() != 3) {
      throw py::value_error(
          "Expected 'sequences' to have the shape (batch, time, features). Received: " +
          x.ShapeText());
    }
    inputs.type = dtype == "float64" ? DataType::kFloat64 : DataType::kFloat32;
    inputs.batch = x.shape[0];
    inputs.time = x.shape[1];
    inputs.features = x.shape[2];
    const ArrayView state_weights = ViewOf(recurrent_kernel, "recurrent_kernel");
    inputs.units = state_weights.shape.empty() ? 0 : state_weights.shape[0];
    if (inputs.units < 1) {
      throw py::value_error(
          "Expected 'recurrent_kernel' to have a row for each unit. Received: "
          "an array of shape " +
          state_weights.ShapeText());
    }
    const CellLayout& layout = LayoutOf(inputs.cell);
    const int64_t columns = layout.num_gates * inputs.units;
    inputs.sequences = x.data;
    inputs.recurrent_kernel =
        Checked(recurrent_kernel, "recurrent_kernel", {inputs.units, columns});
    inputs.kernel = Checked(kernel, "kernel", {inputs.features, columns});
    inputs.bias = nullptr;
    if (bias) {
      Shape shape = {columns};
      if (layout.num_biases > 1) shape.insert(shape.begin(), layout.num_biases);
      inputs.bias = Checked(*bias, "bias", shape);
    }
    ReadStates(initial_states, "initial_states", inputs.initial_states);
    inputs.mask = nullptr;
    if (mask) {
      const ArrayView view = ViewOf(*mask, "mask");
      RequireDtype(view, "mask", "bool");
      RequireShape(view, "mask", {inputs.batch, inputs.time});
      inputs.mask = static_cast<const bool*>(view.data);
    }
    inputs.is_backwards = go_backwards;
    inputs.zero_output_for_mask = zero_output_for_mask;
    this->threads = {threads, ThreadsOf(threads)};
  }

  const void* Checked(const py::array& array, const char* name, const Shape& shape) const {
    const ArrayView view = ViewOf(array, name);
    RequireDtype(view, name, dtype);
    RequireShape(view, name, shape);
    return view.data;
  }

  void ReadStates(const std::vector<py::array>& states, const char* name, const void** to) const {
    const size_t number = LayoutOf(inputs.cell).num_states;
    if (!states.empty() && states.size() != number) {
      throw py::value_error("Expected '" + std::string(name) + "' to have " +
                            std::to_string(number) +
                            " arrays, or none. Received: " + std::to_string(states.size()));
    }
    for (int i = 0; i < kMaxStates; ++i) to[i] = nullptr;
    for (size_t i = 0; i < states.size(); ++i) {
      to[i] = Checked(states[i], name, {inputs.batch, inputs.units});
    }
  }

  py::array New(const Shape& shape) const { return py::array(py::dtype(dtype), shape); }

  // New states; `to` gets their addresses.
  std::vector<py::array> NewStates(void** to) const {
    std::vector<py::array> states;
    for (int i = 0; i < LayoutOf(inputs.cell).num_states; ++i) {
      states.push_back(New({inputs.batch, inputs.units}));
      to[i] = states.back().mutable_data();
    }
    return states;
  }

  RecurrentInputs inputs;
  std::string dtype;
  Threads threads;

 private:
  static Cell CellOf(const std::string& name) {
    std::string names;
    for (const CellName& cell : kCells) {
      if (name == cell.name) return cell.cell;
      names += (names.empty() ? "'" : ", '") + std::string(cell.name) + "'";
    }
    throw py::value_error("Invalid value for argument 'cell'. Expected one of {" + names +
                          "}. Received: cell='" + name + "'");
  }

  static void RequireShape(const ArrayView& array, const char* name, const Shape& shape) {
    if (array.shape != shape) {
      throw py::value_error("Expected '" + std::string(name) + "' to have the shape " +
                            TextOf(shape) + ". Received: " + array.ShapeText());
    }
  }
};

py::tuple Recurrent(const std::string& cell, const py::array& sequences, const py::array& kernel,
                    const py::array& recurrent_kernel, const std::optional<py::array>& bias,
                    const std::vector<py::array>& initial_states,
                    const std::optional<py::array>& mask, bool go_backwards,
                    bool zero_output_for_mask, int threads) {
  const Layer layer(cell, sequences, kernel, recurrent_kernel, bias, initial_states, mask,
                    go_backwards, zero_output_for_mask, threads);
  const RecurrentInputs& inputs = layer.inputs;
  RecurrentOutputs outputs = {};
  py::array sequence = layer.New({inputs.batch, inputs.time, inputs.units});
  outputs.sequence = sequence.mutable_data();
  const std::vector<py::array> states = layer.NewStates(outputs.states);
  {
    py::gil_scoped_release release;
    ComputeRecurrent(inputs, Steps(inputs), layer.threads, outputs);
  }
  return py::make_tuple(sequence, states);
}

py::dict RecurrentGradientsOf(
    const std::string& cell, const py::array& sequences, const py::array& kernel,
    const py::array& recurrent_kernel, const std::optional<py::array>& bias,
    const std::vector<py::array>& initial_states, const std::optional<py::array>& mask,
    bool go_backwards, bool zero_output_for_mask, const std::optional<py::array>& output_gradient,
    const std::vector<py::array>& state_gradients, bool of_sequences, int threads) {
  const Layer layer(cell, sequences, kernel, recurrent_kernel, bias, initial_states, mask,
                    go_backwards, zero_output_for_mask, threads);
  const RecurrentInputs& inputs = layer.inputs;
  const CellLayout& layout = LayoutOf(inputs.cell);
  const int64_t columns = layout.num_gates * inputs.units;
  RecurrentGradients gradients = {};
  if (output_gradient) {
    gradients.sequence = layer.Checked(*output_gradient, "output_gradient",
                                       {inputs.batch, inputs.time, inputs.units});
  }
  layer.ReadStates(state_gradients, "state_gradients", gradients.states);
  py::dict result;
  py::array of_kernel = layer.New({inputs.features, columns});
  py::array of_recurrent_kernel = layer.New({inputs.units, columns});
  gradients.kernel = of_kernel.mutable_data();
  gradients.recurrent_kernel = of_recurrent_kernel.mutable_data();
  result["kernel"] = of_kernel;
  result["recurrent_kernel"] = of_recurrent_kernel;
  result["bias"] = py::none();
  if (bias) {
    py::array of_bias = layer.New(Shape(bias->shape(), bias->shape() + bias->ndim()));
    gradients.bias = of_bias.mutable_data();
    result["bias"] = of_bias;
  }
  result["initial_states"] = layer.NewStates(gradients.initial_states);
  result["sequences"] = py::none();
  void* by_sequences = nullptr;
  if (of_sequences) {
    py::array array = layer.New({inputs.batch, inputs.time, inputs.features});
    by_sequences = array.mutable_data();
    result["sequences"] = array;
  }
  {
    py::gil_scoped_release release;
    const Steps steps(inputs);
    const int64_t bytes = inputs.type == DataType::kFloat64 ? sizeof(double) : sizeof(float);
    // Not a vector, which would write zeros to all of it first.
    const std::unique_ptr<char[]> tape(new char[TapeSize(inputs, steps) * bytes]);
    std::vector<char> states(kMaxStates * inputs.batch * inputs.units * bytes);
    RecurrentOutputs outputs = {};
    for (int i = 0; i < kMaxStates; ++i) {
      outputs.states[i] = states.data() + i * inputs.batch * inputs.units * bytes;
    }
    outputs.tape = tape.get();
    gradients.slopes = tape.get();
    ComputeRecurrent(inputs, steps, layer.threads, outputs);
    ComputeRecurrentGradients(inputs, steps, tape.get(), layer.threads, gradients);
    if (by_sequences) {
      ComputeSequencesGradient(inputs, steps, tape.get(), layer.threads, by_sequences);
    }
  }
  return result;
}

constexpr char kRecurrentDoc[] = R"(Runs an LSTM or a GRU over sequences, as Keras's layers do.

A step that the mask leaves out is not computed: state and output stay as they were.

Args:
    cell: "lstm"; "gru", whose reset gate acts on the product of the state with its weights; or
        "gru_reset_before", where it acts on the state.
    sequences: Array of shape (batch, time, features), float32 or float64. What the other arrays
        hold is of the same dtype.
    kernel: Weights of the inputs, of shape (features, gates * units). An LSTM has four gates:
        input, forget, candidate, output; a GRU three: update, reset, candidate.
    recurrent_kernel: Weights of the state, of shape (units, gates * units).
    bias: Of shape (gates * units,); of "gru" (2, gates * units), of the inputs and of the state.
    initial_states: Arrays of shape (batch, units), of an LSTM two: output and cell. Zeros if empty.
    mask: Booleans of shape (batch, time), True = keep.
    go_backwards: Whether to begin with the last step; the outputs then begin with it, too.
    zero_output_for_mask: Whether the output of a masked step is 0, not that of the step before.
    threads: Number of threads; the result's bits do not depend on it.

Returns:
    Tuple (outputs, states): an array of shape (batch, time, units), and a list of the last states.

Raises:
    ValueError, TypeError: For arrays that do not fit; says what was expected.

Example:

>>> import numpy as np
>>> from masklstm import kernels
>>> x = np.ones((1, 3, 2), "float32")
>>> kernel, recurrent_kernel = np.ones((2, 4), "float32"), np.ones((1, 4), "float32")
>>> mask = np.array([[True, False, True]])
>>> outputs, states = kernels.recurrent("lstm", x, kernel, recurrent_kernel, mask=mask)
>>> outputs[0, :, 0].round(3)
array([0.606, 0.606, 0.891], dtype=float32)
)";

constexpr char kRecurrentGradientsDoc[] =
    R"(The gradients of a sum over the results of `recurrent`, each times its own factor.

Arguments as for `recurrent`, and

Args:
    output_gradient: The factors of the outputs, of their shape; zeros if None.
    state_gradients: Those of the last states; zeros if empty.
    of_sequences: Whether the gradient by the sequences is wanted.

Returns:
    A dict with the gradients by sequences, kernel, recurrent_kernel, bias (None if there is none)
    and initial_states (a list). Masked steps have a gradient of 0, whatever they hold.

Example:

>>> import numpy as np
>>> from masklstm import kernels
>>> x = np.ones((1, 3, 2), "float32")
>>> kernel, recurrent_kernel = np.ones((2, 4), "float32"), np.ones((1, 4), "float32")
>>> mask = np.array([[True, False, True]])
>>> gradients = kernels.recurrent_gradients(
...     "lstm", x, kernel, recurrent_kernel, mask=mask, output_gradient=np.ones_like(x[..., :1]))
>>> gradients["sequences"][0, 1]
array([0., 0.], dtype=float32)
)";

}  // namespace

void DefineRecurrent(py::module_& module) {
  module.def("recurrent", &Recurrent, kRecurrentDoc, py::arg("cell"), py::arg("sequences"),
             py::arg("kernel"), py::arg("recurrent_kernel"), py::arg("bias") = py::none(),
             py::arg("initial_states") = py::tuple(), py::arg("mask") = py::none(),
             py::arg("go_backwards") = false, py::arg("zero_output_for_mask") = false,
             py::arg("threads") = 1);
  module.def("recurrent_gradients", &RecurrentGradientsOf, kRecurrentGradientsDoc, py::arg("cell"),
             py::arg("sequences"), py::arg("kernel"), py::arg("recurrent_kernel"),
             py::arg("bias") = py::none(), py::arg("initial_states") = py::tuple(),
             py::arg("mask") = py::none(), py::arg("go_backwards") = false,
             py::arg("zero_output_for_mask") = false, py::arg("output_gradient") = py::none(),
             py::arg("state_gradients") = py::tuple(), py::arg("of_sequences") = true,
             py::arg("threads") = 1);
}

}  // namespace masklstm
