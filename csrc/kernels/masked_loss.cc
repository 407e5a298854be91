// Picks the instruction set, cuts the work into blocks and adds their results up in order.
#include "csrc/kernels/masked_loss.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "csrc/kernels/cpu_kernels.h"

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
#ifdef MASKLSTM_HAS_X86_KERNELS
      {"avx512", &kAvx512Kernels,
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")},
      {"avx2", &kAvx2Kernels, __builtin_cpu_supports("avx2") != 0},
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
  for (const Sums& sums : others) {
    first.loss_sum += sums.loss_sum;
    first.weight_sum += sums.weight_sum;
    first.valid_count += sums.valid_count;
  }
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

// The sum of the means of rows of one element is the sum of the elements.
bool IsRowwise(const MaskedLossInputs& inputs, Reduction reduction) {
  return reduction == Reduction::kNone ||
         (reduction == Reduction::kSumOfRows && inputs.row_size != 1);
}

int64_t RowsPerBlock(const MaskedLossInputs& inputs) {
  return std::max<int64_t>(1, kBlockSize / std::max<int64_t>(1, inputs.row_size));
}

}  // namespace

std::string InstructionSet(std::string* error) {
  *error = Chosen().error;
  return Chosen().name;
}

Sums ComputeMaskedLoss(const MaskedLossInputs& inputs, Reduction reduction,
                       const ParallelFor& parallel_for, void* row_means) {
  const CpuKernels& kernels = *Chosen().kernels;
  if (!IsRowwise(inputs, reduction)) {
    return SumOverBlocks(inputs.num_elements(), kBlockSize, kBlockSize * kCyclesPerElement,
                         parallel_for, [&](int64_t begin, int64_t end, Sums* sums) {
                           kernels.sum_block(inputs, begin, end, sums);
                         });
  }
  if (inputs.row_size == 0) {
    if (row_means) {
      const int64_t size = inputs.dtype == DataType::kFloat64 ? sizeof(double) : sizeof(float);
      std::fill_n(static_cast<char*>(row_means), inputs.num_rows * size, 0);
    }
    return Sums{};
  }
  const int64_t rows = RowsPerBlock(inputs);
  return SumOverBlocks(inputs.num_rows, rows, rows * inputs.row_size * kCyclesPerElement,
                       parallel_for, [&](int64_t begin, int64_t end, Sums* sums) {
                         kernels.mean_rows(inputs, begin, end, row_means, sums);
                       });
}

double Divided(double value, const Sums& sums, Reduction reduction) {
  double divisor = 1.0;
  if (reduction == Reduction::kMean) divisor = static_cast<double>(sums.valid_count);
  if (reduction == Reduction::kMeanWithSampleWeight) divisor = sums.weight_sum;
  return divisor == 0.0 ? 0.0 : value / divisor;
}

void ComputeMaskedLossGradient(const MaskedLossInputs& inputs, Reduction reduction,
                               const Sums& sums, double loss_gradient, const void* row_gradients,
                               const ParallelFor& parallel_for, void* gradient) {
  const CpuKernels& kernels = *Chosen().kernels;
  if (IsRowwise(inputs, reduction)) {
    if (inputs.row_size == 0) return;
    const int64_t rows = RowsPerBlock(inputs);
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

void ComputeMaskedLossElements(const MaskedLossInputs& inputs, ElementKind kind,
                               const ParallelFor& parallel_for, void* elements) {
  const CpuKernels& kernels = *Chosen().kernels;
  MapOverBlocks(
      inputs.num_elements(), kBlockSize, kBlockSize * kCyclesPerElement, parallel_for,
      [&](int64_t begin, int64_t end) { kernels.elements(inputs, begin, end, kind, elements); });
}

}  // namespace masklstm
