// The ops: names, attributes, shapes.
#include <string>

#include "csrc/core/data_types.h"
#include "csrc/core/error_texts.h"
#include "csrc/core/names.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/framework/types.h"

namespace masklstm {
namespace {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

template <typename Entries>
std::string Attribute(const std::string& name, const Entries& entries) {
  std::string allowed;
  for (const auto& entry : entries) {
    allowed += (allowed.empty() ? "'" : ", '") + std::string(entry.name) + "'";
  }
  return name + ": {" + allowed + "}";
}

// The types of an input, in TensorFlow's words.
std::string TypeAttribute(const std::string& name, bool of_predictions) {
  std::string allowed;
  const auto add = [&](tensorflow::DataType type, Role role) {
    if (of_predictions && role != Role::kLabelsAndPredictions) return;
    allowed += (allowed.empty() ? "" : ", ") + tensorflow::DataTypeString(type);
  };
#define MASKLSTM_ADD(type, Stored, name, typestr, tensorflow_type, role) \
  add(tensorflow::tensorflow_type, role);
  MASKLSTM_FOR_EACH_DATA_TYPE(MASKLSTM_ADD)
#undef MASKLSTM_ADD
  return name + ": {" + allowed + "}";
}

// The length of the axis that only the predictions have; 0 if there is none.
absl::Status ReadNumChannels(InferenceContext* context, int* number) {
  std::string loss, text, error;
  TF_RETURN_IF_ERROR(context->GetAttr("loss", &loss));
  TF_RETURN_IF_ERROR(context->GetAttr("parameters", &text));
  double parameters[kMaxParameters];
  if (!ParseParameters(FindLoss(loss), text, parameters, &error)) {
    return absl::InvalidArgumentError(error);
  }
  *number = NumChannels(FindLoss(loss), parameters);
  return absl::OkStatus();
}

// The labels' shape: that of the predictions but for the channels' axis.
absl::Status ElementShape(InferenceContext* context, int y_true, int y_pred, ShapeHandle* shape) {
  int num_channels;
  TF_RETURN_IF_ERROR(ReadNumChannels(context, &num_channels));
  ShapeHandle of_predictions = context->input(y_pred);
  if (num_channels > 0 && context->RankKnown(of_predictions)) {
    TF_RETURN_IF_ERROR(context->WithRankAtLeast(of_predictions, 1, &of_predictions));
    DimensionHandle channels;
    TF_RETURN_IF_ERROR(
        context->WithValue(context->Dim(of_predictions, -1), num_channels, &channels));
    TF_RETURN_IF_ERROR(context->Subshape(of_predictions, 0, -1, &of_predictions));
  } else if (num_channels > 0) {
    of_predictions = context->UnknownShape();
  }
  return context->Merge(context->input(y_true), of_predictions, shape);
}

// The predictions' shape.
absl::Status PredictionShape(InferenceContext* context, int y_true, int y_pred,
                             ShapeHandle* shape) {
  int num_channels;
  TF_RETURN_IF_ERROR(ReadNumChannels(context, &num_channels));
  TF_RETURN_IF_ERROR(ElementShape(context, y_true, y_pred, shape));
  if (num_channels == 0) return absl::OkStatus();
  return context->Concatenate(*shape, context->Vector(num_channels), shape);
}

absl::Status GradientShape(InferenceContext* context) {
  ShapeHandle shape;
  TF_RETURN_IF_ERROR(PredictionShape(context, 3, 4, &shape));
  context->set_output(0, shape);
  return absl::OkStatus();
}

absl::Status ElementsShape(InferenceContext* context) {
  std::string name;
  TF_RETURN_IF_ERROR(context->GetAttr("kind", &name));
  ElementKind kind;
  FindElementKind(name, &kind);
  ShapeHandle shape;
  TF_RETURN_IF_ERROR(IsByPrediction(kind) ? PredictionShape(context, 0, 1, &shape)
                                          : ElementShape(context, 0, 1, &shape));
  context->set_output(0, shape);
  return absl::OkStatus();
}

absl::Status LossShape(InferenceContext* context) {
  ShapeHandle elements;
  TF_RETURN_IF_ERROR(ElementShape(context, 0, 1, &elements));
  std::string reduction;
  TF_RETURN_IF_ERROR(context->GetAttr("reduction", &reduction));
  ShapeHandle loss = context->Scalar();
  if (reduction == "none") {
    if (!context->RankKnown(elements)) {
      loss = context->UnknownShape();
    } else if (context->Rank(elements) > 0) {
      TF_RETURN_IF_ERROR(context->Subshape(elements, 0, -1, &loss));
    }
  }
  context->set_output(0, loss);
  context->set_output(1, context->Scalar());
  context->set_output(2, context->Scalar());
  return absl::OkStatus();
}

// One entry for each group: all that its axis of the labels has.
absl::Status GroupsShape(InferenceContext* context) {
  ShapeHandle elements;
  TF_RETURN_IF_ERROR(ElementShape(context, 0, 1, &elements));
  std::string name;
  TF_RETURN_IF_ERROR(context->GetAttr("balance", &name));
  Balance balance;
  FindBalance(name, &balance);
  DimensionHandle num_groups = context->UnknownDim();
  if (context->RankKnown(elements)) {
    const int axis = GroupAxis(balance, context->Rank(elements));
    if (axis < 0) {
      return absl::InvalidArgumentError(NoGroupAxisText(context->DebugString(elements), name));
    }
    num_groups = context->Dim(elements, axis);
  }
  for (int output = 0; output < 3; ++output) {
    context->set_output(output, context->Vector(num_groups));
  }
  return absl::OkStatus();
}

}  // namespace

// T is the type of the predictions and of their gradient. The computing type, double for double
// predictions and else float, is that of weights, row means and elements. `sample_weight` and
// `mask` are lists of zero or one tensor, aligned with the labels from the left. `parameters` and
// `missing` are texts, since float attributes have only 24 bits.
REGISTER_OP("Masklstm>MaskedLoss")
    .Input("y_true: Tlabel")
    .Input("y_pred: T")
    .Input("sample_weight: Tweights")
    .Input("mask: num_masks * bool")
    .Output("reduced_loss: Tloss")
    .Output("weight_sum: double")
    .Output("valid_count: int64")
    .Attr(TypeAttribute("Tlabel", /*of_predictions=*/false))
    .Attr(TypeAttribute("T", /*of_predictions=*/true))
    .Attr("Tloss: {float, double}")
    .Attr("Tweights: list({float, double}) >= 0")
    .Attr("num_masks: int >= 0 = 0")
    .Attr(Attribute("loss", Losses()))
    .Attr(Attribute("reduction", kReductions))
    .Attr("parameters: string = ''")
    .Attr("missing: string = 'nan'")
    .SetShapeFn(LossShape);

// The sums of each group of elements; `balance` says which belong together.
REGISTER_OP("Masklstm>MaskedGroupSums")
    .Input("y_true: Tlabel")
    .Input("y_pred: T")
    .Input("sample_weight: Tweights")
    .Input("mask: num_masks * bool")
    .Output("loss_sum: double")
    .Output("weight_sum: double")
    .Output("valid_count: int64")
    .Attr(TypeAttribute("Tlabel", /*of_predictions=*/false))
    .Attr(TypeAttribute("T", /*of_predictions=*/true))
    .Attr("Tweights: list({float, double}) >= 0")
    .Attr("num_masks: int >= 0 = 0")
    .Attr(Attribute("loss", Losses()))
    .Attr(Attribute("balance", kBalances))
    .Attr("parameters: string = ''")
    .Attr("missing: string = 'nan'")
    .SetShapeFn(GroupsShape);

REGISTER_OP("Masklstm>MaskedLossGrad")
    .Input("loss_gradient: Tloss")
    .Input("weight_sum: double")
    .Input("valid_count: int64")
    .Input("y_true: Tlabel")
    .Input("y_pred: T")
    .Input("sample_weight: Tweights")
    .Input("mask: num_masks * bool")
    .Output("gradient: T")
    .Attr(TypeAttribute("Tlabel", /*of_predictions=*/false))
    .Attr(TypeAttribute("T", /*of_predictions=*/true))
    .Attr("Tloss: {float, double}")
    .Attr("Tweights: list({float, double}) >= 0")
    .Attr("num_masks: int >= 0 = 0")
    .Attr(Attribute("loss", Losses()))
    .Attr(Attribute("reduction", kReductions))
    .Attr("parameters: string = ''")
    .Attr("missing: string = 'nan'")
    .SetShapeFn(GradientShape);

REGISTER_OP("Masklstm>MaskedLossElements")
    .Input("y_true: Tlabel")
    .Input("y_pred: T")
    .Input("mask: num_masks * bool")
    .Input("direction: Tdirections")
    .Output("elements: Tcompute")
    .Attr(TypeAttribute("Tlabel", /*of_predictions=*/false))
    .Attr(TypeAttribute("T", /*of_predictions=*/true))
    .Attr("Tcompute: {float, double}")
    .Attr("num_masks: int >= 0 = 0")
    .Attr("Tdirections: list({float, double}) >= 0 = []")
    .Attr(Attribute("kind", kElementKinds))
    .Attr(Attribute("loss", Losses()))
    .Attr("parameters: string = ''")
    .Attr("missing: string = 'nan'")
    .SetShapeFn(ElementsShape);

}  // namespace masklstm
