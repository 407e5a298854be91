// The CUDA kernels' interface: that of masked_loss.h with all arrays in device memory. No header of
// CUDA's, so that TensorFlow's and CUDA's never meet in one file.
//
// Design:
//   A. Inputs, outputs and scratch are device memory; sizes and views are passed by value. Divisors
//      and upstream gradients are read where they are: nothing comes back to the host, and nothing
//      waits.
//   B. At most two launches for a reduction, one for a gradient (one more where losses with
//   channels
//      are reduced by rows or groups), all on `stream` (a cudaStream_t).
//   C. Sums are doubles, added up in an order that depends on the number of elements alone: no
//      atomics, the same bits on every run. It is another order than the CPU's.
//   D. The functions return what went wrong, or an empty text.
#ifndef MASKLSTM_CSRC_CUDA_DISPATCH_H_
#define MASKLSTM_CSRC_CUDA_DISPATCH_H_

#include <cstdint>
#include <string>

#include "csrc/core/masked_loss.h"

namespace masklstm {

struct CudaLossOutputs {
  // The reduced loss, one double or float; or, for Reduction::kNone, one value of the computing
  // type for each row.
  void* loss;
  bool loss_is_double;  // of the scalar
  double* weight_sum;   // null: not wanted
  int64_t* valid_count;
};

// How many bytes of device memory the functions below need besides.
int64_t CudaScratchBytes(const MaskedLossInputs& inputs, Reduction reduction);
int64_t CudaGradientScratchBytes(const MaskedLossInputs& inputs, Reduction reduction);
int64_t CudaGroupScratchBytes(const MaskedLossInputs& inputs, const Groups& groups);

std::string CudaMaskedLoss(const MaskedLossInputs& inputs, Reduction reduction, void* scratch,
                           const CudaLossOutputs& outputs, void* stream);

// What a gradient is scaled by: the upstream gradient divided by the reduction's divisor.
struct CudaScale {
  const void* loss_gradient;  // as CudaLossOutputs::loss; null: 1
  bool loss_gradient_is_double;
  const double* weight_sum;  // of the forward pass; null where the reduction has no such divisor
  const int64_t* valid_count;
};

// `gradient` may be the memory of y_true or y_pred.
std::string CudaMaskedLossGradient(const MaskedLossInputs& inputs, Reduction reduction,
                                   const CudaScale& scale, void* scratch, void* gradient,
                                   void* stream);

// Arrays of one entry for each group.
struct CudaGroupSums {
  double* loss_sum;
  double* weight_sum;
  int64_t* valid_count;
};

std::string CudaMaskedGroupSums(const MaskedLossInputs& inputs, const Groups& groups, void* scratch,
                                const CudaGroupSums& sums, void* stream);

std::string CudaMaskedLossElements(const MaskedLossInputs& inputs, ElementKind kind, void* elements,
                                   void* stream);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_DISPATCH_H_
