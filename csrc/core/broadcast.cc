#include "csrc/core/broadcast.h"

namespace masklstm {

BroadcastResult MakeBroadcast(const void* data, const int64_t* shape, int rank,
                              const int64_t* full_shape, int full_rank, Broadcast* result) {
  if (rank > full_rank) return BroadcastResult::kShapesDiffer;
  result->data = data;
  result->num_axes = 0;

  int64_t size = 1;
  for (int axis = 0; axis < rank; ++axis) size *= shape[axis];
  int64_t next_stride = size;  // of the axis before the current one
  for (int axis = 0; axis < full_rank; ++axis) {
    const int64_t length = axis < rank ? shape[axis] : 1;
    const bool kept = length == full_shape[axis];
    if (!kept && length != 1) return BroadcastResult::kShapesDiffer;
    if (full_shape[axis] == 1) continue;
    if (length > 0) next_stride /= length;
    const int64_t stride = kept ? next_stride : 0;

    const int last = result->num_axes - 1;
    if (last >= 0 && kept == (result->stride[last] != 0)) {
      result->extent[last] *= full_shape[axis];
      result->stride[last] = stride;
    } else {
      if (result->num_axes == Broadcast::kMaxAxes) return BroadcastResult::kTooManyAxes;
      result->extent[result->num_axes] = full_shape[axis];
      result->stride[result->num_axes] = stride;
      ++result->num_axes;
    }
  }
  return BroadcastResult::kOk;
}

}  // namespace masklstm
