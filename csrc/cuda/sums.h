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

// The sum over `width` neighbouring lanes (a power of two), in the first of them. All lanes of the
// warp must call it.
__device__ inline Sums SumOverLanes(Sums sums, int width) {
  for (int offset = width / 2; offset > 0; offset /= 2) {
    Sums other;
    other.loss_sum = __shfl_down_sync(kAllLanes, sums.loss_sum, offset, width);
    other.weight_sum = __shfl_down_sync(kAllLanes, sums.weight_sum, offset, width);
    other.valid_count = __shfl_down_sync(kAllLanes, sums.valid_count, offset, width);
    sums += other;
  }
  return sums;
}

// The sum over the block, in all of its threads, which must all call it.
__device__ inline Sums SumOverBlock(Sums sums) {
  __shared__ double loss_sums[kWarps];
  __shared__ double weight_sums[kWarps];
  __shared__ int64_t valid_counts[kWarps];
  sums = SumOverLanes(sums, kWarp);
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

// Over `width` neighbouring threads, a power of two up to a warp, or the whole block; in the first
// of them at least. All threads of the block must call it.
__device__ inline Sums SumOverThreads(Sums sums, int width) {
  return width <= kWarp ? SumOverLanes(sums, width) : SumOverBlock(sums);
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_SUMS_H_
