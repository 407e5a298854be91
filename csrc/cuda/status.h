// What is known about the CUDA kernels of this process. No header of CUDA's.
#ifndef MASKLSTM_CSRC_CUDA_STATUS_H_
#define MASKLSTM_CSRC_CUDA_STATUS_H_

#include <cstdint>
#include <string>

namespace masklstm {

// What is the matter, and what can be done about it, for a cudaError_t of the current device. Empty
// for cudaSuccess.
std::string CudaErrorText(int error);

// How many kernels were launched.
int64_t CudaLaunchCount();
void CountCudaLaunch();

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_STATUS_H_
