// The ops' kernels, the same for every device: they take TensorFlow's tensors apart, check them,
// allocate the results and hand the work to `Device`, which has
//
//   static constexpr const char* kName;  // TensorFlow's
//   static void Loss(OpKernelContext*, const MaskedLossInputs&, Reduction, Tensor* loss,
//                    Tensor* weight_sum, Tensor* valid_count);
//   static void Gradient(OpKernelContext*, const MaskedLossInputs&, Reduction,
//                        const Tensor& loss_gradient, const Tensor& weight_sum,
//                        const Tensor& valid_count, Tensor* gradient);
//   static void GroupSums(OpKernelContext*, const MaskedLossInputs&, const Groups&,
//                         Tensor* loss_sum, Tensor* weight_sum, Tensor* valid_count);
//   static void Elements(OpKernelContext*, const MaskedLossInputs&, ElementKind, Tensor* elements);
//
// and reports what goes wrong to the context.
#ifndef MASKLSTM_CSRC_TENSORFLOW_OP_KERNELS_H_
#define MASKLSTM_CSRC_TENSORFLOW_OP_KERNELS_H_

#include <string>

#include "csrc/core/masked_loss.h"
#include "csrc/core/names.h"
#include "csrc/tensorflow/arguments.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace masklstm {

using OpWithAttributes = WithAttributes<tensorflow::OpKernel>;

template <typename Device>
class MaskedLossOp : public OpWithAttributes {
 public:
  using OpWithAttributes::OpWithAttributes;

  void Compute(tensorflow::OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs(context, attributes_, true, &inputs));
    tensorflow::TensorShape loss_shape;
    if (attributes_.reduction == Reduction::kNone) {
      loss_shape = context->input(0).shape();
      if (loss_shape.dims() > 0) loss_shape.RemoveLastDims(1);
    }
    tensorflow::Tensor *loss, *weight_sum, *valid_count;
    OP_REQUIRES_OK(context, context->allocate_output(0, loss_shape, &loss));
    OP_REQUIRES_OK(context, context->allocate_output(1, {}, &weight_sum));
    OP_REQUIRES_OK(context, context->allocate_output(2, {}, &valid_count));
    Device::Loss(context, inputs, attributes_.reduction, loss, weight_sum, valid_count);
  }
};

template <typename Device>
class MaskedLossGradOp : public OpWithAttributes {
 public:
  using OpWithAttributes::OpWithAttributes;

  void Compute(tensorflow::OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs(context, attributes_, true, &inputs));
    const tensorflow::Tensor& loss_gradient = context->input(0);
    const tensorflow::Tensor& weight_sum = context->input(1);
    const tensorflow::Tensor& valid_count = context->input(2);
    OP_REQUIRES_OK(context,
                   CheckResults(attributes_.reduction, context->input(kYTrue).shape(),
                                loss_gradient.shape(), weight_sum.shape(), valid_count.shape()));
    tensorflow::Tensor* gradient;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output(
                                {kYTrue, kYPred}, 0, context->input(kYPred).shape(), &gradient));
    Device::Gradient(context, inputs, attributes_.reduction, loss_gradient, weight_sum, valid_count,
                     gradient);
  }

 private:
  static constexpr int kYTrue = 3;
  static constexpr int kYPred = 4;
};

template <typename Device>
class MaskedLossElementsOp : public OpWithAttributes {
 public:
  using OpWithAttributes::OpWithAttributes;

  void Compute(tensorflow::OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs(context, attributes_, false, &inputs));
    OP_REQUIRES_OK(context, ReadDirection(context, attributes_, &inputs));
    const int of_shape = IsByPrediction(attributes_.kind) ? 1 : 0;  // y_pred's or y_true's
    tensorflow::Tensor* elements;
    OP_REQUIRES_OK(context,
                   context->allocate_output(0, context->input(of_shape).shape(), &elements));
    Device::Elements(context, inputs, attributes_.kind, elements);
  }
};

template <typename Device>
class MaskedGroupSumsOp : public OpWithAttributes {
 public:
  using OpWithAttributes::OpWithAttributes;

  void Compute(tensorflow::OpKernelContext* context) override {
    MaskedLossInputs inputs;
    OP_REQUIRES_OK(context, ReadInputs(context, attributes_, true, &inputs));
    const tensorflow::TensorShape& shape = context->input(0).shape();
    int axis;
    OP_REQUIRES_OK(context, FindGroupAxis(attributes_, shape, &axis));
    const auto dims = shape.dim_sizes();
    const Groups groups = GroupsAlong(axis, dims.data(), shape.dims());
    const tensorflow::TensorShape result_shape({groups.num_groups});
    tensorflow::Tensor *loss_sum, *weight_sum, *valid_count;
    OP_REQUIRES_OK(context, context->allocate_output(0, result_shape, &loss_sum));
    OP_REQUIRES_OK(context, context->allocate_output(1, result_shape, &weight_sum));
    OP_REQUIRES_OK(context, context->allocate_output(2, result_shape, &valid_count));
    Device::GroupSums(context, inputs, groups, loss_sum, weight_sum, valid_count);
  }
};

// One kernel for all types: they are told apart by the library underneath.
#define MASKLSTM_REGISTER_KERNELS(OfDevice)                                            \
  REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedLoss").Device(OfDevice::kName),         \
                          MaskedLossOp<OfDevice>);                                     \
  REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedLossGrad").Device(OfDevice::kName),     \
                          MaskedLossGradOp<OfDevice>);                                 \
  REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedGroupSums").Device(OfDevice::kName),    \
                          MaskedGroupSumsOp<OfDevice>);                                \
  REGISTER_KERNEL_BUILDER(Name("Masklstm>MaskedLossElements").Device(OfDevice::kName), \
                          MaskedLossElementsOp<OfDevice>)

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_TENSORFLOW_OP_KERNELS_H_
