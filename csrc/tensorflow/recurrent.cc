// The ops of recurrent layers: names, attributes, shapes, and their kernels on the CPU.
#include "csrc/recurrent/recurrent.h"

#include <string>

#include "csrc/recurrent/dispatch.h"
#include "csrc/tensorflow/arguments.h"
#include "csrc/tensorflow/memory.h"
#include "csrc/tensorflow/threads.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace masklstm {
namespace {

using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::OpOutputList;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

// The shapes of an op's inputs, by their lists.
absl::Status InputShapes(InferenceContext* context, const char* name, int index,
                         ShapeHandle* shape) {
  std::vector<ShapeHandle> shapes;
  TF_RETURN_IF_ERROR(context->input(name, &shapes));
  *shape = index < static_cast<int>(shapes.size()) ? shapes[index] : context->UnknownShape();
  return absl::OkStatus();
}

absl::Status RecurrentShape(InferenceContext* context) {
  ShapeHandle sequences, state_weights, kernel;
  TF_RETURN_IF_ERROR(InputShapes(context, "sequences", 0, &sequences));
  TF_RETURN_IF_ERROR(InputShapes(context, "kernel", 0, &kernel));
  TF_RETURN_IF_ERROR(InputShapes(context, "recurrent_kernel", 0, &state_weights));
  TF_RETURN_IF_ERROR(context->WithRank(sequences, 3, &sequences));
  TF_RETURN_IF_ERROR(context->WithRank(kernel, 2, &kernel));
  TF_RETURN_IF_ERROR(context->WithRank(state_weights, 2, &state_weights));
  DimensionHandle features;
  TF_RETURN_IF_ERROR(
      context->Merge(context->Dim(sequences, 2), context->Dim(kernel, 0), &features));
  bool return_sequences;
  TF_RETURN_IF_ERROR(context->GetAttr("return_sequences", &return_sequences));
  const DimensionHandle batch = context->Dim(sequences, 0);
  const DimensionHandle units = context->Dim(state_weights, 0);
  const DimensionHandle time = return_sequences ? context->Dim(sequences, 1) : context->MakeDim(0);
  context->set_output(0, context->MakeShape({batch, time, units}));
  const int num_outputs = context->num_outputs();
  for (int output = 1; output < num_outputs - 1; ++output) {
    context->set_output(output, context->Matrix(batch, units));
  }
  context->set_output(num_outputs - 1, context->Vector(context->UnknownDim()));
  return absl::OkStatus();
}

absl::Status GradientShapes(InferenceContext* context) {
  int output = 0;
  for (const char* name : {"kernel", "recurrent_kernel", "bias", "initial_states"}) {
    std::vector<ShapeHandle> shapes;
    TF_RETURN_IF_ERROR(context->input(name, &shapes));
    for (const ShapeHandle& shape : shapes) context->set_output(output++, shape);
  }
  context->set_output(output, context->Vector(context->UnknownDim()));
  return absl::OkStatus();
}

// What the kernels of all ops here know before they see a tensor.
class RecurrentKernel : public OpKernel {
 public:
  explicit RecurrentKernel(OpKernelConstruction* context) : OpKernel(context) {
    std::string name;
    OP_REQUIRES_OK(context, context->GetAttr("cell", &name));
    for (const CellName& cell : kCells) {
      if (name == cell.name) cell_ = cell.cell;
    }
    OP_REQUIRES_OK(context, context->GetAttr("go_backwards", &is_backwards_));
    OP_REQUIRES_OK(context, context->GetAttr("zero_output_for_mask", &zero_output_for_mask_));
  }

 protected:
  const CellLayout& layout() const { return LayoutOf(cell_); }

  // The sequences, the mask and what they say of the sizes.
  absl::Status ReadSequences(OpKernelContext* context, RecurrentInputs* inputs) const {
    const Tensor* sequences;
    OpInputList mask;
    TF_RETURN_IF_ERROR(context->input("sequences", &sequences));
    TF_RETURN_IF_ERROR(context->input_list("mask", &mask));
    if (sequences->dims() != 3) {
      return InvalidArgument("Expected sequences of shape (batch, time, features). Received: ",
                             sequences->shape().DebugString());
    }
    *inputs = {};
    inputs->cell = cell_;
    inputs->type =
        sequences->dtype() == tensorflow::DT_DOUBLE ? DataType::kFloat64 : DataType::kFloat32;
    inputs->batch = sequences->dim_size(0);
    inputs->time = sequences->dim_size(1);
    inputs->features = sequences->dim_size(2);
    inputs->is_backwards = is_backwards_;
    inputs->zero_output_for_mask = zero_output_for_mask_;
    inputs->sequences = sequences->data();
    TF_RETURN_IF_ERROR(CheckNumber(mask.size(), 1, "mask"));
    if (mask.size() > 0) {
      TF_RETURN_IF_ERROR(CheckShape(mask[0], "mask", {inputs->batch, inputs->time}));
      inputs->mask = static_cast<const bool*>(mask[0].data());
    }
    return absl::OkStatus();
  }

