// What each instruction set's object file provides to the dispatcher. Only plain data crosses this
// border: an inline function here could be compiled for one instruction set and run on another.
#ifndef MASKLSTM_CSRC_CPU_FUNCTION_TABLE_H_
#define MASKLSTM_CSRC_CPU_FUNCTION_TABLE_H_

#include <cstdint>

#include "csrc/core/masked_loss.h"

namespace masklstm {

inline constexpr int64_t kBlockSize = 16384;  // elements

struct CpuKernels {
  // Sums over the elements [begin, end) of one block.
  void (*sum_block)(const MaskedLossInputs& inputs, int64_t begin, int64_t end, Sums* sums);

  // Means of the rows [begin, end); their sum goes to sums->loss_sum.
  void (*mean_rows)(const MaskedLossInputs& inputs, int64_t begin, int64_t end, void* row_means,
                    Sums* sums);

  // Takes the elements as rows of `row_size` and adds the sums of the rows [begin, end) to those of
  // their groups: row r is of group r % num_groups.
  void (*sum_rows)(const MaskedLossInputs& inputs, int64_t row_size, int64_t begin, int64_t end,
                   int64_t num_groups, Sums* groups);

  // The gradient of elements [begin, end): scale * w * derivative.
  void (*gradient)(const MaskedLossInputs& inputs, int64_t begin, int64_t end, double scale,
                   void* gradient);

  // The gradient of the means of rows [begin, end). Each mean's own gradient is loss_gradient, or
  // its entry of row_gradients if that is not null.
  void (*gradient_rows)(const MaskedLossInputs& inputs, int64_t begin, int64_t end,
                        double loss_gradient, const void* row_gradients, void* gradient);

  // The values of `kind` of elements [begin, end).
  void (*elements)(const MaskedLossInputs& inputs, int64_t begin, int64_t end, ElementKind kind,
                   void* elements);
};

// Of those that are built: MASKLSTM_HAS_AVX2 and the like say which, to dispatch.cc alone.
extern const CpuKernels kBaselineKernels;
extern const CpuKernels kAvx2Kernels;
extern const CpuKernels kAvx512Kernels;

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CPU_FUNCTION_TABLE_H_
