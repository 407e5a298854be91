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

  explicit Poisson(const double* parameters) : epsilon(parameters[0]) {}

  template <typename V>
  V Value(V y_true, V y_pred) const {
    return y_pred - y_true * Log(y_pred + ScalarLike(y_pred, epsilon));
  }

  template <typename V>
  V Derivative(V y_true, V y_pred) const {
    return ScalarLike(y_pred, 1.0) - y_true / (y_pred + ScalarLike(y_pred, epsilon));
  }

  template <typename V>
  V SecondDerivative(V y_true, V y_pred) const {
    const V shifted = y_pred + ScalarLike(y_pred, epsilon);
    return y_true / shifted / shifted;
  }

  double epsilon;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_POISSON_H_
