#ifndef MASKLSTM_CSRC_LOSSES_SQUARED_LOGARITHMIC_ERROR_H_
#define MASKLSTM_CSRC_LOSSES_SQUARED_LOGARITHMIC_ERROR_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// With x' = max(x, epsilon): (log(1 + p') - log(1 + t'))^2; derivative 0 where p < epsilon.
//
// The difference of the logarithms is log(1 + (high - low) / (1 + low)), which keeps its digits
// where p and t are close.
struct SquaredLogarithmicError {
  static constexpr const char* kName = "squared_logarithmic_error";
  static constexpr Parameter kParameters[] = {kEpsilonParameter};
  static constexpr Domain kLabels = Domain::From(0.0);
  static constexpr Domain kPredictions = Domain::From(0.0);

  explicit SquaredLogarithmicError(const double* parameters) : epsilon(parameters[0]) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const V distance = Distance(y_true, y_pred);
    return distance * distance;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    const V slope = ScalarLike(y_pred, 2.0) * SignedDistance(y_true, y_pred) / OnePlus(y_pred);
    return WhereAboveEpsilon(y_pred, slope);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V y_pred) const {
    const V one = ScalarLike(y_pred, 1.0);
    const V curvature = ScalarLike(y_pred, 2.0) * (one - SignedDistance(y_true, y_pred)) /
                        OnePlus(y_pred) / OnePlus(y_pred);
    return WhereAboveEpsilon(y_pred, curvature);
  }

  // |log(1 + p') - log(1 + t')|
  template <typename V>
  MASKLSTM_HOST_DEVICE V Distance(V y_true, V y_pred) const {
    const V a = Max(y_true, ScalarLike(y_true, epsilon));
    const V b = Max(y_pred, ScalarLike(y_pred, epsilon)) + NanIfDiverged(y_pred);
    return Log1p(Abs(b - a) / OnePlus(Min(a, b)));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SignedDistance(V y_true, V y_pred) const {
    const V distance = Distance(y_true, y_pred);
    return Select(Lt(y_pred, y_true), ScalarLike(distance, 0.0) - distance, distance);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V OnePlus(V x) const {
    return ScalarLike(x, 1.0) + x;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V WhereAboveEpsilon(V y_pred, V x) const {
    return Select(Lt(y_pred, ScalarLike(y_pred, epsilon)), ScalarLike(x, 0.0), x);
  }

  double epsilon;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_SQUARED_LOGARITHMIC_ERROR_H_
