// What the kernels of all devices read from an op before they see its data: types, attributes, and
// whether the shapes fit together.
#ifndef MASKLSTM_CSRC_TENSORFLOW_ARGUMENTS_H_
#define MASKLSTM_CSRC_TENSORFLOW_ARGUMENTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "csrc/core/masked_loss.h"
#include "csrc/core/names.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace masklstm {

template <typename... Args>
absl::Status InvalidArgument(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

// One of the types that the ops' attributes allow.
DataType DataTypeOf(tensorflow::DataType type);

// What a kernel knows before it sees a tensor.
struct Attributes {
  int loss;
  double parameters[kMaxParameters] = {};
  int num_channels = 0;
  Missing missing;
  Reduction reduction = Reduction::kSumOfElements;
  Balance balance = Balance::kSample;
  std::string balance_name;
  ElementKind kind = ElementKind::kValue;

  void Read(tensorflow::OpKernelConstruction* context);
};

// A kernel (TensorFlow's class `Kernel`) that has read its attributes.
template <typename Kernel>
class WithAttributes : public Kernel {
 public:
  explicit WithAttributes(tensorflow::OpKernelConstruction* context) : Kernel(context) {
    attributes_.Read(context);
  }

 protected:
  Attributes attributes_;
};

// Whether labels and predictions have one shape, or the predictions one axis more for the channels.
absl::Status CheckShapes(const Attributes& attributes, const tensorflow::TensorShape& y_true,
                         const tensorflow::TensorShape& y_pred);

// Checks what a gradient is given of the forward pass: one `loss_gradient` for each loss value, and
// two scalars.
absl::Status CheckResults(Reduction reduction, const tensorflow::TensorShape& y_true,
                          const tensorflow::TensorShape& loss_gradient,
                          const tensorflow::TensorShape& weight_sum,
                          const tensorflow::TensorShape& valid_count);

// The axis of the groups; an error if labels of this shape have none.
absl::Status FindGroupAxis(const Attributes& attributes, const tensorflow::TensorShape& y_true,
                           int* axis);

// Fills `inputs` with the op's labels, predictions, weights and mask, wherever their memory is.
absl::Status ReadInputs(tensorflow::OpKernelContext* context, const Attributes& attributes,
                        bool has_sample_weight, MaskedLossInputs* inputs);

// The direction of a directional derivative, which is of the predictions' shape.
absl::Status ReadDirection(tensorflow::OpKernelContext* context, const Attributes& attributes,
                           MaskedLossInputs* inputs);
absl::Status CheckDirection(const Attributes& attributes, int number,
                            const tensorflow::TensorShape& y_pred,
                            const tensorflow::TensorShape& direction);

// The view of weights or a mask at `data`, which may be null for an empty tensor.
absl::Status MakeView(const void* data, const tensorflow::TensorShape& shape, const char* name,
                      const tensorflow::TensorShape& full, Broadcast* view);

// An error if more than `most` tensors were given in the list `name`.
absl::Status CheckNumber(int number, int most, const char* name);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_TENSORFLOW_ARGUMENTS_H_
