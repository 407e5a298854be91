// What happens to elements: they are added to a thread's sums, or become gradients.
#ifndef MASKLSTM_CSRC_CUDA_ELEMENT_H_
#define MASKLSTM_CSRC_CUDA_ELEMENT_H_

#include <cuda_runtime.h>

#include "csrc/core/division.h"
#include "csrc/core/masked_loss.h"
#include "csrc/cuda/inputs.h"
#include "csrc/cuda/math.h"

namespace masklstm {
namespace {

template <typename Loss, typename T>
__device__ void Add(const Loss& loss, const Element<T>& element, Sums* sums) {
  const T value = loss.Value(Scalar<T>{element.y_true}, Scalar<T>{element.y_pred}).value;
  // Exact for float: the product of two 24-bit numbers fits a double.
  const double weighted = static_cast<double>(value) * static_cast<double>(element.weight);
  sums->loss_sum += element.is_valid ? weighted : 0.0;
  sums->weight_sum += element.is_valid ? static_cast<double>(element.weight) : 0.0;
  sums->valid_count += element.is_valid;
}

// The same without weights. The sum of the weights is then the count: see WeighByCount.
template <typename Loss, typename T>
__device__ void AddUnweighted(const Loss& loss, const Element<T>& element, Sums* sums) {
  const T value = loss.Value(Scalar<T>{element.y_true}, Scalar<T>{element.y_pred}).value;
  sums->loss_sum += element.is_valid ? static_cast<double>(value) : 0.0;
  sums->valid_count += element.is_valid;
}

// One addition of doubles less for each element: many cards are slow at those.
__device__ inline void WeighByCount(Sums* sums) {
  sums->weight_sum = static_cast<double>(sums->valid_count);
}

template <typename Loss, typename Types>
__device__ void AddBatch(const Loss& loss, const Batch<Types>& batch, Sums* sums) {
#pragma unroll
  for (int k = 0; k < Types::kBatch; ++k) Add(loss, batch[k], sums);
}

template <typename Loss, typename T>
__device__ T GradientOf(const Loss& loss, const Element<T>& element, const Scale<T>& scale) {
  const T slope = loss.Derivative(Scalar<T>{element.y_true}, Scalar<T>{element.y_pred}).value;
  return element.is_valid ? Scaled(scale, element.weight, slope) : T{0};
}

// Scaled, but asked once for all whether a product leaves the type's range.
template <typename Loss, typename Types>
__device__ void WriteGradientOfBatch(const Loss& loss, const CudaInputs& inputs,
                                     const Batch<Types>& batch,
                                     const Scale<typename Types::T>& scale, const Places& places,
                                     void* gradient) {
  using T = typename Types::T;
  T products[Types::kBatch];
  T values[Types::kBatch];
  bool are_held = scale.is_held;
#pragma unroll
  for (int k = 0; k < Types::kBatch; ++k) {
    products[k] = scale.rounded * batch.weights[k];
    are_held = are_held & (IsNormal<T>(products[k]) | (batch.weights[k] == 0));
  }
#pragma unroll
  for (int k = 0; k < Types::kBatch; ++k) {
    const Element<T> element = batch[k];
    values[k] = loss.Derivative(Scalar<T>{element.y_true}, Scalar<T>{element.y_pred}).value;
  }
  if (are_held) {
#pragma unroll
    for (int k = 0; k < Types::kBatch; ++k) values[k] *= products[k];
  } else {
#pragma unroll
    for (int k = 0; k < Types::kBatch; ++k) values[k] = Scaled(scale, batch.weights[k], values[k]);
  }
#pragma unroll
  for (int k = 0; k < Types::kBatch; ++k) values[k] = batch.is_valid[k] ? values[k] : T{0};
  Types::Write(inputs, places, values, gradient);
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_ELEMENT_H_
