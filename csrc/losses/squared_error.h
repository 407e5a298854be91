#ifndef MASKLSTM_CSRC_LOSSES_SQUARED_ERROR_H_
#define MASKLSTM_CSRC_LOSSES_SQUARED_ERROR_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// (p - t)^2
struct SquaredError {
  static constexpr const char* kName = "squared_error";
  static constexpr NoParameters kParameters{};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Domain kPredictions = Domain::All();

  explicit SquaredError(const double*) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const V error = y_pred - y_true;
    return error * error;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    const V error = y_pred - y_true;
    return error + error;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V) const {
    return ScalarLike(y_true, 2.0);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_SQUARED_ERROR_H_
