#ifndef MASKLSTM_CSRC_KERNELS_CUDA_LAUNCH_COUNT_H_
#define MASKLSTM_CSRC_KERNELS_CUDA_LAUNCH_COUNT_H_

#include <cstdint>

namespace masklstm {

// How many CUDA kernels this process has launched.
int64_t CudaLaunchCount();

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_KERNELS_CUDA_LAUNCH_COUNT_H_
