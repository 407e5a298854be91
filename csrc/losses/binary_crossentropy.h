#ifndef MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_H_
#define MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// With c = p clipped to [epsilon, 1 - epsilon] and the smoothed label t' = t (1 - s) + s / 2:
// -t' log(c) - (1 - t') log(1 - c); derivative 0 where p is clipped.
struct BinaryCrossentropy {
  static constexpr const char* kName = "binary_crossentropy";
  static constexpr Parameter kParameters[] = {kLabelSmoothingParameter, kEpsilonParameter};

  explicit BinaryCrossentropy(const double* parameters)
      : label_smoothing(parameters[0]), epsilon(parameters[1]) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    return OfClipped(Smoothed(y_true, label_smoothing), Clipped(y_pred));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    const V slope = SlopeOfClipped(Smoothed(y_true, label_smoothing), Clipped(y_pred));
    return WhereNotClipped(y_pred, slope);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V y_pred) const {
    const V curvature = CurvatureOfClipped(Smoothed(y_true, label_smoothing), Clipped(y_pred));
    return WhereNotClipped(y_pred, curvature);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Clipped(V y_pred) const {
    return Clamp(ScalarLike(y_pred, epsilon), y_pred, ScalarLike(y_pred, 1.0 - epsilon)) +
           NanIfDiverged(y_pred);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V WhereNotClipped(V y_pred, V x) const {
    const V zero = ScalarLike(x, 0.0);
    return Select(Lt(y_pred, ScalarLike(y_pred, epsilon)), zero,
                  Select(Gt(y_pred, ScalarLike(y_pred, 1.0 - epsilon)), zero, x));
  }

  // The formulas of a smoothed label t and a clipped probability c.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V OfClipped(V t, V c) {
    const V zero = ScalarLike(t, 0.0);
    // log(1 - c) by Log1p: 1 - c rounds away the digits of a small c.
    return zero - t * Log(c) - (ScalarLike(t, 1.0) - t) * Log1p(zero - c);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE static V SlopeOfClipped(V t, V c) {
    return (c - t) / (c * (ScalarLike(c, 1.0) - c));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE static V CurvatureOfClipped(V t, V c) {
    const V one = ScalarLike(c, 1.0);
    return t / (c * c) + (one - t) / ((one - c) * (one - c));
  }

  double label_smoothing;
  double epsilon;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_H_
