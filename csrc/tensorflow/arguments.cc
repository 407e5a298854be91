#include "csrc/tensorflow/arguments.h"

#include <algorithm>

#include "csrc/core/error_texts.h"
#include "csrc/cpu/dispatch.h"

namespace masklstm {

using tensorflow::OpInputList;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

DataType DataTypeOf(tensorflow::DataType tensorflow_type) {
#define MASKLSTM_CASE(type, Stored, name, typestr, tensorflow_type, role) \
  case tensorflow::tensorflow_type:                                       \
    return DataType::type;
  switch (tensorflow_type) {
    MASKLSTM_FOR_EACH_DATA_TYPE(MASKLSTM_CASE)
    default:
      LOG(FATAL) << "masklstm: no kernel has the type " << DataTypeString(tensorflow_type);
  }
#undef MASKLSTM_CASE
}

namespace {

// Rows are what lies along the last axis; a scalar is a row of one.
int64_t NumRows(const TensorShape& shape) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < shape.dims(); ++axis) rows *= shape.dim_size(axis);
  return rows;
}

}  // namespace

void Attributes::Read(OpKernelConstruction* context) {
  std::string error;
  OP_REQUIRES(context, !InstructionSet(&error).empty(), InvalidArgument(error));
  std::string text;
  OP_REQUIRES_OK(context, context->GetAttr("loss", &text));
  loss = FindLoss(text);  // found, since the attribute allows only known names
  OP_REQUIRES_OK(context, context->GetAttr("parameters", &text));
  OP_REQUIRES(context, ParseParameters(loss, text, parameters, &error), InvalidArgument(error));
  num_channels = NumChannels(loss, parameters);
  OP_REQUIRES_OK(context, context->GetAttr("missing", &text));
  OP_REQUIRES(
      context, ParseMissing(text, &missing),
      InvalidArgument("Invalid value for attribute 'missing'. Expected 'nan', 'nonfinite' or a "
                      "number. Received: missing='",
                      text, "'"));
  tensorflow::DataType prediction_type, type;
  OP_REQUIRES_OK(context, context->GetAttr("T", &prediction_type));
  const bool is_double = prediction_type == tensorflow::DT_DOUBLE;
  const auto computing_type = is_double ? tensorflow::DT_DOUBLE : tensorflow::DT_FLOAT;
  if (context->HasAttr("Tcompute")) {
    OP_REQUIRES_OK(context, context->GetAttr("Tcompute", &type));
    OP_REQUIRES(context, type == computing_type,
                InvalidArgument("Expected Tcompute = double for T = double, else float."));
  }
  for (const char* what : {"weights", "directions"}) {
    const std::string name = absl::StrCat("T", what);
    if (!context->HasAttr(name)) continue;
    std::vector<tensorflow::DataType> types;
    OP_REQUIRES_OK(context, context->GetAttr(name, &types));
    for (const tensorflow::DataType type_of_one : types) {
      OP_REQUIRES(
          context, type_of_one == computing_type,
          InvalidArgument("Expected ", what, " of type double for T = double, else float."));
    }
  }
  if (context->HasAttr("balance")) {
    OP_REQUIRES_OK(context, context->GetAttr("balance", &balance_name));
    FindBalance(balance_name, &balance);
  }
  if (context->HasAttr("kind")) {
    OP_REQUIRES_OK(context, context->GetAttr("kind", &text));
    FindElementKind(text, &kind);
    const bool needs_channels = kind == ElementKind::kDirectionalDerivative;
    const bool has_none = kind == ElementKind::kSecondDerivative;
    OP_REQUIRES(
        context, num_channels == 0 ? !needs_channels : !has_none,
        InvalidArgument("Loss '", Losses()[loss].name, "' has no elements of kind '", text, "'"));
  }
  if (!context->HasAttr("reduction")) return;
  OP_REQUIRES_OK(context, context->GetAttr("reduction", &text));
  FindReduction(text, &reduction);
  OP_REQUIRES_OK(context, context->GetAttr("Tloss", &type));
  OP_REQUIRES(context, reduction != Reduction::kNone || type == computing_type,
              InvalidArgument("Expected Tloss = double for row means of T = double, else float."));
}

absl::Status CheckShapes(const Attributes& attributes, const TensorShape& y_true,
                         const TensorShape& y_pred) {
  const int num_channels = attributes.num_channels;
  TensorShape expected = y_true;
  if (num_channels > 0) expected.AddDim(num_channels);
  if (y_pred == expected) return absl::OkStatus();
  const std::string labels = y_true.DebugString();
  const std::string predictions = y_pred.DebugString();
  if (num_channels == 0) return InvalidArgument(ShapesDifferText(labels, predictions));
  return InvalidArgument(
      ChannelsDifferText(Losses()[attributes.loss].name, num_channels, labels, predictions));
}