  absl::Status ReadWeights(OpKernelContext* context, RecurrentInputs* inputs) const {
    const Tensor *kernel, *recurrent_kernel;
    OpInputList bias, states;
    TF_RETURN_IF_ERROR(context->input("kernel", &kernel));
    TF_RETURN_IF_ERROR(context->input("recurrent_kernel", &recurrent_kernel));
    TF_RETURN_IF_ERROR(context->input_list("bias", &bias));
    TF_RETURN_IF_ERROR(context->input_list("initial_states", &states));
    inputs->units = recurrent_kernel->dims() == 2 ? recurrent_kernel->dim_size(0) : 0;
    if (inputs->units < 1) {
      return InvalidArgument("Expected a recurrent_kernel with a row for each unit. Received: ",
                             recurrent_kernel->shape().DebugString());
    }
    const int64_t columns = layout().num_gates * inputs->units;
    TF_RETURN_IF_ERROR(CheckShape(*recurrent_kernel, "recurrent_kernel", {inputs->units, columns}));
    TF_RETURN_IF_ERROR(CheckShape(*kernel, "kernel", {inputs->features, columns}));
    inputs->kernel = kernel->data();
    inputs->recurrent_kernel = recurrent_kernel->data();
    TF_RETURN_IF_ERROR(CheckNumber(bias.size(), 1, "bias"));
    if (bias.size() > 0) {
      const TensorShape shape = layout().num_biases == 1
                                    ? TensorShape({columns})
                                    : TensorShape({layout().num_biases, columns});
      TF_RETURN_IF_ERROR(CheckShape(bias[0], "bias", shape));
      inputs->bias = bias[0].data();
    }
    return ReadStates(states, "initial_states", *inputs, inputs->initial_states);
  }

  absl::Status ReadStates(const OpInputList& states, const char* name,
                          const RecurrentInputs& inputs, const void** to) const {
    if (states.size() != layout().num_states) {
      return InvalidArgument("Expected ", layout().num_states, " tensors as ", name,
                             ". Received: ", states.size());
    }
    for (int i = 0; i < states.size(); ++i) {
      TF_RETURN_IF_ERROR(CheckShape(states[i], name, {inputs.batch, inputs.units}));
      to[i] = states[i].data();
    }
    return absl::OkStatus();
  }

  static absl::Status CheckShape(const Tensor& tensor, const char* name, const TensorShape& shape) {
    if (tensor.shape() == shape) return absl::OkStatus();
    return InvalidArgument("Expected ", name, " to have the shape ", shape.DebugString(),
                           ". Received: ", tensor.shape().DebugString());
  }

  static Threads ThreadsOf(OpKernelContext* context) {
    return {context->device()->tensorflow_cpu_worker_threads()->num_threads, ThreadPoolOf(context)};
  }

 private:
  Cell cell_ = Cell::kLstm;
  bool is_backwards_ = false;
  bool zero_output_for_mask_ = false;
};

// One that reads the weights as well.
class WholeRecurrentKernel : public RecurrentKernel {
 public:
  using RecurrentKernel::RecurrentKernel;

  void Compute(OpKernelContext* context) override {
    RecurrentInputs inputs;
    OP_REQUIRES_OK(context, ReadSequences(context, &inputs));
    OP_REQUIRES_OK(context, ReadWeights(context, &inputs));
    WithMemory(context, [&] { Run(context, inputs); });
  }

