// Picks the instruction set, cuts the work into blocks and adds their results up in order.
#include "csrc/cpu/dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "csrc/core/division.h"
#include "csrc/cpu/function_table.h"

namespace masklstm {
namespace {

// Estimates for ParallelFor, in cycles: low enough that small tensors stay on one thread.
constexpr int64_t kCyclesPerElement = 1;

struct InstructionSetEntry {
  const char* name;
  const CpuKernels* kernels;
  bool is_supported;
};

struct Choice {
  std::string name;
  const CpuKernels* kernels = nullptr;
  std::string error;
};

Choice Choose() {
  // From the best to the least.
  const InstructionSetEntry entries[] = {
#ifdef MASKLSTM_HAS_AVX512
      {"avx512", &kAvx512Kernels,
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")},
#endif
#ifdef MASKLSTM_HAS_AVX2
      {"avx2", &kAvx2Kernels,
       __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") &&
           __builtin_cpu_supports("fma")},
#endif
      {"baseline", &kBaselineKernels, true},
  };
  const char* requested = std::getenv("MASKLSTM_ISA");
  std::string usable;
  for (const InstructionSetEntry& entry : entries) {
    if (!entry.is_supported) continue;
    if (requested == nullptr || *requested == '\0' || entry.name == std::string(requested)) {
      return {entry.name, entry.kernels, ""};
    }
    usable += (usable.empty() ? "" : ", ") + std::string(entry.name);
  }
  return {"", nullptr,
          "Invalid value for the environment variable MASKLSTM_ISA. Expected an instruction set "
          "that was built and that this processor has, one of {" +
              usable + "}. Received: " + requested};
}

const Choice& Chosen() {
  static const Choice choice = Choose();
  return choice;
}

int64_t NumBlocks(int64_t total, int64_t block_size) {
  return (total + block_size - 1) / block_size;
}

// Runs reduce(begin, end, &sums) on each block of [0, total) and adds the blocks up in order.
template <typename Reduce>
Sums SumOverBlocks(int64_t total, int64_t block_size, int64_t cost, const ParallelFor& parallel_for,
                   const Reduce& reduce) {
  const int64_t num_blocks = NumBlocks(total, block_size);
  if (num_blocks == 0) return Sums{};
  Sums first;
  std::vector<Sums> others(num_blocks - 1);
  const auto reduce_blocks = [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      reduce(block * block_size, std::min(total, (block + 1) * block_size),
             block == 0 ? &first : &others[block - 1]);
    }
  };
  if (num_blocks == 1) {
    reduce_blocks(0, 1);
  } else {
    parallel_for(num_blocks, cost, reduce_blocks);
  }
  for (const Sums& sums : others) first += sums;
  return first;
}

// Runs map(begin, end) over the blocks of [0, total).
template <typename Map>
void MapOverBlocks(int64_t total, int64_t block_size, int64_t cost, const ParallelFor& parallel_for,
                   const Map& map) {
  const int64_t num_blocks = NumBlocks(total, block_size);
  if (num_blocks <= 1) {
    if (total > 0) map(0, total);
    return;
  }
  parallel_for(num_blocks, cost, [&](int64_t begin, int64_t end) {
    map(begin * block_size, std::min(total, end * block_size));
  });
}

int64_t RowsPerBlock(int64_t row_size) {
  return std::max<int64_t>(1, kBlockSize / std::max<int64_t>(1, row_size));
}

// A number of the computing type.
double ReadComputed(const MaskedLossInputs& inputs, const void* address) {
  if (inputs.computing_type() == DataType::kFloat64) return *static_cast<const double*>(address);
  return *static_cast<const float*>(address);
}

void WriteComputed(const MaskedLossInputs& inputs, double value, void* address) {
  if (inputs.computing_type() == DataType::kFloat64) {
    *static_cast<double*>(address) = value;
  } else {
    *static_cast<float*>(address) = static_cast<float>(value);
  }
}

}  // namespace

std::string InstructionSet(std::string* error) {
  *error = Chosen().error;
  return Chosen().name;
}

Sums ComputeMaskedLoss(const MaskedLossInputs& inputs, Reduction reduction,
                       const ParallelFor& parallel_for, void* row_means) {
  const CpuKernels& kernels = *Chosen().kernels;
  if (IsOneRow(inputs, reduction)) {
    Sums sums = ComputeMaskedLoss(inputs, Reduction::kMean, parallel_for, nullptr);
    sums.loss_sum = sums.valid_count == 0 ? 0.0 : Divided(sums.loss_sum, sums, Reduction::kMean);
    if (row_means) WriteComputed(inputs, sums.loss_sum, row_means);
    return sums;
  }
  if (!IsRowwise(inputs, reduction)) {
    return SumOverBlocks(inputs.num_elements(), kBlockSize, kBlockSize * kCyclesPerElement,
                         parallel_for, [&](int64_t begin, int64_t end, Sums* sums) {
                           kernels.sum_block(inputs, begin, end, sums);
                         });
  }
  if (inputs.row_size == 0) {
    if (row_means) {
      const bool is_double = inputs.computing_type() == DataType::kFloat64;
      const int64_t size = is_double ? sizeof(double) : sizeof(float);
      std::fill_n(static_cast<char*>(row_means), inputs.num_rows * size, 0);
    }
    return Sums{};
  }
  const int64_t rows = RowsPerBlock(inputs.row_size);
  return SumOverBlocks(inputs.num_rows, rows, rows * inputs.row_size * kCyclesPerElement,
                       parallel_for, [&](int64_t begin, int64_t end, Sums* sums) {
                         kernels.mean_rows(inputs, begin, end, row_means, sums);
                       });
}

void ComputeMaskedLossGradient(const MaskedLossInputs& inputs, Reduction reduction,
                               const Sums& sums, double loss_gradient, const void* row_gradients,
                               const ParallelFor& parallel_for, void* gradient) {
  const CpuKernels& kernels = *Chosen().kernels;
  if (IsOneRow(inputs, reduction)) {
    if (row_gradients) loss_gradient = ReadComputed(inputs, row_gradients);
    return ComputeMaskedLossGradient(inputs, Reduction::kMean, sums, loss_gradient, nullptr,
                                     parallel_for, gradient);
  }
  if (IsRowwise(inputs, reduction)) {
    if (inputs.row_size == 0) return;
    const int64_t rows = RowsPerBlock(inputs.row_size);
    MapOverBlocks(inputs.num_rows, rows, rows * inputs.row_size * kCyclesPerElement, parallel_for,
                  [&](int64_t begin, int64_t end) {
                    kernels.gradient_rows(inputs, begin, end, loss_gradient, row_gradients,
                                          gradient);
                  });
    return;
  }
  const double scale = Divided(loss_gradient, sums, reduction);
  MapOverBlocks(
      inputs.num_elements(), kBlockSize, kBlockSize * kCyclesPerElement, parallel_for,
      [&](int64_t begin, int64_t end) { kernels.gradient(inputs, begin, end, scale, gradient); });
}

void ComputeGroupSums(const MaskedLossInputs& inputs, const Groups& groups,
                      const ParallelFor& parallel_for, Sums* sums) {
  const CpuKernels& kernels = *Chosen().kernels;
  std::fill_n(sums, groups.num_groups, Sums{});
  if (inputs.num_elements() == 0) return;
  const int64_t row_size = groups.group_size;
  const int64_t num_rows = inputs.num_elements() / row_size;
  if (num_rows == groups.num_groups) {  // one row each
    const int64_t rows = RowsPerBlock(row_size);
    MapOverBlocks(num_rows, rows, rows * row_size * kCyclesPerElement, parallel_for,
                  [&](int64_t begin, int64_t end) {
                    kernels.sum_rows(inputs, row_size, begin, end, groups.num_groups, sums);
                  });
    return;
  }
  // Each block of whole periods has sums of its own, which must stay small beside its elements.
  constexpr int64_t kElementsPerGroup = 32;
  const int64_t period_size = groups.num_groups * row_size;
  const int64_t num_periods = num_rows / groups.num_groups;
  const int64_t periods =
      NumBlocks(std::max(kBlockSize, kElementsPerGroup * groups.num_groups), period_size);
  const int64_t num_blocks = NumBlocks(num_periods, periods);
  std::vector<Sums> block_sums(num_blocks * groups.num_groups);
  MapOverBlocks(num_blocks, 1, periods * period_size * kCyclesPerElement, parallel_for,
                [&](int64_t first, int64_t last) {
                  for (int64_t block = first; block < last; ++block) {
                    const int64_t end = std::min(num_periods, (block + 1) * periods);
                    kernels.sum_rows(inputs, row_size, block * periods * groups.num_groups,
                                     end * groups.num_groups, groups.num_groups,
                                     &block_sums[block * groups.num_groups]);
                  }
                });
  for (size_t i = 0; i < block_sums.size(); ++i) sums[i % groups.num_groups] += block_sums[i];
}

void ComputeMaskedLossElements(const MaskedLossInputs& inputs, ElementKind kind,
                               const ParallelFor& parallel_for, void* elements) {
  const CpuKernels& kernels = *Chosen().kernels;
  MapOverBlocks(
      inputs.num_elements(), kBlockSize, kBlockSize * kCyclesPerElement, parallel_for,
      [&](int64_t begin, int64_t end) { kernels.elements(inputs, begin, end, kind, elements); });
}

}  // namespace masklstm
