#include "csrc/cuda/status.h"

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace masklstm {
namespace {

std::atomic<int64_t> launch_count{0};

}  // namespace

int64_t CudaLaunchCount() { return launch_count; }

void CountCudaLaunch() { ++launch_count; }

std::string CudaErrorText(int code) {
  const auto error = static_cast<cudaError_t>(code);
  if (error == cudaSuccess) return "";
  std::string text = std::string("masklstm's CUDA kernels could not run: ") +
                     cudaGetErrorName(error) + ", " + cudaGetErrorString(error) + ".";
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorUnsupportedPtxVersion: {
      int device = 0, major = 0, minor = 0;
      cudaGetDevice(&device);
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
      const std::string capability = std::to_string(major) + "." + std::to_string(minor);
      const std::string number = std::to_string(10 * major + minor);
      text += " Device " + std::to_string(device) + " has compute capability " + capability +
              "; the kernels were built for the architectures " MASKLSTM_CUDA_ARCHITECTURES
              ". Rebuild masklstm with MASKLSTM_CUDA=ON MASKLSTM_CUDA_ARCHITECTURES=" +
              number + ", by a CUDA toolkit that the driver supports.";
      break;
    }
    case cudaErrorInsufficientDriver:
      text +=
          " The driver is older than the CUDA " MASKLSTM_CUDA_VERSION
          " that masklstm was built with: update it, or rebuild masklstm with an older toolkit.";
      break;
    default:
      break;
  }
  return text;
}

}  // namespace masklstm
