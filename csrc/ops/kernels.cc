// The CPU kernels of the ops: they take TensorFlow's tensors apart and hand plain pointers on.
#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "csrc/kernels/masked_loss.h"
#include "csrc/kernels/names.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/work_sharder.h"

namespace masklstm {
namespace {

using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

template <typename T>
inline constexpr DataType kDataType =
    std::is_same_v<T, double> ? DataType::kFloat64 : DataType::kFloat32;

template <typename... Args>
absl::Status InvalidArgument(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

// What a kernel knows before it sees a tensor.
struct Attributes {
  int loss;
  double parameters[kMaxParameters] = {};
  Missing missing;
  Reduction reduction = Reduction::kSumOfElements;

  void Read(OpKernelConstruction* context) {
    std::string error;
    OP_REQUIRES(context, !InstructionSet(&error).empty(), InvalidArgument(error));
    std::string text;
    OP_REQUIRES_OK(context, context->GetAttr("loss", &text));
    loss = FindLoss(text);  // found, since the attribute allows only known names
    OP_REQUIRES_OK(context, context->GetAttr("parameters", &text));
    OP_REQUIRES(context, ParseParameters(loss, text, parameters, &error), InvalidArgument(error));
    OP_REQUIRES_OK(context, context->GetAttr("missing", &text));
    OP_REQUIRES(
        context, ParseMissing(text, &missing),
        InvalidArgument("Invalid value for attribute 'missing'. Expected 'nan', 'nonfinite' or a "
                        "number. Received: missing='",
                        text, "'"));
    if (context->HasAttr("reduction")) {
      OP_REQUIRES_OK(context, context->GetAttr("reduction", &text));
      FindReduction(text, &reduction);
    }
  }
};

absl::Status BroadcastInput(OpKernelContext* context, const char* name, const TensorShape& full,
                            Broadcast* broadcast) {
  OpInputList list;
  TF_RETURN_IF_ERROR(context->input_list(name, &list));
  if (list.size() == 0) return absl::OkStatus();
  if (list.size() > 1) {
    return InvalidArgument("Expected at most one tensor for '", name, "'. Received: ", list.size());
  }
  const TensorShape& shape = list[0].shape();
  // An empty tensor may have no memory, but it was given.
  static const char kNothing = 0;
  const void* data = list[0].data() ? list[0].data() : &kNothing;
  const auto dims = shape.dim_sizes();
  const auto full_dims = full.dim_sizes();
  switch (
      MakeBroadcast(data, dims.data(), shape.dims(), full_dims.data(), full.dims(), broadcast)) {
    case BroadcastResult::kOk:
      return absl::OkStatus();
    case BroadcastResult::kShapesDiffer:
      return InvalidArgument("Incompatible shape for argument '", name,
                             "'. Expected a shape whose axes, from the ",
                             "left, are those of y_true, ", full.DebugString(),
                             ", or 1. Received: ", name, " with shape ", shape.DebugString());
    case BroadcastResult::kTooManyAxes:
      return InvalidArgument("Argument '", name, "' of shape ", shape.DebugString(),
                             " repeats along too many ", "separate axes of y_true, ",
                             full.DebugString(), ". Broadcast it to that shape first.");
  }
  return absl::InternalError("unknown BroadcastResult");
}

template <typename T>
absl::Status ReadInputs(OpKernelContext* context, const Attributes& attributes,
                        bool has_sample_weight, MaskedLossInputs* inputs) {
  const Tensor* y_true;
  const Tensor* y_pred;
  TF_RETURN_IF_ERROR(context->input("y_true", &y_true));
  TF_RETURN_IF_ERROR(context->input("y_pred", &y_pred));
  const TensorShape& shape = y_true->shape();
  if (shape != y_pred->shape()) {
    return InvalidArgument(
        "y_true and y_pred must have the same shape. Received: y_true with shape ",
        shape.DebugString(), ", y_pred with shape ", y_pred->shape().DebugString());
  }
  inputs->loss = attributes.loss;
  std::copy_n(attributes.parameters, kMaxParameters, inputs->parameters);
  inputs->missing = attributes.missing;
  inputs->dtype = kDataType<T>;
  inputs->y_true = y_true->data();
  inputs->y_pred = y_pred->data();
  inputs->row_size = shape.dims() == 0 ? 1 : shape.dim_size(shape.dims() - 1);
  inputs->num_rows = 1;
  for (int axis = 0; axis + 1 < shape.dims(); ++axis) inputs->num_rows *= shape.dim_size(axis);
  if (has_sample_weight) {
    TF_RETURN_IF_ERROR(BroadcastInput(context, "sample_weight", shape, &inputs->sample_weight));
  }
  return BroadcastInput(context, "mask", shape, &inputs->mask);
}

// TensorFlow's own threads. Each takes the next few units when it is done with its last ones: cores
// that are shared with others do not keep pace, and a fixed share for each thread would wait for
// the slowest.
ParallelFor ThreadPoolOf(OpKernelContext* context) {
  const auto* threads = context->device()->tensorflow_cpu_worker_threads();
  return [threads](int64_t total, int64_t cost, const std::function<void(int64_t, int64_t)>& work) {
    constexpr int64_t kTurnsPerThread = 16;
    const int64_t turn = std::max<int64_t>(1, total / (threads->num_threads * kTurnsPerThread));
    std::atomic<int64_t> next{0};
    const int64_t share = total * cost / threads->num_threads;
    tensorflow::Shard(threads->num_threads, threads->workers, threads->num_threads, share,
                      [&](int64_t, int64_t) {
                        for (int64_t begin; (begin = next.fetch_add(turn)) < total;) {
                          work(begin, std::min(total, begin + turn));
                        }
                      });
  };
}

template <typename T, typename Tloss>
absl::Status CheckTypes(const Attributes& attributes) {
  if (attributes.reduction == Reduction::kNone && !std::is_same_v<T, Tloss>) {
    return InvalidArgument("Row means have the type of y_pred: expected Tloss = T.");
  }
  return absl::OkStatus();
}

template <typename T, typename Tloss>
class MaskedLossOp : public OpKernel {
 public:
  explicit MaskedLossOp(OpKernelConstruction* context) : OpKernel(context) {
    attributes_.Read(context);
    OP_REQUIRES_OK(context, CheckTypes<T, Tloss>(attributes_));
  }

  void Compute(OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs<T>(context, attributes_, true, &inputs));
    const bool rowwise = attributes_.reduction == Reduction::kNone;
    TensorShape loss_shape;
    if (rowwise) {
      loss_shape = context->input(0).shape();
      if (loss_shape.dims() > 0) loss_shape.RemoveLastDims(1);
    }
    Tensor* loss;
    Tensor* weight_sum;
    Tensor* valid_count;
    OP_REQUIRES_OK(context, context->allocate_output(0, loss_shape, &loss));
    OP_REQUIRES_OK(context, context->allocate_output(1, TensorShape({}), &weight_sum));
    OP_REQUIRES_OK(context, context->allocate_output(2, TensorShape({}), &valid_count));

    const Sums sums = ComputeMaskedLoss(inputs, attributes_.reduction, ThreadPoolOf(context),
                                        rowwise ? loss->data() : nullptr);
    if (!rowwise) {
      loss->scalar<Tloss>()() =
          static_cast<Tloss>(Divided(sums.loss_sum, sums, attributes_.reduction));
    }
    weight_sum->scalar<double>()() = sums.weight_sum;
    valid_count->scalar<int64_t>()() = sums.valid_count;
  }

 private:
  Attributes attributes_;
};

template <typename T, typename Tloss>
class MaskedLossGradOp : public OpKernel {
 public:
  explicit MaskedLossGradOp(OpKernelConstruction* context) : OpKernel(context) {
    attributes_.Read(context);
    OP_REQUIRES_OK(context, CheckTypes<T, Tloss>(attributes_));
  }

