#ifndef MASKLSTM_CSRC_LOSSES_LOG_COSH_H_
#define MASKLSTM_CSRC_LOSSES_LOG_COSH_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// With e = p - t: log(cosh(e)).
//
// For |e| >= 1 it is |e| - log(2) + log(1 + exp(-2 |e|)), which cannot overflow. For small errors
// that loses all digits, as the result is near e^2 / 2: there it is log(1 + (cosh(e) - 1)) with the
// series of the cosine. One Log1p serves both.
struct LogCosh {
  static constexpr const char* kName = "log_cosh";
  static constexpr NoParameters kParameters{};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Domain kPredictions = Domain::All();

  explicit LogCosh(const double*) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const V error = y_pred - y_true;
    const V magnitude = Abs(error);
    const V one = ScalarLike(error, 1.0);
    const auto is_small = Lt(magnitude, one);
    // cosh(e) - 1 = e^2/2! + e^4/4! + ... up to e^18/18!: below 2^-56 of the sum for |e| < 1.
    const V square = error * error;
    V series = one;
    for (int n = 18; n >= 4; n -= 2) {
      series = one + square * ScalarLike(error, 1.0 / (n * (n - 1))) * series;
    }
    const V cosh_minus_1 = ScalarLike(error, 0.5) * square * series;
    const V tail = Exp(ScalarLike(error, -2.0) * magnitude);
    const V linear = magnitude - ScalarLike(error, 0.69314718055994530942);
    return Select(is_small, ScalarLike(error, 0.0), linear) +
           Log1p(Select(is_small, cosh_minus_1, tail));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    return Tanh(y_pred - y_true);
  }

  // 1 - tanh(e)^2 = 4 exp(-2 |e|) / (1 + exp(-2 |e|))^2
  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V y_pred) const {
    const V error = y_pred - y_true;
    const V tail = Exp(ScalarLike(error, -2.0) * Abs(error));
    const V sum = ScalarLike(error, 1.0) + tail;
    return ScalarLike(error, 4.0) * tail / (sum * sum);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_LOG_COSH_H_
