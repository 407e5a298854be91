// How a CUDA thread reads one element: label, prediction and weight in the computing type, and
// whether the element is valid. The types and the views of weights and mask are looked at when the
// kernel runs: they are the same for all threads, so that no branch divides a warp.
#ifndef MASKLSTM_CSRC_CUDA_INPUTS_H_
#define MASKLSTM_CSRC_CUDA_INPUTS_H_

#include <cstdint>
#include <type_traits>

#include "csrc/core/masked_loss.h"
#include "csrc/core/missing.h"
#include "csrc/core/stored_types.h"
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

struct CudaInputs {
  const void* y_true;
  const void* y_pred;
  DataType label_type;
  DataType prediction_type;
  MissingLabels missing;
  Broadcast weights[kMaxWeights];
  Broadcast mask;
  int64_t size;

  explicit CudaInputs(const MaskedLossInputs& inputs)
      : y_true(inputs.y_true),
        y_pred(inputs.y_pred),
        label_type(inputs.label_type),
        prediction_type(inputs.prediction_type),
        missing(inputs.missing, inputs.label_type),
        mask(inputs.mask),
        size(inputs.num_elements()) {
    for (int i = 0; i < kMaxWeights; ++i) weights[i] = inputs.weights[i];
  }
};

template <typename T>
struct Element {
  T y_true;
  T y_pred;
  T weight;
  bool is_valid;
};

// The place of element `i` of the labels in the small array.
MASKLSTM_HOST_DEVICE inline int64_t IndexIn(const Broadcast& view, int64_t i) {
  if (view.IsFull()) return i;
  int64_t index = 0;
  uint64_t rest = static_cast<uint64_t>(i);
  for (int axis = view.num_axes - 1; axis > 0; --axis) {
    const uint64_t extent = static_cast<uint64_t>(view.extent[axis]);
    const uint64_t outer = rest / extent;
    index += static_cast<int64_t>(rest - outer * extent) * view.stride[axis];
    rest = outer;
  }
  return view.num_axes == 0 ? 0 : index + static_cast<int64_t>(rest) * view.stride[0];
}

// Whether the mask keeps the element.
MASKLSTM_HOST_DEVICE inline bool IsKept(const CudaInputs& inputs, int64_t i) {
  if (!inputs.mask.IsPresent()) return true;
  // Not bool: any byte but 0 is true.
  return static_cast<const uint8_t*>(inputs.mask.data)[IndexIn(inputs.mask, i)] != 0;
}

// The label, which means something only where the result is true.
template <typename T>
MASKLSTM_HOST_DEVICE bool ReadLabel(const CudaInputs& inputs, int64_t i, T* y_true) {
  bool is_valid = false;
  VisitType(inputs.label_type, [&](auto stored) {
    using Stored = decltype(stored);
    const auto label = Widen(static_cast<const Stored*>(inputs.y_true)[i]);
    is_valid = inputs.missing.IsValid(label);
    *y_true = static_cast<T>(label);
  });
  return is_valid && IsKept(inputs, i);
}

template <typename T>
MASKLSTM_HOST_DEVICE T ReadPrediction(const CudaInputs& inputs, int64_t i) {
  if constexpr (std::is_same_v<T, double>) {  // there is no other type that is computed in doubles
    return static_cast<const double*>(inputs.y_pred)[i];
  } else {
    T y_pred = 0;
    VisitPredictionType(inputs.prediction_type, [&](auto stored) {
      using Stored = decltype(stored);
      if constexpr (std::is_same_v<ComputingTypeOf<Stored>, T>) {
        y_pred = Widen(static_cast<const Stored*>(inputs.y_pred)[i]);
      }
    });
    return y_pred;
  }
}

// The product of the weights, 1 if there are none.
template <typename T>
MASKLSTM_HOST_DEVICE T ReadWeight(const CudaInputs& inputs, int64_t i) {
  T product = 1;
  for (const Broadcast& weight : inputs.weights) {
    if (weight.IsPresent()) product *= static_cast<const T*>(weight.data)[IndexIn(weight, i)];
  }
  return product;
}

template <typename T>
MASKLSTM_HOST_DEVICE Element<T> ReadElement(const CudaInputs& inputs, int64_t i) {
  Element<T> element;
  element.y_pred = ReadPrediction<T>(inputs, i);
  element.weight = ReadWeight<T>(inputs, i);
  element.is_valid = ReadLabel(inputs, i, &element.y_true);
  return element;
}

template <typename Stored, typename T>
MASKLSTM_HOST_DEVICE Stored Rounded(T value) {
  if constexpr (std::is_same_v<Stored, T>) {
    return value;
  } else {
    return Narrow<Stored>(value);
  }
}

// Rounds a number of the gradient to the predictions' type.
template <typename T>
MASKLSTM_HOST_DEVICE void WriteGradient(DataType type, T value, int64_t i, void* gradient) {
  if constexpr (std::is_same_v<T, double>) {
    static_cast<double*>(gradient)[i] = value;
  } else {
    VisitPredictionType(type, [&](auto stored) {
      using Stored = decltype(stored);
      if constexpr (std::is_same_v<ComputingTypeOf<Stored>, T>) {
        static_cast<Stored*>(gradient)[i] = Rounded<Stored>(value);
      }
    });
  }
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_INPUTS_H_
