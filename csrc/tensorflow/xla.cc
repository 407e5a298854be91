// The ops lowered to XLA's operations, so that a compiled function can hold them and fuse them with
// their neighbours.
//
// Design:
//   A. The formulas are those of csrc/losses, with an XLA operation as their value type.
//   B. Sums are those of the CPU kernels but for their order: element losses in the computing type,
//      added up as doubles; counts as integers that are wide enough.
//   C. The op gives XLA plain element-wise operations and reductions, and XLA chooses what becomes
//      one loop. Nothing here is larger than the labels; weights are broadcast where they are used.
//   D. A file of its own, since XLA's headers take as long to compile as all else together.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "csrc/core/division.h"
#include "csrc/core/missing.h"
#include "csrc/core/stored_types.h"
#include "csrc/losses/dual.h"
#include "csrc/losses/losses.h"
#include "csrc/tensorflow/arguments.h"
#include "csrc/tensorflow/xla_headers.h"

namespace masklstm {
namespace {

using tensorflow::TensorShape;
using tensorflow::XlaOpKernel;
using tensorflow::XlaOpKernelContext;
using xla::XlaOp;

absl::Status ShapeOf(XlaOpKernelContext* context, const char* name, TensorShape* shape) {
  TF_ASSIGN_OR_RETURN(const xla::Shape xla_shape, context->InputXlaShape(name));
  return tensorflow::XLAShapeToTensorShape(xla_shape, shape);
}

std::vector<int64_t> AllAxes(int rank) {
  std::vector<int64_t> axes(rank);
  for (int axis = 0; axis < rank; ++axis) axes[axis] = axis;
  return axes;
}

// The sums of several arrays of one shape along the axes. One reduction of them all: XLA reads the
// memory once, while each reduction of its own would read it again.
std::vector<XlaOp> AddUp(const std::vector<XlaOp>& terms, const std::vector<int64_t>& axes) {
  xla::XlaBuilder* builder = terms[0].builder();
  const auto add = builder->CreateSubBuilder("add");
  const int number = terms.size();
  std::vector<XlaOp> zeros, sums;
  for (int i = 0; i < number; ++i) {
    const absl::StatusOr<xla::Shape> shape = builder->GetShape(terms[i]);
    if (!shape.ok()) return std::vector<XlaOp>(number, builder->ReportError(shape.status()));
    const xla::PrimitiveType type = shape->element_type();
    const xla::Shape scalar = xla::ShapeUtil::MakeShape(type, {});
    zeros.push_back(xla::Zero(builder, type));
    sums.push_back(xla::Parameter(add.get(), i, scalar, absl::StrCat("sum", i)) +
                   xla::Parameter(add.get(), number + i, scalar, absl::StrCat("term", i)));
  }
  xla::Tuple(add.get(), sums);
  const absl::StatusOr<xla::XlaComputation> computation = add->Build();
  if (!computation.ok()) {
    return std::vector<XlaOp>(number, builder->ReportError(computation.status()));
  }
  const XlaOp totals = xla::Reduce(builder, terms, zeros, *computation, axes);
  for (int i = 0; i < number; ++i) sums[i] = xla::GetTupleElement(totals, i);
  return sums;
}

// The sums of all elements; of large arrays in two steps, parts of the first axis and then their
// sums, since XLA shares work out to threads along the axes of a result.
std::vector<XlaOp> AddUpAll(std::vector<XlaOp> terms, const TensorShape& shape) {
  constexpr int64_t kLarge = int64_t{1} << 18;
  constexpr int64_t kMostParts = 1024;
  if (shape.num_elements() < kLarge) return AddUp(terms, AllAxes(shape.dims()));
  int64_t parts = std::min(kMostParts, shape.dim_size(0));
  while (shape.dim_size(0) % parts != 0) --parts;
  const auto dims = shape.dim_sizes();
  std::vector<int64_t> split(dims.begin(), dims.end());
  split[0] /= parts;
  split.insert(split.begin(), parts);
  for (XlaOp& term : terms) term = xla::Reshape(term, split);
  std::vector<int64_t> within = AllAxes(split.size());
  within.erase(within.begin());
  return AddUp(AddUp(terms, within), {0});
}

// Predictions with channels as the formulas take them: one array for each channel.
struct Planes {
  std::vector<XlaOp> planes;
  XlaOp operator[](int channel) const { return planes[channel]; }
};

struct DualPlanes {
  Planes values;
  Planes tangents;
  Dual<XlaOp> operator[](int channel) const { return {values[channel], tangents[channel]}; }
};

// Labels, predictions and weights of one op, in the type that formulas are computed in: the
// computing type, or doubles where there are channels.
class Inputs {
 public:
  absl::Status Read(XlaOpKernelContext* context, const Attributes& attributes,
                    bool has_sample_weight) {
    attributes_ = &attributes;
    TensorShape prediction_shape;
    TF_RETURN_IF_ERROR(ShapeOf(context, "y_true", &shape_));
    TF_RETURN_IF_ERROR(ShapeOf(context, "y_pred", &prediction_shape));
    TF_RETURN_IF_ERROR(CheckShapes(attributes, shape_, prediction_shape));
    prediction_type_ = context->InputXlaType("y_pred");
    computing_type_ = prediction_type_ == xla::F64 ? xla::F64 : xla::F32;
    type_ = attributes.num_channels > 0 ? xla::F64 : computing_type_;
    y_pred_ = Convert(context->Input("y_pred"), prediction_type_, type_);
    if (attributes.num_channels > 0) planes_ = PlanesOf(y_pred_);
    const xla::PrimitiveType label_type = context->InputXlaType("y_true");
    const XlaOp y_true = context->Input("y_true");
    y_true_ = Convert(y_true, label_type, type_);
    valid_ = IsObserved(y_true, label_type, DataTypeOf(context->InputType("y_true")));
    if (has_sample_weight) {
      std::vector<XlaOp> weights;
      TF_RETURN_IF_ERROR(ReadList(context, "sample_weight", kMaxWeights, &weights));
      is_weighted_ = !weights.empty();
      if (weights.size() >= 1) weight_ = weights[0];
      if (weights.size() == 2) weight_ = weight_ * weights[1];
    }
    std::vector<XlaOp> masks;
    TF_RETURN_IF_ERROR(ReadList(context, "mask", 1, &masks));
    for (const XlaOp mask : masks) valid_ = xla::And(valid_, mask);
    return absl::OkStatus();
  }