absl::Status CheckResults(Reduction reduction, const TensorShape& y_true,
                          const TensorShape& loss_gradient, const TensorShape& weight_sum,
                          const TensorShape& valid_count) {
  const int64_t expected = reduction == Reduction::kNone ? NumRows(y_true) : 1;
  if (loss_gradient.num_elements() != expected) {
    return InvalidArgument("Expected the gradient of ", expected,
                           " loss values. Received: loss_gradient with shape ",
                           loss_gradient.DebugString());
  }
  if (weight_sum.num_elements() != 1 || valid_count.num_elements() != 1) {
    return InvalidArgument("Expected scalars. Received: weight_sum with shape ",
                           weight_sum.DebugString(), ", valid_count with shape ",
                           valid_count.DebugString());
  }
  return absl::OkStatus();
}

absl::Status FindGroupAxis(const Attributes& attributes, const TensorShape& y_true, int* axis) {
  *axis = GroupAxis(attributes.balance, y_true.dims());
  if (*axis >= 0) return absl::OkStatus();
  return InvalidArgument(NoGroupAxisText(y_true.DebugString(), attributes.balance_name));
}

absl::Status MakeView(const void* data, const TensorShape& shape, const char* name,
                      const TensorShape& full, Broadcast* view) {
  // An empty tensor may have no memory, but it was given.
  static const char kNothing = 0;
  if (data == nullptr) data = &kNothing;
  const auto dims = shape.dim_sizes();
  const auto full_dims = full.dim_sizes();
  const BroadcastResult result =
      MakeBroadcast(data, dims.data(), shape.dims(), full_dims.data(), full.dims(), view);
  if (result == BroadcastResult::kOk) return absl::OkStatus();
  const std::string text = shape.DebugString();
  return InvalidArgument(BroadcastText(result, name, text, full.DebugString(),
                                       absl::StrCat(name, " with shape ", text)));
}

absl::Status CheckNumber(int number, int most, const char* name) {
  if (number <= most) return absl::OkStatus();
  return InvalidArgument("Expected at most ", most, " tensors for '", name,
                         "'. Received: ", number);
}

namespace {

// Fills views[0], views[1] ... with the tensors of the list input.
template <int kSize>
absl::Status MakeViews(OpKernelContext* context, const char* name, const TensorShape& full,
                       Broadcast (&views)[kSize]) {
  OpInputList list;
  TF_RETURN_IF_ERROR(context->input_list(name, &list));
  TF_RETURN_IF_ERROR(CheckNumber(list.size(), kSize, name));
  for (int i = 0; i < list.size(); ++i) {
    TF_RETURN_IF_ERROR(MakeView(list[i].data(), list[i].shape(), name, full, &views[i]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadInputs(OpKernelContext* context, const Attributes& attributes,
                        bool has_sample_weight, MaskedLossInputs* inputs) {
  const Tensor* y_true;
  const Tensor* y_pred;
  TF_RETURN_IF_ERROR(context->input("y_true", &y_true));
  TF_RETURN_IF_ERROR(context->input("y_pred", &y_pred));
  const TensorShape& shape = y_true->shape();
  TF_RETURN_IF_ERROR(CheckShapes(attributes, shape, y_pred->shape()));
  inputs->loss = attributes.loss;
  std::copy_n(attributes.parameters, kMaxParameters, inputs->parameters);
  inputs->num_channels = attributes.num_channels;
  inputs->missing = attributes.missing;
  inputs->label_type = DataTypeOf(y_true->dtype());
  inputs->prediction_type = DataTypeOf(y_pred->dtype());
  inputs->y_true = y_true->data();
  inputs->y_pred = y_pred->data();
  SetRows(shape.dim_sizes().data(), shape.dims(), inputs);
  if (has_sample_weight) {
    TF_RETURN_IF_ERROR(MakeViews(context, "sample_weight", shape, inputs->weights));
  }
  Broadcast masks[1];
  TF_RETURN_IF_ERROR(MakeViews(context, "mask", shape, masks));
  inputs->mask = masks[0];
  return absl::OkStatus();
}

absl::Status CheckDirection(const Attributes& attributes, int number, const TensorShape& y_pred,
                            const TensorShape& direction) {
  const int expected = attributes.kind == ElementKind::kDirectionalDerivative ? 1 : 0;
  if (number != expected) {
    return InvalidArgument("Expected ", expected, " tensors for 'direction'. Received: ", number);
  }
  if (number == 0 || direction == y_pred) return absl::OkStatus();
  return InvalidArgument("Expected a direction of y_pred's shape, ", y_pred.DebugString(),
                         ". Received: direction with shape ", direction.DebugString());
}

absl::Status ReadDirection(OpKernelContext* context, const Attributes& attributes,
                           MaskedLossInputs* inputs) {
  OpInputList list;
  TF_RETURN_IF_ERROR(context->input_list("direction", &list));
  const Tensor* y_pred;
  TF_RETURN_IF_ERROR(context->input("y_pred", &y_pred));
  const TensorShape shape = list.size() == 0 ? TensorShape() : list[0].shape();
  TF_RETURN_IF_ERROR(CheckDirection(attributes, list.size(), y_pred->shape(), shape));
  if (list.size() == 1) inputs->direction = list[0].data();
  return absl::OkStatus();
}

}  // namespace masklstm
