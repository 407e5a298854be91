// A view of a small array (sample weights, a mask) as if it had the labels' shape.
//
// The array's axes are aligned with the labels' from the left and each is either as long as the
// labels' axis or 1; missing trailing axes count as 1. Nothing is materialised: neighbouring axes
// of the same kind are merged, and the kernels expand one cache-sized chunk at a time.
#ifndef MASKLSTM_CSRC_CORE_BROADCAST_H_
#define MASKLSTM_CSRC_CORE_BROADCAST_H_

#include <cstdint>

#include "csrc/losses/host_device.h"

namespace masklstm {

struct Broadcast {
  // Merged axes alternate between kept and repeated ones, so that even eight axes need an array of
  // rank eight with every other axis of length 1.
  static constexpr int kMaxAxes = 8;

  const void* data = nullptr;  // null: the array was not given
  int num_axes = 0;
  int64_t extent[kMaxAxes];
  int64_t stride[kMaxAxes];  // in elements of the array; 0 where it is repeated

  MASKLSTM_HOST_DEVICE bool IsPresent() const { return data != nullptr; }

  // The array has every element itself, so that it can be read in place.
  MASKLSTM_HOST_DEVICE bool IsFull() const { return num_axes == 1 && stride[0] == 1; }
};

enum class BroadcastResult { kOk, kShapesDiffer, kTooManyAxes };

// `data` must not be null. `shape` describes the array, `full_shape` the labels.
BroadcastResult MakeBroadcast(const void* data, const int64_t* shape, int rank,
                              const int64_t* full_shape, int full_rank, Broadcast* result);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_BROADCAST_H_
