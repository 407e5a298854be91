#ifndef MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_FROM_LOGITS_H_
#define MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_FROM_LOGITS_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// With the smoothed label t' = t (1 - s) + s / 2: max(p, 0) - p t' + log(1 + exp(-|p|)), the
// cross-entropy of sigmoid(p).
//
// max(p, 0) - p t' is |p| (1 - t') for positive p and |p| t' for negative: no digits cancel.
struct BinaryCrossentropyFromLogits {
  static constexpr const char* kName = "binary_crossentropy_from_logits";
  static constexpr Parameter kParameters[] = {kLabelSmoothingParameter};
  static constexpr Domain kLabels = Domain::Within(0.0, 1.0);
  static constexpr Domain kPredictions = Domain::All();

  explicit BinaryCrossentropyFromLogits(const double* parameters)
      : label_smoothing(parameters[0]) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const V t = Smoothed(y_true, label_smoothing);
    const V zero = ScalarLike(t, 0.0);
    const V magnitude = Abs(y_pred);
    const V share = Select(Gt(y_pred, zero), ScalarLike(t, 1.0) - t, t);
    return magnitude * share + Log1p(Exp(zero - magnitude));
  }

  // sigmoid(p) - t', by the tail e / (1 + e), e = exp(-|p|), which keeps its digits near 0.
  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    const V t = Smoothed(y_true, label_smoothing);
    const V one = ScalarLike(t, 1.0);
    const V zero = ScalarLike(t, 0.0);
    const auto is_positive = Gt(y_pred, zero);
    const V e = Exp(zero - Abs(y_pred));
    const V tail = e / (one + e);
    // Used once: what an XLA formula uses twice may be written to memory.
    return Select(is_positive, one - t, zero - t) + Select(is_positive, zero - one, one) * tail;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V, V y_pred) const {
    const V e = Exp(ScalarLike(y_pred, 0.0) - Abs(y_pred));
    const V sum = ScalarLike(y_pred, 1.0) + e;
    return e / (sum * sum);
  }

  double label_smoothing;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_BINARY_CROSSENTROPY_FROM_LOGITS_H_
