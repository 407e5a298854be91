// The ops on a GPU: on TensorFlow's own stream, with scratch from its allocator. Nothing is copied
// back, and nothing waits.
#include <string>

#include "csrc/cuda/dispatch.h"
#include "csrc/tensorflow/op_kernels.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "xla/stream_executor/stream.h"

namespace masklstm {
namespace {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;

void* StreamOf(OpKernelContext* context) {
  return context->op_device_context()->stream()->platform_specific_handle().stream;
}

void Report(OpKernelContext* context, const std::string& error) {
  OP_REQUIRES(context, error.empty(), absl::InternalError(error));
}

// Memory for the time of the launched kernels: TensorFlow gives it to nobody else before the stream
// has come so far.
absl::Status AllocateScratch(OpKernelContext* context, int64_t bytes, Tensor* scratch) {
  return context->allocate_temp(tensorflow::DT_INT8, {bytes}, scratch);
}

bool IsDouble(const Tensor& tensor) { return tensor.dtype() == tensorflow::DT_DOUBLE; }

struct GpuDevice {
  static constexpr const char* kName = "GPU";

  static void Loss(OpKernelContext* context, const MaskedLossInputs& inputs, Reduction reduction,
                   Tensor* loss, Tensor* weight_sum, Tensor* valid_count) {
    Tensor scratch;
    OP_REQUIRES_OK(context,
                   AllocateScratch(context, CudaScratchBytes(inputs, reduction), &scratch));
    const CudaLossOutputs outputs{loss->data(), IsDouble(*loss),
                                  static_cast<double*>(weight_sum->data()),
                                  static_cast<int64_t*>(valid_count->data())};
    Report(context, CudaMaskedLoss(inputs, reduction, scratch.data(), outputs, StreamOf(context)));
  }

  static void Gradient(OpKernelContext* context, const MaskedLossInputs& inputs,
                       Reduction reduction, const Tensor& loss_gradient, const Tensor& weight_sum,
                       const Tensor& valid_count, Tensor* gradient) {
    const CudaScale scale{loss_gradient.data(), IsDouble(loss_gradient),
                          static_cast<const double*>(weight_sum.data()),
                          static_cast<const int64_t*>(valid_count.data())};
    Tensor scratch;
    OP_REQUIRES_OK(context,
                   AllocateScratch(context, CudaGradientScratchBytes(inputs, reduction), &scratch));
    Report(context, CudaMaskedLossGradient(inputs, reduction, scale, scratch.data(),
                                           gradient->data(), StreamOf(context)));
  }

  static void GroupSums(OpKernelContext* context, const MaskedLossInputs& inputs,
                        const Groups& groups, Tensor* loss_sum, Tensor* weight_sum,
                        Tensor* valid_count) {
    Tensor scratch;
    OP_REQUIRES_OK(context,
                   AllocateScratch(context, CudaGroupScratchBytes(inputs, groups), &scratch));
    const CudaGroupSums sums{static_cast<double*>(loss_sum->data()),
                             static_cast<double*>(weight_sum->data()),
                             static_cast<int64_t*>(valid_count->data())};
    Report(context, CudaMaskedGroupSums(inputs, groups, scratch.data(), sums, StreamOf(context)));
  }

  static void Elements(OpKernelContext* context, const MaskedLossInputs& inputs, ElementKind kind,
                       Tensor* elements) {
    Report(context, CudaMaskedLossElements(inputs, kind, elements->data(), StreamOf(context)));
  }
};

MASKLSTM_REGISTER_KERNELS(GpuDevice);

}  // namespace
}  // namespace masklstm
