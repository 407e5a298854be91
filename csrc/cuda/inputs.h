// How a CUDA thread reads elements: label, prediction and weight in the computing type, and whether
// the element is valid. It reads several at once, so that all loads are under way before the first
// is waited for. What is asked when the kernel runs (the views of weights and mask, and by AnyTypes
// the types) has the same answer for all threads, so that no branch divides a warp.
#ifndef MASKLSTM_CSRC_CUDA_INPUTS_H_
#define MASKLSTM_CSRC_CUDA_INPUTS_H_

#include <cstdint>
#include <type_traits>

#include "csrc/core/masked_loss.h"
#include "csrc/core/missing.h"
#include "csrc/core/stored_types.h"
#include "csrc/cuda/invariant_divisor.h"
#include "csrc/losses/host_device.h"

namespace masklstm {
namespace {

// StoredMissing for a type that is known only when the kernel runs.
struct MissingLabels {
  ValidRange<float> floats;    // of labels that widen to float
  ValidRange<double> doubles;  // to double
  int64_t integer_sentinel;    // the bits of an unsigned one
  bool has_integer_sentinel = false;

  MissingLabels(const Missing& missing, DataType label_type) {
    VisitType(label_type, [&](auto stored) {
      const StoredMissing<decltype(stored)> rule(missing);
      using Number = decltype(rule.sentinel());
      if constexpr (std::is_same_v<Number, float>) {
        floats = rule.range();
      } else if constexpr (std::is_same_v<Number, double>) {
        doubles = rule.range();
      } else {
        integer_sentinel = static_cast<int64_t>(rule.sentinel());
        has_integer_sentinel = rule.has_sentinel();
      }
    });
  }

  MASKLSTM_HOST_DEVICE bool IsValid(float label) const { return floats.Contains(label); }
  MASKLSTM_HOST_DEVICE bool IsValid(double label) const { return doubles.Contains(label); }
  template <typename Integer>
  MASKLSTM_HOST_DEVICE bool IsValid(Integer label) const {
    return !has_integer_sentinel || static_cast<int64_t>(label) != integer_sentinel;
  }
};

// A view of weights or a mask, and how its axes are counted through.
struct CudaBroadcast {
  Broadcast view;
  InvariantDivisor extent[Broadcast::kMaxAxes];

  explicit CudaBroadcast(const Broadcast& view) : view(view) {
    for (int axis = 0; axis < view.num_axes; ++axis) {
      if (view.extent[axis] > 0) extent[axis] = InvariantDivisor(view.extent[axis]);
    }
  }
};

struct CudaInputs {
  const void* y_true;
  const void* y_pred;
  DataType label_type;
  DataType prediction_type;
  MissingLabels missing;
  CudaBroadcast weights[kMaxWeights];
  CudaBroadcast mask;
  int64_t size;

  explicit CudaInputs(const MaskedLossInputs& inputs)
      : y_true(inputs.y_true),
        y_pred(inputs.y_pred),
        label_type(inputs.label_type),
        prediction_type(inputs.prediction_type),
        missing(inputs.missing, inputs.label_type),
        weights{CudaBroadcast(inputs.weights[0]), CudaBroadcast(inputs.weights[1])},
        mask(inputs.mask),
        size(inputs.num_elements()) {
    static_assert(kMaxWeights == 2);
  }
};

template <typename T>
struct Element {
  T y_true;
  T y_pred;
  T weight;
  bool is_valid;
};

// The places first, first + step, ... that are before `end`.
struct Places {
  int64_t first;
  int64_t step;
  int64_t end;

  __device__ int64_t operator[](int k) const { return first + k * step; }
  __device__ bool IsInside(int k) const { return (*this)[k] < end; }

