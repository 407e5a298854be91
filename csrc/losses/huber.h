#ifndef MASKLSTM_CSRC_LOSSES_HUBER_H_
#define MASKLSTM_CSRC_LOSSES_HUBER_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// With e = p - t: e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2).
struct Huber {
  static constexpr const char* kName = "huber";
  static constexpr Parameter kParameters[] = {
      {"delta", /*default=*/1.0, Domain::Above(0.0)},
  };
  static constexpr Domain kLabels = Domain::All();
  static constexpr Domain kPredictions = Domain::All();

  explicit Huber(const double* parameters) : delta(parameters[0]) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const V error = y_pred - y_true;
    const V magnitude = Abs(error);
    const V bound = ScalarLike(error, delta);
    const V half = ScalarLike(error, 0.5);
    // Where the error overflows, a bound that leaves the result finite is lost in the difference.
    const ScaledDifference<V> scaled = Difference(y_pred, y_true);
    const V far = bound * (Abs(scaled.value) - half * bound) * scaled.factor;
    return Select(Le(magnitude, bound), half * error * error, far);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    // Not a Clamp, which loses NaN under XLA before TensorFlow 2.20.
    const V error = y_pred - y_true;
    const V bound = ScalarLike(error, delta);
    return Select(Le(Abs(error), bound), error, bound * Sign(error));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V y_pred) const {
    const V error = y_pred - y_true;
    return Select(Le(Abs(error), ScalarLike(error, delta)), ScalarLike(error, 1.0),
                  NanIfDiverged(y_pred));
  }

  double delta;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_HUBER_H_
