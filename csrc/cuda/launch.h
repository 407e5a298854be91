// Launches of kernels on one stream.
#ifndef MASKLSTM_CSRC_CUDA_LAUNCH_H_
#define MASKLSTM_CSRC_CUDA_LAUNCH_H_

#include <cuda_runtime.h>

#include <string>
#include <utility>

#include "csrc/cuda/status.h"
#include "csrc/cuda/sums.h"

namespace masklstm {

namespace {

// Launches kernels one after the other, until one fails.
class Launches {
 public:
  explicit Launches(void* stream) : stream_(static_cast<cudaStream_t>(stream)) {}

  template <typename... Parameters, typename... Arguments>
  void Add(void (*kernel)(Parameters...), dim3 grid, Arguments&&... arguments) {
    if (error_ != cudaSuccess) return;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(kThreads);
    config.stream = stream_;
    CountCudaLaunch();
    error_ = cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
    // The error is also kept until somebody asks, and must not become that of a later call.
    const cudaError_t last = cudaGetLastError();
    if (error_ == cudaSuccess) error_ = last;
  }

  std::string error() const { return CudaErrorText(error_); }

 private:
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_LAUNCH_H_