  XlaOp Values() const {
    XlaOp values;
    VisitLoss([&](const auto& loss) {
      if constexpr (kHasChannels<std::decay_t<decltype(loss)>>) {
        values = loss.Value(y_true_, planes_);
      } else {
        values = loss.Value(y_true_, y_pred_);
      }
    });
    return values;
  }

  // By each channel; by the predictions as they are where there are none.
  std::vector<XlaOp> Derivatives() const {
    std::vector<XlaOp> slopes(std::max(1, attributes_->num_channels));
    VisitLoss([&](const auto& loss) {
      if constexpr (kHasChannels<std::decay_t<decltype(loss)>>) {
        loss.Derivative(y_true_, planes_, [&](int c, XlaOp slope) { slopes[c] = slope; });
      } else {
        slopes[0] = loss.Derivative(y_true_, y_pred_);
      }
    });
    return slopes;
  }

  XlaOp SecondDerivatives() const {
    XlaOp values;
    VisitLoss([&](const auto& loss) {
      if constexpr (!kHasChannels<std::decay_t<decltype(loss)>>) {
        values = loss.SecondDerivative(y_true_, y_pred_);
      }
    });
    return values;
  }

  // Of the derivatives, along a direction of the predictions' shape.
  std::vector<XlaOp> DirectionalDerivatives(XlaOp direction) const {
    std::vector<XlaOp> slopes(attributes_->num_channels);
    VisitLoss([&](const auto& loss) {
      if constexpr (kHasChannels<std::decay_t<decltype(loss)>>) {
        const DualPlanes planes{planes_, PlanesOf(Widen(direction))};
        loss.Derivative(Dual<XlaOp>{y_true_, xla::ZerosLike(y_true_)}, planes,
                        [&](int c, Dual<XlaOp> slope) { slopes[c] = slope.tangent; });
      }
    });
    return slopes;
  }