  // values[k] = array[place], or 0 beyond the end.
  template <typename Value, int kBatch>
  __device__ void Load(const void* array, Value (&values)[kBatch]) const {
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      values[k] = IsInside(k) ? static_cast<const Value*>(array)[(*this)[k]] : Value{};
    }
  }
};

// index[k] = where the small array has the number for the element at the place.
template <typename Number, int kBatch>
__device__ void FindInBroadcast(const CudaBroadcast& broadcast, const Places& places,
                                int64_t (&index)[kBatch]) {
  const Broadcast& view = broadcast.view;
  Number rest[kBatch];
#pragma unroll
  for (int k = 0; k < kBatch; ++k) rest[k] = static_cast<Number>(places[k]);
#pragma unroll 1
  for (int axis = view.num_axes - 1; axis > 0; --axis) {
    const InvariantDivisor extent = broadcast.extent[axis];
    const Number size = static_cast<Number>(view.extent[axis]);
    const int64_t stride = view.stride[axis];
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      const Number outer = rest[k] / extent;
      index[k] += static_cast<int64_t>(rest[k] - outer * size) * stride;
      rest[k] = outer;
    }
  }
  if (view.num_axes == 0) return;
#pragma unroll
  for (int k = 0; k < kBatch; ++k) index[k] += static_cast<int64_t>(rest[k]) * view.stride[0];
}

// values[k] = the small array's number for the element at the place, or 0 beyond the end.
template <typename Value, int kBatch>
__device__ void LoadBroadcast(const CudaInputs& inputs, const CudaBroadcast& broadcast,
                              const Places& places, Value (&values)[kBatch]) {
  if (broadcast.view.IsFull()) return places.Load(broadcast.view.data, values);
  int64_t index[kBatch] = {};
  if (inputs.size <= InvariantDivisor::kMaxOf32Bits) {
    FindInBroadcast<uint32_t>(broadcast, places, index);
  } else {
    FindInBroadcast<uint64_t>(broadcast, places, index);
  }
#pragma unroll
  for (int k = 0; k < kBatch; ++k) {
    const Value* const data = static_cast<const Value*>(broadcast.view.data);
    values[k] = places.IsInside(k) ? data[index[k]] : Value{};
  }
}

// The bytes of the mask: any but 0 keeps the element. Those beyond the end are 0.
template <int kBatch>
__device__ void LoadMask(const CudaInputs& inputs, const Places& places, uint8_t (&kept)[kBatch]) {
  if (inputs.mask.view.IsPresent()) return LoadBroadcast(inputs, inputs.mask, places, kept);
#pragma unroll
  for (int k = 0; k < kBatch; ++k) kept[k] = places.IsInside(k);
}

// The products of the weights, 1 if there are none.
template <typename T, int kBatch>
__device__ void LoadWeights(const CudaInputs& inputs, const Places& places, T (&weight)[kBatch]) {
  if (inputs.weights[0].view.IsPresent()) {
    LoadBroadcast(inputs, inputs.weights[0], places, weight);  // a product would wait for it
  } else {
#pragma unroll
    for (int k = 0; k < kBatch; ++k) weight[k] = 1;
  }
  if (!inputs.weights[1].view.IsPresent()) return;
  T factor[kBatch];
  LoadBroadcast(inputs, inputs.weights[1], places, factor);
#pragma unroll
  for (int k = 0; k < kBatch; ++k) weight[k] *= factor[k];
}

// Sets label[k] and is_valid[k] of labels of type Stored. `&`, since a branch of `&&` would make
// each label wait for the one before.
template <typename Stored, typename T, int kBatch>
__device__ void ReadStoredLabels(const CudaInputs& inputs, const Places& places,
                                 const uint8_t (&kept)[kBatch], T (&label)[kBatch],
                                 bool (&is_valid)[kBatch]) {
  Stored labels[kBatch];
  places.Load(inputs.y_true, labels);
#pragma unroll
  for (int k = 0; k < kBatch; ++k) {
    const auto widened = Widen(labels[k]);
    is_valid[k] = inputs.missing.IsValid(widened) & (kept[k] != 0);
    label[k] = static_cast<T>(widened);
  }
}

template <typename Stored, typename T>
MASKLSTM_HOST_DEVICE Stored Rounded(T value) {
  if constexpr (std::is_same_v<Stored, T>) {
    return value;
  } else {
    return Narrow<Stored>(value);
  }
}

template <typename Stored, typename T, int kBatch>
__device__ void WriteRounded(const Places& places, const T (&value)[kBatch], void* array) {
#pragma unroll
  for (int k = 0; k < kBatch; ++k) {
    if (places.IsInside(k)) static_cast<Stored*>(array)[places[k]] = Rounded<Stored>(value[k]);
  }
}

// Labels and predictions of one type, known when the kernel is compiled.
template <typename Stored>
struct SameTypes {
  using T = ComputingTypeOf<Stored>;
  static constexpr int kBatch = 4;  // with 8 the registers leave too few threads to hide latency

