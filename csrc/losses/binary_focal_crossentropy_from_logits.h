#ifndef MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_FROM_LOGITS_H_
#define MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_FROM_LOGITS_H_

#include "csrc/losses/binary_crossentropy_from_logits.h"
#include "csrc/losses/focal.h"
#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// a q^gamma B: the binary cross-entropy B of sigmoid(p) and the smoothed label t', times a power of
// the probability of being wrong, q = t' (1 - sigmoid(p)) + (1 - t') sigmoid(p), and, with class
// balancing, times a = t' alpha + (1 - t') (1 - alpha).
//
// Both derivatives are q^gamma times terms of r = q' / ((1 - 2 t') q), which lies between 0 and 1:
// a power with a smaller exponent would be infinite where q is 0.
struct BinaryFocalCrossentropyFromLogits {
  static constexpr const char* kName = "binary_focal_crossentropy_from_logits";
  static constexpr Parameter kParameters[] = {
      kGammaParameter,
      kAlphaParameter,
      kClassBalancingParameter,
      kLabelSmoothingParameter,
  };
  static constexpr Domain kLabels = Domain::Within(0.0, 1.0);
  static constexpr Domain kPredictions = Domain::All();

  explicit BinaryFocalCrossentropyFromLogits(const double* parameters)
      : BinaryFocalCrossentropyFromLogits(Focus(parameters), parameters + 3) {}

  BinaryFocalCrossentropyFromLogits(const Focus& focus, const double* label_smoothing)
      : focus(focus), crossentropy(label_smoothing) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    return focus.Balance(t) * PowerOf(MissOf(t, y_pred)) * crossentropy.Value(y_true, y_pred);
  }

  // a q^gamma (gamma (1 - 2 t') r B + B')
  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    const Miss<V> miss = MissOf(t, y_pred);
    const V slope = ScalarLike(t, focus.gamma) * Focus::Turn(t) * miss.rate *
                        crossentropy.Value(y_true, y_pred) +
                    crossentropy.Derivative(y_true, y_pred);
    return focus.Balance(t) * PowerOf(miss) * slope;
  }

  // With k = (1 - 2 t') r: a q^gamma (gamma k (2 B' + ((gamma - 1) k + 1 - 2 sigmoid(p)) B) + B'')
  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V y_pred) const {
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    const Miss<V> miss = MissOf(t, y_pred);
    const V k = Focus::Turn(t) * miss.rate;
    const V slope = crossentropy.Derivative(y_true, y_pred);
    const V bend = ScalarLike(t, focus.gamma - 1.0) * k - Tanh(ScalarLike(t, 0.5) * y_pred);
    const V curvature = ScalarLike(t, focus.gamma) * k *
                            (slope + slope + bend * crossentropy.Value(y_true, y_pred)) +
                        crossentropy.SecondDerivative(y_true, y_pred);
    return focus.Balance(t) * PowerOf(miss) * curvature;
  }

  template <typename V>
  struct Miss {
    V numerator;  // of q
    V denominator;
    V rate;  // r
  };

  template <typename V>
  MASKLSTM_HOST_DEVICE V PowerOf(const Miss<V>& miss) const {
    return Focus::PowerOfFraction(miss.numerator, miss.denominator, focus.gamma);
  }

  // By e = exp(-|p|): where p has the label's sign, e is all that is left of q.
  template <typename V>
  MASKLSTM_HOST_DEVICE static Miss<V> MissOf(V t, V y_pred) {
    const V one = ScalarLike(t, 1.0);
    const V zero = ScalarLike(t, 0.0);
    const auto is_positive = Gt(y_pred, zero);
    const V share = Select(is_positive, one - t, t);
    const V others = Select(is_positive, t, one - t);
    const V e = Exp(zero - Abs(y_pred));
    const V sum = one + e;
    const V mixed = share + others * e;
    return {mixed, sum, Select(Eq(share, zero), one, e / mixed) / sum};
  }

  Focus focus;
  BinaryCrossentropyFromLogits crossentropy;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_FROM_LOGITS_H_
