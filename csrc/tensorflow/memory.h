#ifndef MASKLSTM_CSRC_TENSORFLOW_MEMORY_H_
#define MASKLSTM_CSRC_TENSORFLOW_MEMORY_H_

#include <new>

#include "absl/status/status.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace masklstm {

// Runs compute(), and turns a lack of memory for the library's own use into TensorFlow's error for
// it: an exception would end the process.
template <typename Compute>
void WithMemory(tensorflow::OpKernelContext* context, const Compute& compute) {
  try {
    compute();
  } catch (const std::bad_alloc&) {
    context->SetStatus(absl::ResourceExhaustedError("masklstm: out of memory"));
  }
}

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_TENSORFLOW_MEMORY_H_