  virtual void Run(OpKernelContext* context, const RecurrentInputs& inputs) = 0;
};

class RecurrentOp : public WholeRecurrentKernel {
 public:
  explicit RecurrentOp(OpKernelConstruction* context) : WholeRecurrentKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("return_sequences", &return_sequences_));
    OP_REQUIRES_OK(context, context->GetAttr("keep_tape", &keep_tape_));
  }

 private:
  void Run(OpKernelContext* context, const RecurrentInputs& inputs) override {
    const Steps steps(inputs);
    RecurrentOutputs outputs = {};
    Tensor *sequence, *tape;
    OpOutputList states;
    const int64_t time = return_sequences_ ? inputs.time : 0;
    OP_REQUIRES_OK(context, context->allocate_output(
                                0, TensorShape({inputs.batch, time, inputs.units}), &sequence));
    if (return_sequences_) outputs.sequence = sequence->data();
    OP_REQUIRES_OK(context, context->output_list("states", &states));
    const TensorShape state_shape({inputs.batch, inputs.units});
    for (int i = 0; i < states.size(); ++i) {
      Tensor* state;
      OP_REQUIRES_OK(context, states.allocate(i, state_shape, &state));
      outputs.states[i] = state->data();
    }
    const int64_t size = keep_tape_ ? TapeSize(inputs, steps) : 0;
    OP_REQUIRES_OK(context,
                   context->allocate_output(1 + states.size(), TensorShape({size}), &tape));
    if (keep_tape_) outputs.tape = tape->data();
    ComputeRecurrent(inputs, steps, ThreadsOf(context), outputs);
  }

  bool return_sequences_ = false;
  bool keep_tape_ = false;
};

class RecurrentGradOp : public WholeRecurrentKernel {
 public:
  using WholeRecurrentKernel::WholeRecurrentKernel;

 private:
  void Run(OpKernelContext* context, const RecurrentInputs& inputs) override {
    const Steps steps(inputs);
    const Threads threads = ThreadsOf(context);
    RecurrentGradients gradients = {};
    const Tensor* upstream;
    OpInputList of_states;
    OP_REQUIRES_OK(context, context->input("output_gradient", &upstream));
    OP_REQUIRES_OK(context, context->input_list("state_gradients", &of_states));
    OP_REQUIRES_OK(context, ReadStates(of_states, "state_gradients", inputs, gradients.states));
    if (upstream->dims() != 3 || upstream->dim_size(1) != 0) {
      OP_REQUIRES_OK(context, CheckShape(*upstream, "output_gradient",
                                         {inputs.batch, inputs.time, inputs.units}));
      gradients.sequence = upstream->data();
    }

    const int64_t columns = layout().num_gates * inputs.units;
    int output = 0;
    const auto allocate = [&](const TensorShape& shape) {
      Tensor* tensor = nullptr;
      context->SetStatus(context->allocate_output(output++, shape, &tensor));
      return context->status().ok() ? tensor->data() : nullptr;
    };
    gradients.kernel = allocate({inputs.features, columns});
    gradients.recurrent_kernel = allocate({inputs.units, columns});
    if (inputs.bias) {
      OpInputList bias;
      OP_REQUIRES_OK(context, context->input_list("bias", &bias));
      gradients.bias = allocate(bias[0].shape());
    }
    for (int i = 0; i < layout().num_states; ++i) {
      gradients.initial_states[i] = allocate({inputs.batch, inputs.units});
    }
    OP_REQUIRES_OK(context, context->status());

    // The slopes take the place of the tape if nobody else will read it.
    const TensorShape tape_shape({TapeSize(inputs, steps)});
    int at, end;
    OP_REQUIRES_OK(context, InputRange("tape", &at, &end));
    Tensor* slopes;
    if (context->input(at).NumElements() == 0) {  // it was not kept
      OP_REQUIRES_OK(context, context->allocate_output(output, tape_shape, &slopes));
      KeepTape(context, inputs, steps, threads, slopes->data());
      if (!context->status().ok()) return;
      gradients.slopes = slopes->data();
      ComputeRecurrentGradients(inputs, steps, slopes->data(), threads, gradients);
      return;
    }
    OP_REQUIRES_OK(context, CheckShape(context->input(at), "tape", tape_shape));
    const void* const tape = context->input(at).data();  // a Tensor of our own would be a reader
    // The slopes take the place of the tape, unless somebody else will read that.
    OP_REQUIRES_OK(context,
                   context->forward_input_or_allocate_output({at}, output, tape_shape, &slopes));
    gradients.slopes = slopes->data();
    ComputeRecurrentGradients(inputs, steps, tape, threads, gradients);
  }

  void KeepTape(OpKernelContext* context, const RecurrentInputs& inputs, const Steps& steps,
                const Threads& threads, void* tape) const {
    RecurrentOutputs outputs = {};
    Tensor states[kMaxStates];
    for (int i = 0; i < layout().num_states; ++i) {
      OP_REQUIRES_OK(context,
                     context->allocate_temp(context->input(0).dtype(),
                                            TensorShape({inputs.batch, inputs.units}), &states[i]));
      outputs.states[i] = states[i].data();
    }
    outputs.tape = tape;
    ComputeRecurrent(inputs, steps, threads, outputs);
  }
};

