#ifndef MASKLSTM_CSRC_LOSSES_ABSOLUTE_ERROR_H_
#define MASKLSTM_CSRC_LOSSES_ABSOLUTE_ERROR_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// |p - t|, with derivative 0 at p = t.
struct AbsoluteError {
  static constexpr const char* kName = "absolute_error";
  static constexpr NoParameters kParameters{};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Domain kPredictions = Domain::All();

  explicit AbsoluteError(const double*) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    return Abs(y_pred - y_true);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    return Sign(y_pred - y_true);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V) const {
    return ScalarLike(y_true, 0.0);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_ABSOLUTE_ERROR_H_
