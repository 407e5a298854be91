// The ops: names, attributes, shapes.
#include <string>

#include "csrc/kernels/names.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

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

// The shape that labels and predictions share.
absl::Status ElementShape(InferenceContext* context, int y_true, int y_pred, ShapeHandle* shape) {
  return context->Merge(context->input(y_true), context->input(y_pred), shape);
}

absl::Status ElementwiseShape(InferenceContext* context, int y_true, int y_pred) {
  ShapeHandle shape;
  TF_RETURN_IF_ERROR(ElementShape(context, y_true, y_pred, &shape));
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

}  // namespace

// `sample_weight` and `mask` are lists of zero or one tensor, aligned with the labels from the
// left. `parameters` and `missing` are texts, since float attributes have only 24 bits.
REGISTER_OP("Masklstm>MaskedLoss")
    .Input("y_true: T")
    .Input("y_pred: T")
    .Input("sample_weight: num_weights * T")
    .Input("mask: num_masks * bool")
    .Output("reduced_loss: Tloss")
    .Output("weight_sum: double")
    .Output("valid_count: int64")
    .Attr("T: {float, double}")
    .Attr("Tloss: {float, double}")
    .Attr("num_weights: int >= 0 = 0")
    .Attr("num_masks: int >= 0 = 0")
    .Attr(Attribute("loss", Losses()))
    .Attr(Attribute("reduction", kReductions))
    .Attr("parameters: string = ''")
    .Attr("missing: string = 'nan'")
    .SetShapeFn(LossShape);

REGISTER_OP("Masklstm>MaskedLossGrad")
    .Input("loss_gradient: Tloss")
    .Input("weight_sum: double")
    .Input("valid_count: int64")
    .Input("y_true: T")
    .Input("y_pred: T")
    .Input("sample_weight: num_weights * T")
    .Input("mask: num_masks * bool")
    .Output("gradient: T")
    .Attr("T: {float, double}")
    .Attr("Tloss: {float, double}")
    .Attr("num_weights: int >= 0 = 0")
    .Attr("num_masks: int >= 0 = 0")
    .Attr(Attribute("loss", Losses()))
    .Attr(Attribute("reduction", kReductions))
    .Attr("parameters: string = ''")
    .Attr("missing: string = 'nan'")
    .SetShapeFn([](InferenceContext* context) { return ElementwiseShape(context, 3, 4); });

REGISTER_OP("Masklstm>MaskedLossElements")
    .Input("y_true: T")
    .Input("y_pred: T")
    .Input("mask: num_masks * bool")
    .Output("elements: T")
    .Attr("T: {float, double}")
    .Attr("num_masks: int >= 0 = 0")
    .Attr(Attribute("kind", kElementKinds))
    .Attr(Attribute("loss", Losses()))
    .Attr("parameters: string = ''")
    .Attr("missing: string = 'nan'")
    .SetShapeFn([](InferenceContext* context) { return ElementwiseShape(context, 0, 1); });

}  // namespace masklstm