  void Compute(OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs<T>(context, attributes_, true, &inputs));
    const Tensor& loss_gradient = context->input(0);
    const bool rowwise = attributes_.reduction == Reduction::kNone;
    OP_REQUIRES(context, loss_gradient.NumElements() == (rowwise ? inputs.num_rows : 1),
                InvalidArgument("Expected the gradient of ", rowwise ? inputs.num_rows : 1,
                                " loss values. Received: loss_gradient with shape ",
                                loss_gradient.shape().DebugString()));
    const Tensor& weight_sum = context->input(1);
    const Tensor& valid_count = context->input(2);
    OP_REQUIRES(context, weight_sum.NumElements() == 1 && valid_count.NumElements() == 1,
                InvalidArgument("Expected scalars. Received: weight_sum with shape ",
                                weight_sum.shape().DebugString(), ", valid_count with shape ",
                                valid_count.shape().DebugString()));
    Sums sums;
    sums.weight_sum = weight_sum.flat<double>()(0);
    sums.valid_count = valid_count.flat<int64_t>()(0);
    Tensor* gradient;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output(
                                {kYTrue, kYPred}, 0, context->input(kYTrue).shape(), &gradient));
    ComputeMaskedLossGradient(
        inputs, attributes_.reduction, sums, rowwise ? 0.0 : loss_gradient.flat<Tloss>()(0),
        rowwise ? loss_gradient.data() : nullptr, ThreadPoolOf(context), gradient->data());
  }

 private:
  static constexpr int kYTrue = 3;
  static constexpr int kYPred = 4;

  Attributes attributes_;
};

template <typename T>
class MaskedLossElementsOp : public OpKernel {
 public:
  explicit MaskedLossElementsOp(OpKernelConstruction* context) : OpKernel(context) {
    attributes_.Read(context);
    std::string kind;
    OP_REQUIRES_OK(context, context->GetAttr("kind", &kind));
    FindElementKind(kind, &kind_);
  }

  void Compute(OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs<T>(context, attributes_, false, &inputs));
    Tensor* elements;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(0).shape(), &elements));
    ComputeMaskedLossElements(inputs, kind_, ThreadPoolOf(context), elements->data());
  }

 private:
  Attributes attributes_;
  ElementKind kind_;
};

#define MASKLSTM_REGISTER(T, Tloss)                            \
  REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedLoss")          \
                              .Device(tensorflow::DEVICE_CPU)  \
                              .TypeConstraint<T>("T")          \
                              .TypeConstraint<Tloss>("Tloss"), \
                          MaskedLossOp<T, Tloss>);             \
  REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedLossGrad")      \
                              .Device(tensorflow::DEVICE_CPU)  \
                              .TypeConstraint<T>("T")          \
                              .TypeConstraint<Tloss>("Tloss"), \
                          MaskedLossGradOp<T, Tloss>)
MASKLSTM_REGISTER(float, float);
MASKLSTM_REGISTER(float, double);
MASKLSTM_REGISTER(double, double);
#undef MASKLSTM_REGISTER

REGISTER_KERNEL_BUILDER(
    Name("Masklstm>MaskedLossElements").Device(tensorflow::DEVICE_CPU).TypeConstraint<float>("T"),
    MaskedLossElementsOp<float>);
REGISTER_KERNEL_BUILDER(
    Name("Masklstm>MaskedLossElements").Device(tensorflow::DEVICE_CPU).TypeConstraint<double>("T"),
    MaskedLossElementsOp<double>);

}  // namespace
}  // namespace masklstm
