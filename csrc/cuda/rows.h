// Rows of the last axis: their means, the sum of these, and its gradient.
#ifndef MASKLSTM_CSRC_CUDA_ROWS_H_
#define MASKLSTM_CSRC_CUDA_ROWS_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "csrc/core/division.h"
#include "csrc/cuda/element.h"
#include "csrc/cuda/inputs.h"
#include "csrc/cuda/results.h"
#include "csrc/cuda/sums.h"
#include "csrc/losses/host_device.h"

namespace masklstm {
namespace {

constexpr int64_t kLongRow = 2048;  // a whole block adds up rows from here on

// Rows of `size` elements, each shared by `width` threads: a power of two up to a warp, or a block.
struct Rows {
  int64_t count;
  int64_t size;
  int width;

  Rows(int64_t count, int64_t size) : count(count), size(size), width(1) {
    while (width < kWarp && width < size) width *= 2;
    if (size >= kLongRow) width = kThreads;
  }

  MASKLSTM_HOST_DEVICE int64_t PerBlock() const { return kThreads / width; }
};

// Calls body(row) in all threads of the block, as often in each; `row` may lie beyond the last one.
template <typename Body>
__device__ void ForEachRow(const Rows& rows, Body&& body) {
  for (int64_t first = blockIdx.x * rows.PerBlock(); first < rows.count;
       first += gridDim.x * rows.PerBlock()) {
    body(first + threadIdx.x / rows.width);
  }
}

template <typename Body>
__device__ void ForEachOfRow(const Rows& rows, int64_t row, Body&& body) {
  if (row >= rows.count) return;
  for (int64_t k = threadIdx.x % rows.width; k < rows.size; k += rows.width) {
    body(row * rows.size + k);
  }
}

// The means of the rows and their sum; or, where `groups` has arrays, the sums of each row.
template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumRows(Loss loss, const __grid_constant__ CudaInputs inputs, Rows rows, T* row_means,
            CudaGroupSums groups, SumsOutput output) {
  Sums of_means;
  ForEachRow(rows, [&](int64_t row) {
    Sums sums;
    ForEachOfRow(rows, row, [&](int64_t i) { Add(loss, ReadElement<T>(inputs, i), &sums); });
    sums = SumOverThreads(sums, rows.width);
    if (threadIdx.x % rows.width != 0 || row >= rows.count) return;
    if (groups.loss_sum != nullptr) {
      groups.loss_sum[row] = sums.loss_sum;
      groups.weight_sum[row] = sums.weight_sum;
      groups.valid_count[row] = sums.valid_count;
    } else {
      of_means.loss_sum += MeanOrZero<double>(sums.loss_sum, sums.valid_count);
      of_means.valid_count += sums.valid_count;
      if (row_means != nullptr) row_means[row] = MeanOrZero<T>(sums.loss_sum, sums.valid_count);
    }
  });
  if (groups.loss_sum == nullptr) output.Write(of_means);
}

// `row_gradients`: of each row's mean; null for the sum of the means, whose gradient is upstream's.
template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    GradientOfRows(Loss loss, const __grid_constant__ CudaInputs inputs, Rows rows,
                   CudaScale upstream, const T* row_gradients, void* gradient) {
  __shared__ int64_t counts[kThreads];  // of the rows of this block
  ForEachRow(rows, [&](int64_t row) {
    Sums sums;
    ForEachOfRow(rows, row, [&](int64_t i) {
      T ignored;
      sums.valid_count += ReadLabel(inputs, i, &ignored);
    });
    sums = SumOverThreads(sums, rows.width);
    __syncthreads();  // the counts of the rows before may still be read
    const int place = threadIdx.x / rows.width;
    if (threadIdx.x % rows.width == 0) counts[place] = sums.valid_count;
    __syncthreads();
    if (row >= rows.count) return;
    const double of_mean = row_gradients ? static_cast<double>(row_gradients[row])
                                         : UpstreamOver(upstream, Reduction::kSumOfRows);
    const Scale<T> scale(MeanOrZero<double>(of_mean, counts[place]));
    ForEachOfRow(rows, row, [&](int64_t i) {
      const T value = GradientOf(loss, ReadElement<T>(inputs, i), scale);
      WriteGradient(inputs.prediction_type, value, i, gradient);
    });
  });
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_ROWS_H_
