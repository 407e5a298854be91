#include "csrc/core/masked_loss.h"

#include "csrc/core/division.h"

namespace masklstm {

bool IsRowwise(const MaskedLossInputs& inputs, Reduction reduction) {
  return reduction == Reduction::kNone ||
         (reduction == Reduction::kSumOfRows && inputs.row_size != 1);
}

bool IsOneRow(const MaskedLossInputs& inputs, Reduction reduction) {
  return IsRowwise(inputs, reduction) && inputs.num_rows == 1 && inputs.row_size > 0;
}

bool GradientNeedsSums(const MaskedLossInputs& inputs, Reduction reduction) {
  return DivisorOf(reduction) != Divisor::kOne || IsOneRow(inputs, reduction);
}

void SetRows(const int64_t* shape, int rank, MaskedLossInputs* inputs) {
  inputs->row_size = rank == 0 ? 1 : shape[rank - 1];
  inputs->num_rows = 1;
  for (int axis = 0; axis + 1 < rank; ++axis) inputs->num_rows *= shape[axis];
}

int GroupAxis(Balance balance, int rank) {
  switch (balance) {
    case Balance::kSample:
      return rank >= 1 ? 0 : -1;
    case Balance::kTimestep:
      return rank >= 2 ? 1 : -1;
    case Balance::kFeature:
      return rank >= 2 ? rank - 1 : -1;  // a vector's only axis is the batch
  }
  return -1;
}

Groups GroupsAlong(int axis, const int64_t* shape, int rank) {
  Groups groups{shape[axis], 1};
  for (int inner = axis + 1; inner < rank; ++inner) groups.group_size *= shape[inner];
  return groups;
}

}  // namespace masklstm
