// Losses with channels (csrc/losses/channels.h) on a GPU: an element for each thread at a time, in
// doubles. Formulas read the channels where they are.
//
// Means of rows and sums of groups are made in two steps, so that there need not be kernels of both
// for each of these losses: the element losses are written down in the computing type, and then
// reduced by the kernels of any loss, whose value is the prediction (`Identity`). A gradient of
// rows likewise: these kernels write the factor of each element down, which the slopes are
// multiplied with.
#ifndef MASKLSTM_CSRC_CUDA_CHANNELS_H_
#define MASKLSTM_CSRC_CUDA_CHANNELS_H_

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "csrc/core/division.h"
#include "csrc/core/masked_loss.h"
#include "csrc/core/stored_types.h"
#include "csrc/cuda/inputs.h"
#include "csrc/cuda/math.h"
#include "csrc/cuda/results.h"
#include "csrc/cuda/sums.h"
#include "csrc/losses/channels.h"
#include "csrc/losses/dual.h"

namespace masklstm {
namespace {

// The prediction as its own loss.
struct Identity {
  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V, V y_pred) const {
    return y_pred;
  }
  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V, V y_pred) const {
    return ScalarLike(y_pred, 1.0);
  }
};

MASKLSTM_HOST_DEVICE inline double ReadNumber(const void* array, DataType type, int64_t index) {
  double number = 0;
  VisitPredictionType(type, [&](auto stored) {
    number = static_cast<double>(Widen(static_cast<const decltype(stored)*>(array)[index]));
  });
  return number;
}

MASKLSTM_HOST_DEVICE inline void WriteNumber(double number, DataType type, int64_t index,
                                             void* array) {
  VisitPredictionType(type, [&](auto stored) {
    using Stored = decltype(stored);
    static_cast<Stored*>(array)[index] = NarrowFromDouble<Stored>(number);
  });
}

// The channels of one element.
struct ChannelsAt {
  const void* array;
  DataType type;
  int64_t first;

  MASKLSTM_HOST_DEVICE Scalar<double> operator[](int channel) const {
    return {ReadNumber(array, type, first + channel)};
  }
};

struct DualChannelsAt {
  ChannelsAt values;
  ChannelsAt tangents;

  MASKLSTM_HOST_DEVICE Dual<Scalar<double>> operator[](int channel) const {
    return {values[channel], tangents[channel]};
  }
};

// One element: its label and weight in doubles.
struct ChannelElement {
  double y_true;
  double weight;
  bool is_valid;

  __device__ ChannelElement(const CudaInputs& inputs, bool is_double, int64_t i) {
    const Places places{i, 1, i + 1};
    uint8_t kept[1];
    double labels[1];
    bool are_valid[1];
    LoadMask(inputs, places, kept);
    VisitType(inputs.label_type, [&](auto stored) {
      ReadStoredLabels<decltype(stored)>(inputs, places, kept, labels, are_valid);
    });
    y_true = labels[0];
    is_valid = are_valid[0];
    if (is_double) {
      ReadWeight<double>(inputs, places);
    } else {
      ReadWeight<float>(inputs, places);
    }
  }

 private:
  template <typename T>
  __device__ void ReadWeight(const CudaInputs& inputs, const Places& places) {
    T weights[1];
    LoadWeights(inputs, places, weights);
    weight = static_cast<double>(weights[0]);
  }
};

// What the kernels below have in common.
struct ChannelInputs {
  CudaInputs inputs;
  int num_channels;
  DataType computing_type;

  explicit ChannelInputs(const MaskedLossInputs& inputs)
      : inputs(inputs),
        num_channels(inputs.num_channels),
        computing_type(inputs.computing_type()) {}

  __device__ ChannelElement Element(int64_t i) const {
    return ChannelElement(inputs, computing_type == DataType::kFloat64, i);
  }
  __device__ ChannelsAt Predictions(int64_t i) const {
    return {inputs.y_pred, inputs.prediction_type, i * num_channels};
  }
};

// Calls body(i) for the elements of the thread.
template <typename Body>
__device__ void ForEachElement(int64_t size, Body&& body) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < size;
       i += stride) {
    body(i);
  }
}

template <typename Loss>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumChannels(const __grid_constant__ Loss loss, const __grid_constant__ ChannelInputs inputs,
                SumsOutput output) {
  Sums sums;
  ForEachElement(inputs.inputs.size, [&](int64_t i) {
    const ChannelElement element = inputs.Element(i);
    const double value = loss.Value(Scalar<double>{element.y_true}, inputs.Predictions(i)).value;
    sums.loss_sum += element.is_valid ? value * element.weight : 0.0;
    sums.weight_sum += element.is_valid ? element.weight : 0.0;
    sums.valid_count += element.is_valid;
  });
  output.Write(sums);
}

// Where what is written for each channel comes from.
enum class Slopes {
  kOfLoss,      // scale * w * derivative, in the predictions' type
  kByElement,   // the element's entry of `factors` times the derivative, in the same type
  kOfElements,  // the derivative, in the computing type
};

template <typename Loss>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    GradientOfChannels(const __grid_constant__ Loss loss,
                       const __grid_constant__ ChannelInputs inputs, CudaScale upstream,
                       Reduction reduction, Slopes kind, const void* factors, void* gradient) {
  const Scale<double> scale(kind == Slopes::kOfLoss ? UpstreamOver(upstream, reduction) : 1.0);
  const DataType type =
      kind == Slopes::kOfElements ? inputs.computing_type : inputs.inputs.prediction_type;
  ForEachElement(inputs.inputs.size, [&](int64_t i) {
    const ChannelElement element = inputs.Element(i);
    double weight = kind == Slopes::kOfElements ? 1.0 : element.weight;
    if (kind == Slopes::kByElement) weight = ReadNumber(factors, inputs.computing_type, i);
    loss.Derivative(Scalar<double>{element.y_true}, inputs.Predictions(i),
                    [&](int c, Scalar<double> slope) {
                      const double product = Scaled(scale, weight, slope.value);
                      WriteNumber(element.is_valid ? product : 0.0, type,
                                  i * inputs.num_channels + c, gradient);
                    });
  });
}

// The element losses, or with a direction the derivatives of the derivatives along it.
template <typename Loss>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    MapChannels(const __grid_constant__ Loss loss, const __grid_constant__ ChannelInputs inputs,
                const void* direction, void* elements) {
  ForEachElement(inputs.inputs.size, [&](int64_t i) {
    const ChannelElement element = inputs.Element(i);
    const Scalar<double> label{element.y_true};
    const ChannelsAt predictions = inputs.Predictions(i);
    if (direction == nullptr) {
      const double value = loss.Value(label, predictions).value;
      return WriteNumber(element.is_valid ? value : 0.0, inputs.computing_type, i, elements);
    }
    const ChannelsAt tangents{direction, inputs.computing_type, predictions.first};
    loss.Derivative(Dual<Scalar<double>>{label, {0.0}}, DualChannelsAt{predictions, tangents},
                    [&](int c, Dual<Scalar<double>> slope) {
                      WriteNumber(element.is_valid ? slope.tangent.value : 0.0,
                                  inputs.computing_type, predictions.first + c, elements);
                    });
  });
}

// 1 where valid.
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    MapValid(const __grid_constant__ ChannelInputs inputs, void* elements) {
  ForEachElement(inputs.inputs.size, [&](int64_t i) {
    WriteNumber(inputs.Element(i).is_valid, inputs.computing_type, i, elements);
  });
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_CHANNELS_H_
