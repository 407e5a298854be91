// nvcc has to be told of each function that it shall compile for the GPU as well.
#ifndef MASKLSTM_CSRC_LOSSES_HOST_DEVICE_H_
#define MASKLSTM_CSRC_LOSSES_HOST_DEVICE_H_

#if defined(__CUDACC__)
#define MASKLSTM_HOST_DEVICE __host__ __device__
#else
#define MASKLSTM_HOST_DEVICE
#endif

// Before a loop of a constant number of steps.
#if defined(__CUDACC__)
#define MASKLSTM_UNROLL _Pragma("unroll")
#else
#define MASKLSTM_UNROLL _Pragma("GCC unroll 32")
#endif

#endif  // MASKLSTM_CSRC_LOSSES_HOST_DEVICE_H_
