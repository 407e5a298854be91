// The general way: any types, mask and weights.
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

// Calls body(batch, places) for all batches of the thread. Those of a block are neighbours.
template <typename Types, typename Body>
__device__ void ForEachBatchOfAll(const CudaInputs& inputs, Body&& body) {
  constexpr int64_t kTile = kThreads * Types::kBatch;
  const Places places{blockIdx.x * kTile + threadIdx.x, kThreads, inputs.size};
  ForEachBatch<Types>(inputs, places, gridDim.x * kTile, body);
}

template <typename Loss, typename Types>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumElements(Loss loss, const __grid_constant__ CudaInputs inputs, SumsOutput output) {
  Sums sums;
  ForEachBatchOfAll<Types>(inputs,
                           [&](const auto& batch, const Places&) { AddBatch(loss, batch, &sums); });
  output.Write(sums);
}

template <typename Loss, typename Types>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    GradientOfElements(Loss loss, const __grid_constant__ CudaInputs inputs, CudaScale upstream,
                       Reduction reduction, void* gradient) {
  const Scale<typename Types::T> scale(UpstreamOver(upstream, reduction));
  ForEachBatchOfAll<Types>(inputs, [&](const auto& batch, const Places& places) {
    WriteGradientOfBatch(loss, inputs, batch, scale, places, gradient);
  });
}

template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    MapElements(Loss loss, const __grid_constant__ CudaInputs inputs, ElementKind kind,
                T* elements) {
  using Types = AnyTypes<T>;
  ForEachBatchOfAll<Types>(inputs, [&](const auto& batch, const Places& places) {
    T values[Types::kBatch];
#pragma unroll
    for (int k = 0; k < Types::kBatch; ++k) {
      const Element<T> element = batch[k];
      const Scalar<T> t{element.y_true};
      const Scalar<T> p{element.y_pred};
      Scalar<T> value{1};
      if (kind == ElementKind::kValue) value = loss.Value(t, p);
      if (kind == ElementKind::kDerivative) value = loss.Derivative(t, p);
      if (kind == ElementKind::kSecondDerivative) value = loss.SecondDerivative(t, p);
      values[k] = element.is_valid ? value.value : T{0};
    }
    WriteRounded<T>(places, values, elements);
  });
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_GENERAL_H_