  __device__ static void ReadLabels(const CudaInputs& inputs, const Places& places,
                                    const uint8_t (&kept)[kBatch], T (&label)[kBatch],
                                    bool (&is_valid)[kBatch]) {
    ReadStoredLabels<Stored>(inputs, places, kept, label, is_valid);
  }

  using Prediction = Stored;
  __device__ static void LoadPredictions(const CudaInputs& inputs, const Places& places,
                                         Prediction (&predictions)[kBatch]) {
    places.Load(inputs.y_pred, predictions);
  }
  __device__ static T Number(Prediction prediction) { return Widen(prediction); }

  __device__ static void Write(const CudaInputs&, const Places& places, const T (&value)[kBatch],
                               void* array) {
    WriteRounded<Stored>(places, value, array);
  }
};

// Any types that are computed with in T.
template <typename Computing>
struct AnyTypes {
  using T = Computing;
  static constexpr int kBatch = 2;  // more would take nvcc too long

  __device__ static void ReadLabels(const CudaInputs& inputs, const Places& places,
                                    const uint8_t (&kept)[kBatch], T (&label)[kBatch],
                                    bool (&is_valid)[kBatch]) {
    VisitType(inputs.label_type, [&](auto stored) {
      ReadStoredLabels<decltype(stored)>(inputs, places, kept, label, is_valid);
    });
  }

  using Prediction = T;
  __device__ static void LoadPredictions(const CudaInputs& inputs, const Places& places,
                                         Prediction (&predictions)[kBatch]) {
    VisitComputedInT(inputs, [&](auto stored) {
      decltype(stored) numbers[kBatch];
      places.Load(inputs.y_pred, numbers);
#pragma unroll
      for (int k = 0; k < kBatch; ++k) predictions[k] = Widen(numbers[k]);
    });
  }
  __device__ static T Number(Prediction prediction) { return prediction; }

  __device__ static void Write(const CudaInputs& inputs, const Places& places,
                               const T (&value)[kBatch], void* array) {
    VisitComputedInT(inputs,
                     [&](auto stored) { WriteRounded<decltype(stored)>(places, value, array); });
  }

 private:
  template <typename Visitor>
  __device__ static void VisitComputedInT(const CudaInputs& inputs, Visitor&& visitor) {
    VisitPredictionType(inputs.prediction_type, [&](auto stored) {
      if constexpr (std::is_same_v<ComputingTypeOf<decltype(stored)>, T>) visitor(stored);
    });
  }
};

// The elements of one batch.
template <typename Types>
struct Batch {
  using T = typename Types::T;
  static constexpr int kSize = Types::kBatch;

  typename Types::Prediction predictions[kSize];
  T labels[kSize];
  T weights[kSize];
  bool is_valid[kSize];

  __device__ void Read(const CudaInputs& inputs, const Places& places) {
    uint8_t kept[kSize];
    Types::LoadPredictions(inputs, places, predictions);
    LoadWeights(inputs, places, weights);
    LoadMask(inputs, places, kept);
    Types::ReadLabels(inputs, places, kept, labels, is_valid);
  }

  __device__ Element<T> operator[](int k) const {
    return {labels[k], Types::Number(predictions[k]), weights[k], is_valid[k]};
  }
};

// The same for labels alone.
template <typename Types>
__device__ int CountValid(const CudaInputs& inputs, const Places& places) {
  constexpr int kSize = Types::kBatch;
  uint8_t kept[kSize];
  typename Types::T ignored[kSize];
  bool is_valid[kSize];
  LoadMask(inputs, places, kept);
  Types::ReadLabels(inputs, places, kept, ignored, is_valid);
  int count = 0;
#pragma unroll
  for (int k = 0; k < kSize; ++k) count += is_valid[k];
  return count;
}

// Calls body(batch, places) for the batch at `places`, and for those each `stride` further on. What
// is beyond the end is not valid.
template <typename Types, typename Body>
__device__ void ForEachBatch(const CudaInputs& inputs, Places places, int64_t stride, Body&& body) {
  for (; places.first < places.end; places.first += stride) {
    Batch<Types> batch;
    batch.Read(inputs, places);
    body(batch, places);
  }
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_INPUTS_H_
