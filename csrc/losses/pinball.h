#ifndef MASKLSTM_CSRC_LOSSES_PINBALL_H_
#define MASKLSTM_CSRC_LOSSES_PINBALL_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// max(q s, (q - 1) s) of a shortfall s.
template <typename V>
MASKLSTM_HOST_DEVICE V PinballValue(V shortfall, double quantile) {
  return Max(ScalarLike(shortfall, quantile) * shortfall,
             ScalarLike(shortfall, quantile - 1.0) * shortfall);
}

// Its derivative by the error, which is -s, divided by `divisor`.
template <typename V>
MASKLSTM_HOST_DEVICE V PinballSlope(V error, double quantile, double divisor) {
  const V zero = ScalarLike(error, 0.0);
  return Select(Lt(error, zero), ScalarLike(error, -quantile / divisor),
                Select(Gt(error, zero), ScalarLike(error, (1.0 - quantile) / divisor),
                       error));  // 0 or NaN where neither side is chosen
}

// max(q (t - p), (q - 1) (t - p)) with q = quantile; derivative 0 at p = t.
struct Pinball {
  static constexpr const char* kName = "pinball";
  static constexpr Parameter kParameters[] = {
      {"quantile", /*default=*/0.5, Domain::Between(0.0, 1.0)},
  };
  static constexpr Domain kLabels = Domain::All();
  static constexpr Domain kPredictions = Domain::All();

  explicit Pinball(const double* parameters) : quantile(parameters[0]) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const ScaledDifference<V> shortfall = Difference(y_true, y_pred);
    return PinballValue(shortfall.value, quantile) * shortfall.factor;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    return PinballSlope(y_pred - y_true, quantile, 1.0);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V) const {
    return ScalarLike(y_true, 0.0);
  }

  double quantile;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_PINBALL_H_
