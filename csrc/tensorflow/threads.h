// TensorFlow's own threads, as the kernels take them.
#ifndef MASKLSTM_CSRC_TENSORFLOW_THREADS_H_
#define MASKLSTM_CSRC_TENSORFLOW_THREADS_H_

#include "csrc/cpu/dispatch.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace masklstm {

// The calling thread and those of the device take turns of a few units each: cores that are shared
// with others do not keep pace, and a fixed share for each thread would wait for the slowest. Nor
// does the caller wait for threads that have not woken up by the time the work is done, which for
// small tensors is most of the time.
ParallelFor ThreadPoolOf(tensorflow::OpKernelContext* context);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_TENSORFLOW_THREADS_H_
