// The ops on the CPU.
#include <vector>

#include "csrc/core/division.h"
#include "csrc/core/masked_loss.h"
#include "csrc/cpu/dispatch.h"
#include "csrc/tensorflow/memory.h"
#include "csrc/tensorflow/op_kernels.h"
#include "csrc/tensorflow/threads.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace masklstm {
namespace {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;

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

struct CpuDevice {
  static constexpr const char* kName = "CPU";

  static void Loss(OpKernelContext* context, const MaskedLossInputs& inputs, Reduction reduction,
                   Tensor* loss, Tensor* weight_sum, Tensor* valid_count) {
    const bool rowwise = reduction == Reduction::kNone;
    Sums sums;
    WithMemory(context, [&] {
      sums = ComputeMaskedLoss(inputs, reduction, ThreadPoolOf(context),
                               rowwise ? loss->data() : nullptr);
    });
    if (!rowwise) WriteScalar(Divided(sums.loss_sum, sums, reduction), loss);
    weight_sum->scalar<double>()() = sums.weight_sum;
    valid_count->scalar<int64_t>()() = sums.valid_count;
  }

  static void Gradient(OpKernelContext* context, const MaskedLossInputs& inputs,
                       Reduction reduction, const Tensor& loss_gradient, const Tensor& weight_sum,
                       const Tensor& valid_count, Tensor* gradient) {
    const bool rowwise = reduction == Reduction::kNone;
    Sums sums;
    sums.weight_sum = weight_sum.flat<double>()(0);
    sums.valid_count = valid_count.flat<int64_t>()(0);
    ComputeMaskedLossGradient(inputs, reduction, sums, rowwise ? 0.0 : ReadScalar(loss_gradient),
                              rowwise ? loss_gradient.data() : nullptr, ThreadPoolOf(context),
                              gradient->data());
  }

  static void GroupSums(OpKernelContext* context, const MaskedLossInputs& inputs,
                        const Groups& groups, Tensor* loss_sum, Tensor* weight_sum,
                        Tensor* valid_count) {
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

  static void Elements(OpKernelContext* context, const MaskedLossInputs& inputs, ElementKind kind,
                       Tensor* elements) {
    ComputeMaskedLossElements(inputs, kind, ThreadPoolOf(context), elements->data());
  }
};

MASKLSTM_REGISTER_KERNELS(CpuDevice);

}  // namespace
}  // namespace masklstm
