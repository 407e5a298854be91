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

// On a multiprocessor: a third block hides more of what a row waits for than a few spilled
// registers of the longest formulas cost.
constexpr int kMinBlocksOfRows = 3;

constexpr int64_t kLongRow = 2048;  // a whole block adds up rows from here on

// Rows of `size` elements, each shared by `width` threads: a power of two up to a warp, or a block.
// A short row is one batch for each of them, which leaves the fewest sums to be sent around.
struct Rows {
  int64_t count;
  int64_t size;
  int width;

  Rows(int64_t count, int64_t size, int batch) : count(count), size(size), width(1) {
    while (width < kWarp && width * batch < size) width *= 2;
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

// The elements of the thread in the row; none beyond the last row.
__device__ inline Places OfRow(const Rows& rows, int64_t row) {
  const int64_t begin = row * rows.size;
  return {begin + threadIdx.x % rows.width, rows.width,
          row < rows.count ? begin + rows.size : begin};
}

// The means of the rows and their sum; or, where `groups` has arrays, the sums of each row.
template <typename Loss, typename Types>
__global__ void __launch_bounds__(kThreads, kMinBlocksOfRows)
    SumRows(Loss loss, const __grid_constant__ CudaInputs inputs, Rows rows, void* row_means,
            CudaGroupSums groups, SumsOutput output) {
  using T = typename Types::T;
  Sums of_means;
  ForEachRow(rows, [&](int64_t row) {
    Sums sums;
    const Places places = OfRow(rows, row);
    ForEachBatch<Types>(inputs, places, Types::kBatch * places.step,
                        [&](const auto& batch, const Places&) { AddBatch(loss, batch, &sums); });
    if (rows.width > kWarp) {
      sums = SumOverBlock(sums);
    } else {
      sums.loss_sum = SumOverLanes(sums.loss_sum, rows.width);
      if (groups.loss_sum != nullptr) sums.weight_sum = SumOverLanes(sums.weight_sum, rows.width);
      sums.valid_count = SumOverLanes(static_cast<int>(sums.valid_count), rows.width);
    }
    if (threadIdx.x % rows.width != 0 || row >= rows.count) return;
    if (groups.loss_sum != nullptr) {
      groups.loss_sum[row] = sums.loss_sum;
      groups.weight_sum[row] = sums.weight_sum;
      groups.valid_count[row] = sums.valid_count;
    } else {
      of_means.loss_sum += MeanOrZero<double>(sums.loss_sum, sums.valid_count);
      of_means.valid_count += sums.valid_count;
      if (row_means != nullptr) {
        static_cast<T*>(row_means)[row] = MeanOrZero<T>(sums.loss_sum, sums.valid_count);
      }
    }
  });
  if (groups.loss_sum == nullptr) output.Write(of_means);
}

// `row_gradients`: of each row's mean; null for the sum of the means, whose gradient is upstream's.
// The first batch of a row stays in registers while the row is counted.
template <typename Loss, typename Types>
__global__ void __launch_bounds__(kThreads, kMinBlocksOfRows)
    GradientOfRows(Loss loss, const __grid_constant__ CudaInputs inputs, Rows rows,
                   CudaScale upstream, const void* row_gradients, void* gradient) {
  using T = typename Types::T;
  ForEachRow(rows, [&](int64_t row) {
    Places places = OfRow(rows, row);
    const int64_t step_of_batch = Types::kBatch * places.step;
    Batch<Types> batch;
    batch.Read(inputs, places);
    int64_t count = 0;
#pragma unroll
    for (int k = 0; k < Types::kBatch; ++k) count += batch.is_valid[k];
    for (Places more = places; (more.first += step_of_batch) < more.end;) {
      count += CountValid<Types>(inputs, more);
    }
    if (rows.width > kWarp) {
      Sums sums;
      sums.valid_count = count;
      count = SumOverBlock(sums).valid_count;
    } else {
      count = SumOverLanes(static_cast<int>(count), rows.width);
    }
    if (row >= rows.count) return;
    const double of_mean = row_gradients
                               ? static_cast<double>(static_cast<const T*>(row_gradients)[row])
                               : UpstreamOver(upstream, Reduction::kSumOfRows);
    const Scale<T> scale(MeanOrZero<double>(of_mean, count));
    while (places.first < places.end) {
      WriteGradientOfBatch(loss, inputs, batch, scale, places, gradient);
      places.first += step_of_batch;
      if (places.first < places.end) batch.Read(inputs, places);
    }
  });
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_ROWS_H_