  // `elements` (a scalar stands for all) where valid, else +0.0.
  XlaOp WhereValid(XlaOp elements) const { return WhereValid(elements, type_); }
  XlaOp WhereValid(XlaOp elements, xla::PrimitiveType type) const {
    return xla::Select(valid_, elements, xla::Zero(builder(), type));
  }

  // Sums along the axes: of w l, of w, and the number of valid elements.
  struct Sums {
    XlaOp loss_sum;
    XlaOp weight_sum;
    XlaOp valid_count;
  };
  Sums SumAlong(const std::vector<int64_t>& axes) const {
    const bool is_total = static_cast<int>(axes.size()) == shape_.dims();
    int64_t size = 1;
    for (const int64_t axis : axes) size *= shape_.dim_size(axis);
    // 32 bits are enough for most, and faster.
    const xla::PrimitiveType count_type = size < (int64_t{1} << 31) ? xla::S32 : xla::S64;
    std::vector<XlaOp> terms = {xla::ConvertElementType(valid_, count_type),
                                Widen(WhereValid(Values()))};
    if (is_weighted_) {
      terms.push_back(WhereValid(Widen(weight_), xla::F64));
      // Exact for float: the product of two 24-bit numbers fits a double.
      terms[1] = terms[1] * terms[2];
    }
    const std::vector<XlaOp> totals = is_total ? AddUpAll(terms, shape_) : AddUp(terms, axes);
    Sums sums;
    sums.valid_count = xla::ConvertElementType(totals[0], xla::S64);
    sums.loss_sum = totals[1];
    sums.weight_sum =
        is_weighted_ ? totals[2] : xla::ConvertElementType(sums.valid_count, xla::F64);
    return sums;
  }

  // scale * w * l', with a scale that is a double or one for each element; of the predictions'
  // shape and type.
  XlaOp Gradient(XlaOp scale) const {
    std::vector<XlaOp> gradients = Derivatives();
    for (XlaOp& gradient : gradients) {
      gradient = WhereValid(is_weighted_ ? WeightedGradient(scale, gradient)
                                         : PlainGradient(scale, gradient));
    }
    return Convert(OfPredictions(gradients), type_, prediction_type_);
  }

  // Element losses or derivatives as the op returns them: in the computing type.
  XlaOp Elements(XlaOp elements) const {
    return Convert(WhereValid(elements), type_, computing_type_);
  }
  XlaOp Elements(std::vector<XlaOp> elements) const {
    for (XlaOp& of_channel : elements) of_channel = Elements(of_channel);
    return OfPredictions(elements);
  }

  std::vector<int64_t> RowsShape() const {
    const auto dims = shape_.dim_sizes();
    return std::vector<int64_t>(dims.begin(), dims.end() - (dims.empty() ? 0 : 1));
  }

  // Along the last axis; a scalar is a row of one.
  std::vector<int64_t> RowAxes() const {
    if (shape_.dims() == 0) return {};
    return {shape_.dims() - 1};
  }

  // One value for each row, repeated along the row.
  XlaOp RepeatAlongRows(XlaOp rows) const {
    const auto dims = shape_.dim_sizes();
    const int rank = shape_.dims();
    return rank == 0 ? rows : xla::BroadcastInDim(rows, dims, AllAxes(rank - 1));
  }

  const TensorShape& shape() const { return shape_; }
  xla::PrimitiveType type() const { return type_; }
  xla::XlaBuilder* builder() const { return y_true_.builder(); }

 private:
  // Calls visitor(loss) with the loss of the op.
  template <typename Visitor>
  void VisitLoss(Visitor&& visitor) const {
    AllLosses::Visit(attributes_->loss, attributes_->parameters, visitor);
  }

