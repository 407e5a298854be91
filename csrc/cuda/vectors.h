// The fast way: labels and predictions of one floating-point type, without mask and weights, 16
// bytes at a time.
#ifndef MASKLSTM_CSRC_CUDA_VECTORS_H_
#define MASKLSTM_CSRC_CUDA_VECTORS_H_

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "csrc/core/division.h"
#include "csrc/core/stored_types.h"
#include "csrc/cuda/element.h"
#include "csrc/cuda/inputs.h"
#include "csrc/cuda/results.h"
#include "csrc/cuda/sums.h"

namespace masklstm {
namespace {

constexpr int kVectorBytes = 16;

template <typename Stored>
struct Pack {
  static constexpr int kSize = kVectorBytes / sizeof(Stored);
  // How many a thread has under way at once, of each input. Twice as many elements of a half type
  // would not fit the registers.
  static constexpr int kUnroll = sizeof(Stored) == 2 ? 2 : 4;
  static constexpr int64_t kTile = kThreads * kUnroll;  // of a block
  Stored values[kSize];

  __device__ explicit Pack(uint4 bytes) { memcpy(values, &bytes, kVectorBytes); }
  __device__ uint4 Bytes() const {
    uint4 bytes;
    memcpy(&bytes, values, kVectorBytes);
    return bytes;
  }
};

template <typename Stored>
__device__ Element<ComputingTypeOf<Stored>> PlainElement(const MissingLabels& missing,
                                                         Stored y_true, Stored y_pred) {
  const auto label = Widen(y_true);
  return {label, Widen(y_pred), 1, missing.IsValid(label)};
}

// 16 bytes, in one access where kAligned.
template <bool kAligned, typename Stored>
__device__ uint4 LoadVector(const Stored* array, int64_t vector) {
  if constexpr (kAligned) {
    return reinterpret_cast<const uint4*>(array)[vector];
  } else {
    Pack<Stored> pack(uint4{0u, 0u, 0u, 0u});
#pragma unroll
    for (int i = 0; i < Pack<Stored>::kSize; ++i) {
      pack.values[i] = array[vector * Pack<Stored>::kSize + i];
    }
    return pack.Bytes();
  }
}

// Labels and predictions of `kUnroll` vectors, from vector `first` on, kThreads apart. Labels
// beyond the end are NaN.
template <bool kAligned, typename Stored>
struct Tile {
  static constexpr int kUnroll = Pack<Stored>::kUnroll;
  uint4 y_true[kUnroll];
  uint4 y_pred[kUnroll];

  __device__ Tile(const Stored* labels, const Stored* predictions, int64_t first, int64_t end) {
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const int64_t vector = first + k * kThreads;
      const bool is_inside = vector < end;
      y_true[k] = is_inside ? LoadVector<kAligned>(labels, vector) : uint4{~0u, ~0u, ~0u, ~0u};
      y_pred[k] = is_inside ? LoadVector<kAligned>(predictions, vector) : uint4{0u, 0u, 0u, 0u};
    }
  }
};

// The order of the sum does not depend on the alignment.
template <typename Loss, typename Stored, bool kAligned>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumVectors(Loss loss, MissingLabels missing, const Stored* y_true, const Stored* y_pred,
               int64_t size, SumsOutput output) {
  constexpr int kSize = Pack<Stored>::kSize;
  constexpr int kUnroll = Pack<Stored>::kUnroll;
  constexpr int64_t kTile = Pack<Stored>::kTile;
  const int64_t num_vectors = size / kSize;
  Sums sums;
  for (int64_t tile = blockIdx.x; tile * kTile < num_vectors; tile += gridDim.x) {
    const Tile<kAligned, Stored> loaded(y_true, y_pred, tile * kTile + threadIdx.x, num_vectors);
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const Pack<Stored> labels(loaded.y_true[k]);
      const Pack<Stored> predictions(loaded.y_pred[k]);
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        AddUnweighted(loss, PlainElement(missing, labels.values[i], predictions.values[i]), &sums);
      }
    }
  }
  const int64_t rest = num_vectors * kSize + threadIdx.x;
  if (blockIdx.x == 0 && rest < size) {
    AddUnweighted(loss, PlainElement(missing, y_true[rest], y_pred[rest]), &sums);
  }
  WeighByCount(&sums);
  output.Write(sums);
}

// `gradient` may be y_true or y_pred: a thread reads what it will overwrite before it writes.
template <typename Loss, typename Stored>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    GradientOfVectors(Loss loss, MissingLabels missing, const Stored* y_true, const Stored* y_pred,
                      int64_t size, CudaScale upstream, Reduction reduction, Stored* gradient) {
  constexpr int kSize = Pack<Stored>::kSize;
  constexpr int kUnroll = Pack<Stored>::kUnroll;
  constexpr int64_t kTile = Pack<Stored>::kTile;
  const Scale<ComputingTypeOf<Stored>> scale(UpstreamOver(upstream, reduction));
  const int64_t num_vectors = size / kSize;
  uint4* const to_gradient = reinterpret_cast<uint4*>(gradient);
  for (int64_t tile = blockIdx.x; tile * kTile < num_vectors; tile += gridDim.x) {
    const int64_t first = tile * kTile + threadIdx.x;
    const Tile</*kAligned=*/true, Stored> loaded(y_true, y_pred, first, num_vectors);
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const Pack<Stored> labels(loaded.y_true[k]);
      Pack<Stored> predictions(loaded.y_pred[k]);
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        const auto element = PlainElement(missing, labels.values[i], predictions.values[i]);
        predictions.values[i] = Rounded<Stored>(GradientOf(loss, element, scale));
      }
      const int64_t vector = first + k * kThreads;
      if (vector < num_vectors) to_gradient[vector] = predictions.Bytes();
    }
  }
  const int64_t rest = num_vectors * kSize + threadIdx.x;
  if (blockIdx.x == 0 && rest < size) {
    const auto element = PlainElement(missing, y_true[rest], y_pred[rest]);
    gradient[rest] = Rounded<Stored>(GradientOf(loss, element, scale));
  }
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_VECTORS_H_
