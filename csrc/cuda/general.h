// The general way: any types, mask and weights, element by element.
#ifndef MASKLSTM_CSRC_CUDA_GENERAL_H_
#define MASKLSTM_CSRC_CUDA_GENERAL_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "csrc/core/division.h"
#include "csrc/cuda/element.h"
#include "csrc/cuda/inputs.h"
#include "csrc/cuda/math.h"
#include "csrc/cuda/results.h"
#include "csrc/cuda/sums.h"

namespace masklstm {
namespace {

constexpr int kElementUnroll = 2;  // more of the general code would take nvcc too long
constexpr int64_t kElementsOfTile = kThreads * kElementUnroll;

// Calls body(i) for the elements of the thread: kElementsOfTile consecutive ones make a tile.
template <typename Body>
__device__ void ForEachElement(int64_t size, Body&& body) {
  for (int64_t tile = blockIdx.x; tile * kElementsOfTile < size; tile += gridDim.x) {
#pragma unroll
    for (int k = 0; k < kElementUnroll; ++k) {
      const int64_t i = tile * kElementsOfTile + k * kThreads + threadIdx.x;
      if (i < size) body(i);
    }
  }
}

template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumElements(Loss loss, const __grid_constant__ CudaInputs inputs, SumsOutput output) {
  Sums sums;
  ForEachElement(inputs.size, [&](int64_t i) { Add(loss, ReadElement<T>(inputs, i), &sums); });
  output.Write(sums);
}

template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    GradientOfElements(Loss loss, const __grid_constant__ CudaInputs inputs, CudaScale upstream,
                       Reduction reduction, void* gradient) {
  const Scale<T> scale(UpstreamOver(upstream, reduction));
  ForEachElement(inputs.size, [&](int64_t i) {
    const T value = GradientOf(loss, ReadElement<T>(inputs, i), scale);
    WriteGradient(inputs.prediction_type, value, i, gradient);
  });
}

template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    MapElements(Loss loss, const __grid_constant__ CudaInputs inputs, ElementKind kind,
                T* elements) {
  ForEachElement(inputs.size, [&](int64_t i) {
    const Element<T> element = ReadElement<T>(inputs, i);
    const Scalar<T> t{element.y_true};
    const Scalar<T> p{element.y_pred};
    Scalar<T> value{1};
    if (kind == ElementKind::kValue) value = loss.Value(t, p);
    if (kind == ElementKind::kDerivative) value = loss.Derivative(t, p);
    if (kind == ElementKind::kSecondDerivative) value = loss.SecondDerivative(t, p);
    elements[i] = element.is_valid ? value.value : T{0};
  });
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_GENERAL_H_
