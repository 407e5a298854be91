#ifndef MASKLSTM_CSRC_LOSSES_POISSON_H_
#define MASKLSTM_CSRC_LOSSES_POISSON_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// p - t log(p + epsilon)
//
// The two terms can cancel: the error is bounded relative to the larger of them.
struct Poisson {
  static constexpr const char* kName = "poisson";
  static constexpr Parameter kParameters[] = {kEpsilonParameter};
  static constexpr Domain kLabels = Domain::From(0.0);
  static constexpr Domain kPredictions = Domain::From(0.0);

  explicit Poisson(const double* parameters) : epsilon(parameters[0]) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    // log(p + epsilon) as the logarithm of the rounded sum, and what the rounding took away: near
    // p = 1 the logarithm is so small that this counts.
    const V shift = ScalarLike(y_pred, epsilon);
    const V sum = y_pred + shift;
    const V lost = (shift - (sum - y_pred)) / sum;
    const V log_of_sum = Log(sum) + Select(Gt(y_pred, shift), lost, ScalarLike(lost, 0.0));
    const V difference = y_pred - y_true * log_of_sum;
    // The second term alone can overflow: a quarter of it does not where the difference is finite.
    const V quarter = ScalarLike(y_pred, 0.25);
    const V scaled = ScalarLike(y_pred, 4.0) * (quarter * y_pred - quarter * y_true * log_of_sum);
    const auto overflows = Eq(Abs(difference), ScalarLike(y_pred, Domain::kInfinity));
    return Select(overflows, scaled, difference);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    return ScalarLike(y_pred, 1.0) - y_true / (y_pred + ScalarLike(y_pred, epsilon));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V y_pred) const {
    const V shifted = y_pred + ScalarLike(y_pred, epsilon);
    return y_true / shifted / shifted;
  }

  double epsilon;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_POISSON_H_
