// The CPU kernels of the ops: they take TensorFlow's tensors apart and hand plain pointers on.
#include <algorithm>
#include <new>
#include <string>
#include <vector>

#include "csrc/kernels/masked_loss.h"
#include "csrc/kernels/names.h"
#include "csrc/ops/arguments.h"
#include "csrc/ops/parallel_for.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace masklstm {
namespace {

using tensorflow::OpInputList;
using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// Fills views[0], views[1] ... with the tensors of the list input.
template <int kSize>
absl::Status MakeViews(OpKernelContext* context, const char* name, const TensorShape& full,
                       Broadcast (&views)[kSize]) {
  OpInputList list;
  TF_RETURN_IF_ERROR(context->input_list(name, &list));
  TF_RETURN_IF_ERROR(CheckNumber(list.size(), kSize, name));
  for (int i = 0; i < list.size(); ++i) {
    TF_RETURN_IF_ERROR(MakeView(list[i].data(), list[i].shape(), name, full, &views[i]));
  }
  return absl::OkStatus();
}

absl::Status ReadInputs(OpKernelContext* context, const Attributes& attributes,
                        bool has_sample_weight, MaskedLossInputs* inputs) {
  const Tensor* y_true;
  const Tensor* y_pred;
  TF_RETURN_IF_ERROR(context->input("y_true", &y_true));
  TF_RETURN_IF_ERROR(context->input("y_pred", &y_pred));
  const TensorShape& shape = y_true->shape();
  TF_RETURN_IF_ERROR(CheckSameShape(shape, y_pred->shape()));
  inputs->loss = attributes.loss;
  std::copy_n(attributes.parameters, kMaxParameters, inputs->parameters);
  inputs->missing = attributes.missing;
  inputs->label_type = DataTypeOf(y_true->dtype());
  inputs->prediction_type = DataTypeOf(y_pred->dtype());
  inputs->y_true = y_true->data();
  inputs->y_pred = y_pred->data();
  inputs->row_size = shape.dims() == 0 ? 1 : shape.dim_size(shape.dims() - 1);
  inputs->num_rows = 1;
  for (int axis = 0; axis + 1 < shape.dims(); ++axis) inputs->num_rows *= shape.dim_size(axis);
  if (has_sample_weight) {
    TF_RETURN_IF_ERROR(MakeViews(context, "sample_weight", shape, inputs->weights));
  }
  Broadcast masks[1];
  TF_RETURN_IF_ERROR(MakeViews(context, "mask", shape, masks));
  inputs->mask = masks[0];
  return absl::OkStatus();
}

// The value of a loss tensor, float or double.
double ReadScalar(const Tensor& tensor) {
  return tensor.dtype() == tensorflow::DT_DOUBLE ? tensor.flat<double>()(0)
                                                 : tensor.flat<float>()(0);
}

void WriteScalar(double value, Tensor* tensor) {
  if (tensor->dtype() == tensorflow::DT_DOUBLE) {
    tensor->scalar<double>()() = value;
  } else {
    tensor->scalar<float>()() = static_cast<float>(value);
  }
}

// Runs compute(), and turns a lack of memory for the library's own sums into TensorFlow's error for
// it: an exception would end the process.
template <typename Compute>
void WithMemory(OpKernelContext* context, const Compute& compute) {
  try {
    compute();
  } catch (const std::bad_alloc&) {
    context->SetStatus(absl::ResourceExhaustedError("masklstm: out of memory for partial sums"));
  }
}

class MaskedLossOp : public OpKernel {
 public:
  explicit MaskedLossOp(OpKernelConstruction* context) : OpKernel(context) {
    attributes_.Read(context);
  }

  void Compute(OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs(context, attributes_, true, &inputs));
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

    Sums sums;
    WithMemory(context, [&] {
      sums = ComputeMaskedLoss(inputs, attributes_.reduction, ThreadPoolOf(context),
                               rowwise ? loss->data() : nullptr);
    });
    if (!rowwise) {
      WriteScalar(Divided(sums.loss_sum, sums, attributes_.reduction), loss);
    }
    weight_sum->scalar<double>()() = sums.weight_sum;
    valid_count->scalar<int64_t>()() = sums.valid_count;
  }

 private:
  Attributes attributes_;
};

class MaskedLossGradOp : public OpKernel {
 public:
  explicit MaskedLossGradOp(OpKernelConstruction* context) : OpKernel(context) {
    attributes_.Read(context);
  }

  void Compute(OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs(context, attributes_, true, &inputs));
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
        inputs, attributes_.reduction, sums, rowwise ? 0.0 : ReadScalar(loss_gradient),
        rowwise ? loss_gradient.data() : nullptr, ThreadPoolOf(context), gradient->data());
  }

 private:
  static constexpr int kYTrue = 3;
  static constexpr int kYPred = 4;

  Attributes attributes_;
};

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
    OP_REQUIRES_OK(context, ReadInputs(context, attributes_, false, &inputs));
    Tensor* elements;
    OP_REQUIRES_OK(context, context->allocate_output(0, context->input(0).shape(), &elements));
    ComputeMaskedLossElements(inputs, kind_, ThreadPoolOf(context), elements->data());
  }

 private:
  Attributes attributes_;
  ElementKind kind_;
};

class MaskedGroupSumsOp : public OpKernel {
 public:
  explicit MaskedGroupSumsOp(OpKernelConstruction* context) : OpKernel(context) {
    attributes_.Read(context);
  }

  void Compute(OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs(context, attributes_, true, &inputs));
    const TensorShape& shape = context->input(0).shape();
    int axis;
    OP_REQUIRES_OK(context, FindGroupAxis(attributes_, shape, &axis));
    const auto dims = shape.dim_sizes();
    const Groups groups = GroupsAlong(axis, dims.data(), shape.dims());
    const TensorShape result_shape({groups.num_groups});
    Tensor* loss_sum;
    Tensor* weight_sum;
    Tensor* valid_count;
    OP_REQUIRES_OK(context, context->allocate_output(0, result_shape, &loss_sum));
    OP_REQUIRES_OK(context, context->allocate_output(1, result_shape, &weight_sum));
    OP_REQUIRES_OK(context, context->allocate_output(2, result_shape, &valid_count));
    WithMemory(context, [&] {
      std::vector<Sums> sums(groups.num_groups);
      ComputeGroupSums(inputs, groups, ThreadPoolOf(context), sums.data());
      for (int64_t i = 0; i < groups.num_groups; ++i) {
        loss_sum->vec<double>()(i) = sums[i].loss_sum;
        weight_sum->vec<double>()(i) = sums[i].weight_sum;
        valid_count->vec<int64_t>()(i) = sums[i].valid_count;
      }
    });
  }

 private:
  Attributes attributes_;
};

// One kernel for all types: they are told apart by the library underneath.
REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedLoss").Device(tensorflow::DEVICE_CPU), MaskedLossOp);
REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedGroupSums").Device(tensorflow::DEVICE_CPU),
                        MaskedGroupSumsOp);
REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedLossGrad").Device(tensorflow::DEVICE_CPU),
                        MaskedLossGradOp);
REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedLossElements").Device(tensorflow::DEVICE_CPU),
                        MaskedLossElementsOp);

}  // namespace
}  // namespace masklstm