  // An array for each channel of an array of the predictions' shape.
  Planes PlanesOf(XlaOp array) const {
    const auto dims = shape_.dim_sizes();
    Planes planes;
    for (int c = 0; c < attributes_->num_channels; ++c) {
      planes.planes.push_back(
          xla::Reshape(xla::SliceInDim(array, c, c + 1, 1, shape_.dims()), dims));
    }
    return planes;
  }

  // The reverse.
  XlaOp OfPredictions(const std::vector<XlaOp>& planes) const {
    if (attributes_->num_channels == 0) return planes[0];
    const auto dims = shape_.dim_sizes();
    std::vector<int64_t> with_channel(dims.begin(), dims.end());
    with_channel.push_back(1);
    std::vector<XlaOp> channels;
    for (const XlaOp plane : planes) channels.push_back(xla::Reshape(plane, with_channel));
    return xla::ConcatInDim(builder(), channels, shape_.dims());
  }

  // In the computing type, twice as fast as in doubles where memory is not the limit. A scale near
  // the ends of float's range or beyond comes in two factors, one of them after the slope.
  XlaOp PlainGradient(XlaOp scale, XlaOp slopes) const {
    if (type_ == xla::F64) return scale * slopes;
    const XlaOp magnitude = xla::Abs(scale);
    const auto number = [&](double value) { return xla::ScalarLike(scale, value); };
    const XlaOp second =
        xla::Select(xla::Lt(magnitude, number(0x1p-100)), number(0x1p-120),
                    xla::Select(xla::Gt(magnitude, number(0x1p100)), number(0x1p100), number(1.0)));
    return Convert(scale / second, xla::F64, type_) * slopes * Convert(second, xla::F64, type_);
  }

  // In doubles, which hold every product of two floats and a scale of floats, wherever it lies.
  XlaOp WeightedGradient(XlaOp scale, XlaOp slopes) const {
    slopes = Widen(slopes);
    const XlaOp weight = Widen(weight_);
    const XlaOp product = scale * weight;
    XlaOp gradient = product * slopes;
    if (type_ == xla::F64) {  // as `Scaled` in division.h
      const XlaOp is_zero = xla::Eq(weight, xla::ZerosLike(weight));
      gradient =
          xla::Select(xla::Or(IsNormal(product), is_zero), gradient, scale * slopes * weight);
    }
    return Convert(gradient, xla::F64, type_);
  }

  static XlaOp Convert(XlaOp x, xla::PrimitiveType from, xla::PrimitiveType to) {
    return from == to ? x : xla::ConvertElementType(x, to);
  }

  // Whether a double is neither 0 nor out of range.
  static XlaOp IsNormal(XlaOp x) {
    const XlaOp magnitude = xla::Abs(x);
    const auto limit = [&](double value) { return xla::ScalarLike(x, value); };
    return xla::And(xla::Ge(magnitude, limit(std::numeric_limits<double>::min())),
                    xla::Le(magnitude, limit(std::numeric_limits<double>::max())));
  }

  static XlaOp Widen(XlaOp x) { return xla::ConvertElementType(x, xla::F64); }

  XlaOp IsObserved(XlaOp y_true, xla::PrimitiveType xla_type, DataType type) const {
    XlaOp observed;
    VisitType(type, [&](auto stored) {
      const StoredMissing<decltype(stored)> missing(attributes_->missing);
      if constexpr (kIsFloatingPoint<decltype(stored)>) {
        observed =
            attributes_->missing.nonfinite ? xla::IsFinite(y_true) : xla::Not(xla::IsNan(y_true));
      } else {
        const auto dims = shape_.dim_sizes();
        observed = xla::Broadcast(xla::ConstantR0<bool>(y_true.builder(), true), dims);
      }
      if (missing.has_sentinel()) {
        const XlaOp sentinel =
            xla::ConstantR0WithType(y_true.builder(), xla_type, missing.sentinel());
        observed = xla::And(observed, xla::Ne(y_true, sentinel));
      }
    });
    return observed;
  }

