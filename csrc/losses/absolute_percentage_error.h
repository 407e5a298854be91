#ifndef MASKLSTM_CSRC_LOSSES_ABSOLUTE_PERCENTAGE_ERROR_H_
#define MASKLSTM_CSRC_LOSSES_ABSOLUTE_PERCENTAGE_ERROR_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// 100 |p - t| / max(|t|, epsilon), with derivative 0 at p = t.
struct AbsolutePercentageError {
  static constexpr const char* kName = "absolute_percentage_error";
  static constexpr Parameter kParameters[] = {kEpsilonParameter};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Domain kPredictions = Domain::All();

  explicit AbsolutePercentageError(const double* parameters) : epsilon(parameters[0]) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const ScaledDifference<V> error = Difference(y_pred, y_true);
    return ScalarLike(y_true, 100.0) * (Abs(error.value) / Scale(y_true)) * error.factor;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    return ScalarLike(y_true, 100.0) * Sign(y_pred - y_true) / Scale(y_true);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V) const {
    return ScalarLike(y_true, 0.0);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Scale(V y_true) const {
    return Max(Abs(y_true), ScalarLike(y_true, epsilon));
  }

  double epsilon;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_ABSOLUTE_PERCENTAGE_ERROR_H_