class RecurrentSequencesGradOp : public RecurrentKernel {
 public:
  using RecurrentKernel::RecurrentKernel;

  void Compute(OpKernelContext* context) override {
    RecurrentInputs inputs;
    const Tensor *kernel, *slopes;
    OP_REQUIRES_OK(context, ReadSequences(context, &inputs));
    OP_REQUIRES_OK(context, context->input("kernel", &kernel));
    OP_REQUIRES_OK(context, context->input("slopes", &slopes));
    const int64_t gates = layout().num_gates;
    inputs.units = kernel->dims() == 2 ? kernel->dim_size(1) / gates : 0;
    OP_REQUIRES_OK(context, CheckShape(*kernel, "kernel", {inputs.features, gates * inputs.units}));
    inputs.kernel = kernel->data();
    Tensor* gradient;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(0).shape(), &gradient));
    WithMemory(context, [&] {
      const Steps steps(inputs);
      OP_REQUIRES_OK(context, CheckShape(*slopes, "slopes", {TapeSize(inputs, steps)}));
      ComputeSequencesGradient(inputs, steps, slopes->data(), ThreadsOf(context), gradient->data());
    });
  }
};

}  // namespace

// `initial_states` are two for an LSTM, output and cell, and one for a GRU. `outputs` is empty
// along the time without return_sequences. `tape` is for the gradient; without keep_tape it is
// empty, and a gradient runs the forward pass once more.
REGISTER_OP("Masklstm>Recurrent")
    .Input("sequences: T")
    .Input("mask: num_masks * bool")
    .Input("kernel: T")
    .Input("recurrent_kernel: T")
    .Input("bias: num_biases * T")
    .Input("initial_states: num_states * T")
    .Output("outputs: T")
    .Output("states: num_states * T")
    .Output("tape: T")
    .Attr("T: {float, double}")
    .Attr("num_masks: int >= 0 = 0")
    .Attr("num_biases: int >= 0 = 1")
    .Attr("num_states: int >= 1")
    .Attr("cell: {'lstm', 'gru', 'gru_reset_before'}")
    .Attr("go_backwards: bool = false")
    .Attr("zero_output_for_mask: bool = false")
    .Attr("return_sequences: bool = true")
    .Attr("keep_tape: bool = true")
    .SetShapeFn(RecurrentShape);

// `slopes`, by what goes into the gates, are for the gradient by the sequences: an op of its own,
// since a first layer does not need it.
REGISTER_OP("Masklstm>RecurrentGrad")
    .Input("sequences: T")
    .Input("mask: num_masks * bool")
    .Input("kernel: T")
    .Input("recurrent_kernel: T")
    .Input("bias: num_biases * T")
    .Input("initial_states: num_states * T")
    .Input("tape: T")
    .Input("output_gradient: T")
    .Input("state_gradients: num_states * T")
    .Output("kernel_gradient: T")
    .Output("recurrent_kernel_gradient: T")
    .Output("bias_gradient: num_biases * T")
    .Output("initial_states_gradient: num_states * T")
    .Output("slopes: T")
    .Attr("T: {float, double}")
    .Attr("num_masks: int >= 0 = 0")
    .Attr("num_biases: int >= 0 = 1")
    .Attr("num_states: int >= 1")
    .Attr("cell: {'lstm', 'gru', 'gru_reset_before'}")
    .Attr("go_backwards: bool = false")
    .Attr("zero_output_for_mask: bool = false")
    .SetShapeFn(GradientShapes);

REGISTER_OP("Masklstm>RecurrentSequencesGrad")
    .Input("sequences: T")
    .Input("mask: num_masks * bool")
    .Input("kernel: T")
    .Input("slopes: T")
    .Output("gradient: T")
    .Attr("T: {float, double}")
    .Attr("num_masks: int >= 0 = 0")
    .Attr("cell: {'lstm', 'gru', 'gru_reset_before'}")
    .Attr("go_backwards: bool = false")
    .Attr("zero_output_for_mask: bool = false")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape);

REGISTER_KERNEL_BUILDER(Name("Masklstm>Recurrent").Device("CPU"), RecurrentOp);
REGISTER_KERNEL_BUILDER(Name("Masklstm>RecurrentGrad").Device("CPU"), RecurrentGradOp);
REGISTER_KERNEL_BUILDER(Name("Masklstm>RecurrentSequencesGrad").Device("CPU"),
                        RecurrentSequencesGradOp);

}  // namespace masklstm