  // The tensors of a list input, broadcast from the left to the labels' shape.
  absl::Status ReadList(XlaOpKernelContext* context, const char* name, int most,
                        std::vector<XlaOp>* result) const {
    std::vector<XlaOp> handles;
    std::vector<TensorShape> shapes;
    TF_RETURN_IF_ERROR(context->InputList(name, &handles, &shapes));
    TF_RETURN_IF_ERROR(CheckNumber(handles.size(), most, name));
    const auto dims = shape_.dim_sizes();
    for (size_t i = 0; i < handles.size(); ++i) {
      Broadcast view;
      TF_RETURN_IF_ERROR(MakeView(nullptr, shapes[i], name, shape_, &view));
      result->push_back(xla::BroadcastInDim(handles[i], dims, AllAxes(shapes[i].dims())));
    }
    return absl::OkStatus();
  }

  const Attributes* attributes_ = nullptr;
  TensorShape shape_;
  xla::PrimitiveType prediction_type_;
  xla::PrimitiveType computing_type_;
  xla::PrimitiveType type_;
  XlaOp y_true_;
  XlaOp y_pred_;
  Planes planes_;  // of y_pred_, if it has channels
  XlaOp valid_;
  XlaOp weight_;
  bool is_weighted_ = false;
};

// value / divisor; where there is nothing to divide by, 0, or NaN for a value that is not finite.
// Doubles.
XlaOp DivideNoNan(XlaOp value, XlaOp divisor) {
  return xla::Select(xla::Eq(divisor, xla::ZerosLike(divisor)), value - value, value / divisor);
}

XlaOp Divided(XlaOp value, XlaOp weight_sum, XlaOp valid_count, Reduction reduction) {
  const Divisor divisor = DivisorOf(reduction);
  if (divisor == Divisor::kOne) return value;
  return DivideNoNan(value, divisor == Divisor::kValidCount
                                ? xla::ConvertElementType(valid_count, xla::F64)
                                : weight_sum);
}

bool IsRowwise(Reduction reduction) {
  return reduction == Reduction::kNone || reduction == Reduction::kSumOfRows;
}

using Lowering = WithAttributes<XlaOpKernel>;

class MaskedLossLowering : public Lowering {
 public:
  using Lowering::Lowering;

  void Compile(XlaOpKernelContext* context) override {
    Inputs inputs;
    OP_REQUIRES_OK(context, inputs.Read(context, attributes_, true));
    Inputs::Sums sums;
    XlaOp loss;
    if (IsRowwise(attributes_.reduction)) {
      const Inputs::Sums rows = inputs.SumAlong(inputs.RowAxes());
      loss = DivideNoNan(rows.loss_sum, xla::ConvertElementType(rows.valid_count, xla::F64));
      const int row_rank = std::max(0, inputs.shape().dims() - 1);
      const std::vector<XlaOp> totals =
          AddUp({rows.valid_count, rows.weight_sum, loss}, AllAxes(row_rank));
      sums.valid_count = totals[0];
      sums.weight_sum = totals[1];
      if (attributes_.reduction == Reduction::kSumOfRows) loss = totals[2];
    } else {
      sums = inputs.SumAlong(AllAxes(inputs.shape().dims()));
      loss = Divided(sums.loss_sum, sums.weight_sum, sums.valid_count, attributes_.reduction);
    }
    context->SetOutput(0, xla::ConvertElementType(loss, context->output_xla_type(0)));
    context->SetOutput(1, sums.weight_sum);
    context->SetOutput(2, sums.valid_count);
  }
};

class MaskedGroupSumsLowering : public Lowering {
 public:
  using Lowering::Lowering;

  void Compile(XlaOpKernelContext* context) override {
    Inputs inputs;
    OP_REQUIRES_OK(context, inputs.Read(context, attributes_, true));
    int group_axis;
    OP_REQUIRES_OK(context, FindGroupAxis(attributes_, inputs.shape(), &group_axis));
    std::vector<int64_t> axes = AllAxes(inputs.shape().dims());
    axes.erase(axes.begin() + group_axis);
    const Inputs::Sums sums = inputs.SumAlong(axes);
    context->SetOutput(0, sums.loss_sum);
    context->SetOutput(1, sums.weight_sum);
    context->SetOutput(2, sums.valid_count);
  }
};

class MaskedLossGradLowering : public Lowering {
 public:
  using Lowering::Lowering;

