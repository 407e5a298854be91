// The CPU kernels' interface.
//
// Design:
//   A. Sums are made in a fixed order: sixteen lanes over blocks of kBlockSize elements, lanes and
//      then blocks added up in order. Neither the number of threads, nor the instruction set, nor
//      the alignment changes a bit.
//   B. The caller brings the threads (ParallelFor), so that a framework's own pool is used.
#ifndef MASKLSTM_CSRC_CPU_DISPATCH_H_
#define MASKLSTM_CSRC_CPU_DISPATCH_H_

#include <cstdint>
#include <functional>
#include <string>

#include "csrc/core/masked_loss.h"

namespace masklstm {

// The instruction set in use ("baseline", "avx2", "avx512"), chosen on first use: the best that was
// built and that the processor has, unless the environment variable MASKLSTM_ISA names another one.
// Empty, with the reason in `error`, if that cannot be had; the functions below must not be called
// then.
std::string InstructionSet(std::string* error);

// Runs work(begin, end) over parts of [0, total), in any order and on any threads. `cost` is an
// estimate of one unit's time in processor cycles.
using ParallelFor = std::function<void(
    int64_t total, int64_t cost, const std::function<void(int64_t begin, int64_t end)>& work)>;

// Reduces all elements. For kNone and kSumOfRows, loss_sum is the sum of the row means, weight_sum
// is not used, and `row_means` (num_rows values of the computing type; may be null) receives them.
Sums ComputeMaskedLoss(const MaskedLossInputs& inputs, Reduction reduction,
                       const ParallelFor& parallel_for, void* row_means);

// gradient = d loss / d y_pred times the loss's own gradient: `loss_gradient`, or for
// Reduction::kNone one value of the computing type per row in `row_gradients` (else null). `sums`
// are those of the forward pass. `gradient`, of the prediction type, may be the memory of y_true or
// y_pred.
void ComputeMaskedLossGradient(const MaskedLossInputs& inputs, Reduction reduction,
                               const Sums& sums, double loss_gradient, const void* row_gradients,
                               const ParallelFor& parallel_for, void* gradient);

// The sums of each group; `sums` has num_groups entries.
void ComputeGroupSums(const MaskedLossInputs& inputs, const Groups& groups,
                      const ParallelFor& parallel_for, Sums* sums);

void ComputeMaskedLossElements(const MaskedLossInputs& inputs, ElementKind kind,
                               const ParallelFor& parallel_for, void* elements);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CPU_DISPATCH_H_
