#ifndef MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_H_
#define MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_H_

#include <cmath>

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// With c = p clipped to [epsilon, 1 - epsilon] and the smoothed label t' = t (1 - s) + s / 2:
// -t' log(c) - (1 - t') log(1 - c); derivative 0 where p is clipped.
//
// An epsilon below the resolution of numbers near 1 makes c = 1 of p = 1: then 1 - c is epsilon all
// the same, and the logarithms are those of 1 - epsilon and epsilon.
struct BinaryCrossentropy {
  static constexpr const char* kName = "binary_crossentropy";
  static constexpr Parameter kParameters[] = {kLabelSmoothingParameter, kEpsilonParameter};
  static constexpr Domain kLabels = Domain::Within(0.0, 1.0);
  static constexpr Domain kPredictions = Domain::Within(0.0, 1.0);

  explicit BinaryCrossentropy(const double* parameters)
      : label_smoothing(parameters[0]),
        epsilon(parameters[1]),
        log_epsilon(std::log(parameters[1])) {}

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
    const V below_1 = Select(Ge(y_pred, ScalarLike(y_pred, 1.0)), zero, x);
    return Select(Lt(y_pred, ScalarLike(y_pred, epsilon)), zero,
                  Select(Gt(y_pred, ScalarLike(y_pred, 1.0 - epsilon)), zero, below_1));
  }

  // 1 - c
  template <typename V>
  MASKLSTM_HOST_DEVICE V Rest(V c) const {
    const V rest = ScalarLike(c, 1.0) - c;
    return Select(Eq(rest, ScalarLike(c, 0.0)), ScalarLike(c, epsilon), rest);
  }

  // The formulas of a smoothed label t and a clipped probability c.
  template <typename V>
  MASKLSTM_HOST_DEVICE V OfClipped(V t, V c) const {
    const V zero = ScalarLike(t, 0.0);
    const V one = ScalarLike(t, 1.0);
    const auto is_one = Eq(c, one);
    const V log_c = Select(is_one, ScalarLike(t, -epsilon), Log(c));
    // log(1 - c) by Log1p: 1 - c rounds away the digits of a small c.
    const V log_rest = Select(is_one, ScalarLike(t, log_epsilon), Log1p(zero - c));
    return zero - t * log_c - (one - t) * log_rest;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SlopeOfClipped(V t, V c) const {
    return (c - t) / (c * Rest(c));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V CurvatureOfClipped(V t, V c) const {
    const V rest = Rest(c);
    return t / c / c + (ScalarLike(c, 1.0) - t) / rest / rest;
  }

  double label_smoothing;
  double epsilon;
  double log_epsilon;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_H_
