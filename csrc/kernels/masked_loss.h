// The kernels' interface: plain pointers, sizes and views; no framework.
//
// Design:
//   A. Labels, predictions and everything of their shape are dense arrays of `num_rows` rows of
//      `row_size` features, in row-major order and of any alignment.
//   B. An element is valid if its label is not missing and its mask is true. All other elements
//      contribute exactly nothing, whatever their prediction and weight hold.
//   C. Labels and predictions are read in the types that they are stored in. The computing type is
//      double for double predictions and float for all others.
//   D. Element losses are computed in the computing type and summed as doubles in a fixed order:
//      sixteen lanes over blocks of kBlockSize elements, lanes and then blocks added up in order.
//      Neither the number of threads, nor the instruction set, nor the alignment changes a bit.
//   E. The caller brings the threads (ParallelFor), so that a framework's own pool is used.
#ifndef MASKLSTM_CSRC_KERNELS_MASKED_LOSS_H_
#define MASKLSTM_CSRC_KERNELS_MASKED_LOSS_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "csrc/kernels/broadcast.h"
#include "csrc/losses/host_device.h"

namespace masklstm {

inline constexpr int kMaxParameters = 6;  // of a loss; the list of losses holds it
inline constexpr int64_t kBlockSize = 16384;

inline constexpr int kMaxWeights = 2;

enum class DataType {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
};

// Which labels are missing: NaN always, the sentinel (if it is not NaN itself), and on request the
// infinities.
struct Missing {
  double sentinel = std::numeric_limits<double>::quiet_NaN();
  bool nonfinite = false;
};

struct MaskedLossInputs {
  int loss;  // position in the list of losses
  double parameters[kMaxParameters];
  DataType label_type;
  DataType prediction_type;  // a floating-point one; also that of the gradient
  const void* y_true;
  const void* y_pred;
  Broadcast weights[kMaxWeights];  // of the computing type; an element's weight is their product
  Broadcast mask;                  // of bool
  Missing missing;
  int64_t num_rows;
  int64_t row_size;

  int64_t num_elements() const { return num_rows * row_size; }
  DataType computing_type() const {
    return prediction_type == DataType::kFloat64 ? DataType::kFloat64 : DataType::kFloat32;
  }
};

struct Sums {
  double loss_sum = 0.0;    // of w l over the valid elements
  double weight_sum = 0.0;  // of w over the valid elements
  int64_t valid_count = 0;
};

// Not a member operator: each instruction set needs a copy of its own.
namespace {
MASKLSTM_HOST_DEVICE inline void operator+=(Sums& a, const Sums& b) {
  a.loss_sum += b.loss_sum;
  a.weight_sum += b.weight_sum;
  a.valid_count += b.valid_count;
}
}  // namespace

enum class Reduction {
  kSumOfElements,         // sum(w l)
  kMean,                  // sum(w l) / valid_count
  kMeanWithSampleWeight,  // sum(w l) / sum(w)
  kNone,                  // per row, the mean of w l over its valid elements
  kSumOfRows,             // the sum of those
};

// Whether each row has a mean of its own. The sum of the means of rows of one element is the sum of
// the elements.
bool IsRowwise(const MaskedLossInputs& inputs, Reduction reduction);

// A single row can be long: its mean is that of all elements, cut into blocks like any array.
bool IsOneRow(const MaskedLossInputs& inputs, Reduction reduction);

// Runs work(begin, end) over parts of [0, total), in any order and on any threads. `cost` is an
// estimate of one unit's time in processor cycles.
using ParallelFor = std::function<void(
    int64_t total, int64_t cost, const std::function<void(int64_t begin, int64_t end)>& work)>;

// Reduces all elements. For kNone and kSumOfRows, loss_sum is the sum of the row means, weight_sum
// is not used, and `row_means` (num_rows values of the computing type; may be null) receives them.
Sums ComputeMaskedLoss(const MaskedLossInputs& inputs, Reduction reduction,
                       const ParallelFor& parallel_for, void* row_means);

// Whether the gradient depends on the sums of the forward pass.
bool GradientNeedsSums(const MaskedLossInputs& inputs, Reduction reduction);

// gradient = d loss / d y_pred times the loss's own gradient: `loss_gradient`, or for
// Reduction::kNone one value of the computing type per row in `row_gradients` (else null). `sums`
// are those of the forward pass. `gradient`, of the prediction type, may be the memory of y_true or
// y_pred.
void ComputeMaskedLossGradient(const MaskedLossInputs& inputs, Reduction reduction,
                               const Sums& sums, double loss_gradient, const void* row_gradients,
                               const ParallelFor& parallel_for, void* gradient);

// Which elements share one say, however many of them are missing.
enum class Balance { kSample, kTimestep, kFeature };

// The axis along which the groups lie, of labels of shape (batch, ..., features): the first, the
// second or the last one. -1 if labels of this rank have no such axis.
int GroupAxis(Balance balance, int rank);

// Elements that belong together: `group_size` consecutive ones are of one group, the next
// `group_size` of the next group, and after the last group comes the first one again.
struct Groups {
  int64_t num_groups;
  int64_t group_size;
};

Groups GroupsAlong(int axis, const int64_t* shape, int rank);

// The sums of each group; `sums` has num_groups entries.
void ComputeGroupSums(const MaskedLossInputs& inputs, const Groups& groups,
                      const ParallelFor& parallel_for, Sums* sums);

// A value of the computing type for each element, without weights; 0 where it is not valid.
enum class ElementKind {
  kValid,  // 1
  kValue,
  kDerivative,  // by y_pred
  kSecondDerivative,
};
void ComputeMaskedLossElements(const MaskedLossInputs& inputs, ElementKind kind,
                               const ParallelFor& parallel_for, void* elements);

// The instruction set in use ("baseline", "avx2", "avx512"), chosen on first use: the best that was
// built and that the processor has, unless the environment variable MASKLSTM_ISA names another one.
// Empty, with the reason in `error`, if that cannot be had; the functions above must not be called
// then.
std::string InstructionSet(std::string* error);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_KERNELS_MASKED_LOSS_H_
