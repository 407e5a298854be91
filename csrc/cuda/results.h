// The results of a reduction: where blocks leave their sums, and what a gradient takes from there.
#ifndef MASKLSTM_CSRC_CUDA_RESULTS_H_
#define MASKLSTM_CSRC_CUDA_RESULTS_H_

#include <cuda_runtime.h>

#include "csrc/core/division.h"
#include "csrc/core/masked_loss.h"
#include "csrc/cuda/dispatch.h"
#include "csrc/cuda/sums.h"

namespace masklstm {
namespace {

constexpr int kMinBlocks = 2;  // on a multiprocessor: up to 128 registers, so that none is spilled

// Where the sums of a reduction go: to the partial sums of the blocks, or, from the only block, to
// the outputs.
struct SumsOutput {
  Sums* partial;
  CudaLossOutputs outputs;
  Reduction reduction;

  __device__ void Finish(const Sums& sums) const {
    if (outputs.loss != nullptr) {
      const double loss = Divided(sums.loss_sum, sums, reduction);
      if (outputs.loss_is_double) {
        *static_cast<double*>(outputs.loss) = loss;
      } else {
        *static_cast<float*>(outputs.loss) = static_cast<float>(loss);
      }
    }
    if (outputs.weight_sum != nullptr) *outputs.weight_sum = sums.weight_sum;
    if (outputs.valid_count != nullptr) *outputs.valid_count = sums.valid_count;
  }

  // Called by all threads of the block with their sums.
  __device__ void Write(const Sums& of_thread) const {
    const Sums sums = SumOverBlock(of_thread);
    if (threadIdx.x != 0) return;
    if (gridDim.x == 1) {
      Finish(sums);
    } else {
      partial[blockIdx.x] = sums;
    }
  }
};

__global__ void __launch_bounds__(kThreads, kMinBlocks)
    FinishSums(SumsOutput output, int num_partial) {
  Sums sums;
  for (int i = threadIdx.x; i < num_partial; i += kThreads) sums += output.partial[i];
  const Sums total = SumOverBlock(sums);
  if (threadIdx.x == 0) output.Finish(total);
}

// The factor of a gradient, from the results of the forward pass.
__device__ inline double UpstreamOver(const CudaScale& scale, Reduction reduction) {
  double upstream = 1.0;
  if (scale.loss_gradient != nullptr) {
    upstream = scale.loss_gradient_is_double ? *static_cast<const double*>(scale.loss_gradient)
                                             : *static_cast<const float*>(scale.loss_gradient);
  }
  Sums sums;
  if (scale.weight_sum != nullptr) sums.weight_sum = *scale.weight_sum;
  if (scale.valid_count != nullptr) sums.valid_count = *scale.valid_count;
  return Divided(upstream, sums, reduction);
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_RESULTS_H_
