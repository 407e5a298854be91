// Sums of groups of elements that come back, such as the features of each step.
#ifndef MASKLSTM_CSRC_CUDA_GROUPS_H_
#define MASKLSTM_CSRC_CUDA_GROUPS_H_

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "csrc/core/masked_loss.h"
#include "csrc/cuda/dispatch.h"
#include "csrc/cuda/element.h"
#include "csrc/cuda/inputs.h"
#include "csrc/cuda/results.h"
#include "csrc/cuda/sums.h"

namespace masklstm {
namespace {

// Groups that come back: the elements as a matrix whose columns each belong to one group. Blocks of
// its rows are added up column by column, then everything of one group.
struct Columns {
  static constexpr int64_t kPartial = int64_t{1} << 17;  // about so many partial sums
  static constexpr int64_t kMaxChunks = 65535;           // what a grid's second axis takes

  int64_t count;
  int64_t num_rows;
  int64_t rows_of_chunk;
  int64_t num_chunks;

  Columns(const Groups& groups, int64_t size) {
    const int64_t period = groups.num_groups * groups.group_size;
    count = period;
    if (period < kThreads) count *= (kThreads + period - 1) / period;  // several periods in a row
    num_rows = (size + count - 1) / count;
    const int64_t most = std::min(kMaxChunks, std::max<int64_t>(1, kPartial / count));
    rows_of_chunk = (num_rows + most - 1) / most;
    num_chunks = (num_rows + rows_of_chunk - 1) / rows_of_chunk;
  }
};

template <typename Loss, typename Types>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumColumns(Loss loss, const __grid_constant__ CudaInputs inputs, Columns columns,
               Sums* partial) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= columns.count) return;
  const int64_t chunk = blockIdx.y;
  const int64_t begin = chunk * columns.rows_of_chunk * columns.count;
  const int64_t end = begin + columns.rows_of_chunk * columns.count;
  const Places places{begin + column, columns.count, end < inputs.size ? end : inputs.size};
  Sums sums;
  ForEachBatch<Types>(inputs, places, Types::kBatch * places.step,
                      [&](const auto& batch, const Places&) { AddBatch(loss, batch, &sums); });
  partial[chunk * columns.count + column] = sums;
}

__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumGroups(Columns columns, Groups groups, const Sums* partial, CudaGroupSums output) {
  const int64_t periods = columns.count / (groups.num_groups * groups.group_size);
  const int64_t of_group = columns.num_chunks * periods * groups.group_size;
  for (int64_t group = blockIdx.x; group < groups.num_groups; group += gridDim.x) {
    Sums sums;
    for (int64_t k = threadIdx.x; k < of_group; k += kThreads) {
      const int64_t period = k / groups.group_size;  // counted through all chunks
      const int64_t first = (period * groups.num_groups + group) * groups.group_size;
      sums += partial[first + k % groups.group_size];
    }
    const Sums total = SumOverBlock(sums);
    if (threadIdx.x == 0) {
      output.loss_sum[group] = total.loss_sum;
      output.weight_sum[group] = total.weight_sum;
      output.valid_count[group] = total.valid_count;
    }
  }
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_GROUPS_H_
