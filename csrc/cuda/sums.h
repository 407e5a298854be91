// Sums over the threads of a warp and of a block, in a fixed order.
#ifndef MASKLSTM_CSRC_CUDA_SUMS_H_
#define MASKLSTM_CSRC_CUDA_SUMS_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "csrc/core/masked_loss.h"

namespace masklstm {
namespace {

constexpr int kWarp = 32;
constexpr int kThreads = 256;  // of every block
constexpr int kWarps = kThreads / kWarp;
constexpr unsigned kAllLanes = 0xffffffffu;

// The sum over `width` neighbouring lanes (a power of two), with the same bits in all of them. All
// lanes of the warp must call it.
template <typename Number>
__device__ Number SumOverLanes(Number sum, int width) {
  for (int offset = width / 2; offset > 0; offset /= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, offset, width);
  }
  return sum;
}

// The sum over the block, in all of its threads, which must all call it.
__device__ inline Sums SumOverBlock(Sums sums) {
  __shared__ double loss_sums[kWarps];
  __shared__ double weight_sums[kWarps];
  __shared__ int64_t valid_counts[kWarps];
  sums.loss_sum = SumOverLanes(sums.loss_sum, kWarp);
  sums.weight_sum = SumOverLanes(sums.weight_sum, kWarp);
  sums.valid_count = SumOverLanes(sums.valid_count, kWarp);
  const int warp = threadIdx.x / kWarp;
  __syncthreads();  // a call before this one may still be reading
  if (threadIdx.x % kWarp == 0) {
    loss_sums[warp] = sums.loss_sum;
    weight_sums[warp] = sums.weight_sum;
    valid_counts[warp] = sums.valid_count;
  }
  __syncthreads();
  Sums total;
  for (int i = 0; i < kWarps; ++i) {
    total.loss_sum += loss_sums[i];
    total.weight_sum += weight_sums[i];
    total.valid_count += valid_counts[i];
  }
  return total;
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_SUMS_H_
