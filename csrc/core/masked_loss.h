// What the kernels of every device compute, framework-free: inputs, sums, reductions and groups, as
// plain pointers, sizes and views.
//
// Design:
//   A. Labels, predictions and everything of their shape are dense arrays of `num_rows` rows of
//      `row_size` features, in row-major order and of any alignment.
//   B. An element is valid if its label is not missing and its mask is true. All other elements
//      contribute exactly nothing, whatever their prediction and weight hold.
//   C. Labels and predictions are read in the types that they are stored in. The computing type is
//      double for double predictions and float for all others.
//   D. Element losses are computed in the computing type, those with channels in doubles. They are
//      summed as doubles, in an order that depends on the device and the number of elements alone.
//   E. Where a loss has channels, the predictions have one axis more than the labels. All else
//      (weights, mask, sums, groups, reductions) is of the labels' shape.
#ifndef MASKLSTM_CSRC_CORE_MASKED_LOSS_H_
#define MASKLSTM_CSRC_CORE_MASKED_LOSS_H_

#include <cstdint>

#include "csrc/core/broadcast.h"
#include "csrc/core/data_types.h"
#include "csrc/core/missing.h"
#include "csrc/losses/host_device.h"
#include "csrc/losses/losses.h"

namespace masklstm {

constexpr int kMaxParameters = AllLosses::kMaxParameters;  // of a loss
inline constexpr int kMaxWeights = 2;

struct MaskedLossInputs {
  int loss;  // position in the list of losses
  double parameters[kMaxParameters];
  int num_channels = 0;  // length of the last axis that only the predictions have; 0: there is none
  DataType label_type;
  DataType prediction_type;  // a floating-point one; also that of the gradient
  const void* y_true;
  const void* y_pred;               // the channels of a label side by side
  const void* direction = nullptr;  // of the predictions' shape and the computing type, or null
  Broadcast weights[kMaxWeights];   // of the computing type; an element's weight is their product
  Broadcast mask;                   // of bool
  Missing missing;
  int64_t num_rows;
  int64_t row_size;

  int64_t num_elements() const { return num_rows * row_size; }  // of the labels
  DataType computing_type() const {
    return prediction_type == DataType::kFloat64 ? DataType::kFloat64 : DataType::kFloat32;
  }
};

// Rows are what lies along the last axis of the labels' shape; a scalar is a row of one.
void SetRows(const int64_t* shape, int rank, MaskedLossInputs* inputs);

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

// Whether the gradient depends on the sums of the forward pass.
bool GradientNeedsSums(const MaskedLossInputs& inputs, Reduction reduction);

// Which elements form a group: groups count equally, however many of their elements are missing.
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

// A value of the computing type for each element, without weights; 0 where it is not valid. Of
// derivatives by predictions with channels there is one for each channel.
enum class ElementKind {
  kValid,  // 1
  kValue,
  kDerivative,             // by y_pred
  kSecondDerivative,       // only without channels
  kDirectionalDerivative,  // only with them: of the derivative, along `direction`
};

inline bool IsByPrediction(ElementKind kind) {
  return kind != ElementKind::kValid && kind != ElementKind::kValue;
}

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_MASKED_LOSS_H_