  void Compile(XlaOpKernelContext* context) override {
    Inputs inputs;
    OP_REQUIRES_OK(context, inputs.Read(context, attributes_, true));
    TensorShape of_loss, of_weight_sum, of_valid_count;
    OP_REQUIRES_OK(context, ShapeOf(context, "loss_gradient", &of_loss));
    OP_REQUIRES_OK(context, ShapeOf(context, "weight_sum", &of_weight_sum));
    OP_REQUIRES_OK(context, ShapeOf(context, "valid_count", &of_valid_count));
    OP_REQUIRES_OK(context, CheckResults(attributes_.reduction, inputs.shape(), of_loss,
                                         of_weight_sum, of_valid_count));
    XlaOp scale = xla::ConvertElementType(context->Input("loss_gradient"), xla::F64);
    if (IsRowwise(attributes_.reduction)) {
      const XlaOp count =
          xla::ConvertElementType(inputs.SumAlong(inputs.RowAxes()).valid_count, xla::F64);
      // To one value for each row, in the rows' shape.
      scale = attributes_.reduction == Reduction::kNone ? xla::Reshape(scale, inputs.RowsShape())
                                                        : scale + xla::ZerosLike(count);
      context->SetOutput(0, inputs.Gradient(inputs.RepeatAlongRows(DivideNoNan(scale, count))));
      return;
    }
    context->SetOutput(
        0, inputs.Gradient(Divided(xla::Reshape(scale, {}), ScalarInput(context, "weight_sum"),
                                   ScalarInput(context, "valid_count"), attributes_.reduction)));
  }

 private:
  // Of any shape that has one element.
  static XlaOp ScalarInput(XlaOpKernelContext* context, const char* name) {
    return xla::Reshape(context->Input(name), {});
  }
};

class MaskedLossElementsLowering : public Lowering {
 public:
  using Lowering::Lowering;

  void Compile(XlaOpKernelContext* context) override {
    Inputs inputs;
    OP_REQUIRES_OK(context, inputs.Read(context, attributes_, false));
    std::vector<XlaOp> directions;
    std::vector<TensorShape> shapes;
    TensorShape y_pred;
    OP_REQUIRES_OK(context, context->InputList("direction", &directions, &shapes));
    OP_REQUIRES_OK(context, ShapeOf(context, "y_pred", &y_pred));
    OP_REQUIRES_OK(context, CheckDirection(attributes_, directions.size(), y_pred,
                                           shapes.empty() ? TensorShape() : shapes[0]));
    switch (attributes_.kind) {
      case ElementKind::kValid:
        return context->SetOutput(0, inputs.Elements(xla::One(inputs.builder(), inputs.type())));
      case ElementKind::kValue:
        return context->SetOutput(0, inputs.Elements(inputs.Values()));
      case ElementKind::kDerivative:
        return context->SetOutput(0, inputs.Elements(inputs.Derivatives()));
      case ElementKind::kSecondDerivative:
        return context->SetOutput(0, inputs.Elements(inputs.SecondDerivatives()));
      case ElementKind::kDirectionalDerivative:
        return context->SetOutput(0, inputs.Elements(inputs.DirectionalDerivatives(directions[0])));
    }
  }
};

REGISTER_XLA_OP(Name("Masklstm>MaskedLoss"), MaskedLossLowering);
REGISTER_XLA_OP(Name("Masklstm>MaskedGroupSums"), MaskedGroupSumsLowering);
REGISTER_XLA_OP(Name("Masklstm>MaskedLossGrad"), MaskedLossGradLowering);
REGISTER_XLA_OP(Name("Masklstm>MaskedLossElements"), MaskedLossElementsLowering);

}  // namespace
}  // namespace masklstm
