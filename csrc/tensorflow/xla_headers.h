// XLA's headers, as the wheels of TensorFlow's different versions have them.
#ifndef MASKLSTM_CSRC_TENSORFLOW_XLA_HEADERS_H_
#define MASKLSTM_CSRC_TENSORFLOW_XLA_HEADERS_H_

// The wheel of TensorFlow 2.19 has a header that all of XLA includes, but not LLVM's headers, which
// it includes. Its class, for the memory of NVIDIA's GPUs, is only named as the type of an
// argument.
#include "tensorflow/core/public/version.h"
#if defined(TF_MINOR_VERSION) && TF_MINOR_VERSION == 19  // newer ones do not define it
#define XLA_STREAM_EXECUTOR_GPU_TMA_METADATA_H_
namespace stream_executor::gpu {
class TmaDescriptor {
 public:
  TmaDescriptor(const TmaDescriptor&);  // never defined
  ~TmaDescriptor();
};
}  // namespace stream_executor::gpu
#endif

#include "tensorflow/compiler/tf2xla/shape_util.h"
#include "tensorflow/compiler/tf2xla/type_util.h"
#include "tensorflow/compiler/tf2xla/xla_op_kernel.h"
#include "tensorflow/compiler/tf2xla/xla_op_registry.h"
#if __has_include("xla/hlo/builder/xla_builder.h")
#include "xla/hlo/builder/lib/arithmetic.h"
#include "xla/hlo/builder/lib/constants.h"
#include "xla/hlo/builder/lib/math.h"
#include "xla/hlo/builder/xla_builder.h"
#else  // TensorFlow 2.18
#include "xla/client/lib/arithmetic.h"
#include "xla/client/lib/constants.h"
#include "xla/client/lib/math.h"
#include "xla/client/xla_builder.h"
#endif
#include "xla/shape_util.h"

#endif  // MASKLSTM_CSRC_TENSORFLOW_XLA_HEADERS_H_
