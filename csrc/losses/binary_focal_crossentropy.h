#ifndef MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_H_
#define MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_H_

#include "csrc/losses/binary_crossentropy.h"
#include "csrc/losses/binary_focal_crossentropy_from_logits.h"
#include "csrc/losses/focal.h"
#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// a q^gamma B: the binary cross-entropy B of the smoothed label t' and the clipped probability c,
// times a power of the probability of being wrong, q = t' (1 - c) + (1 - t') c, and, with class
// balancing, times a = t' alpha + (1 - t') (1 - alpha). With from_logits, which graphs saved by
// version 0.1.0 have, it is the loss of that name.
struct BinaryFocalCrossentropy {
  static constexpr const char* kName = "binary_focal_crossentropy";
  static constexpr Parameter kParameters[] = {
      kGammaParameter,          kAlphaParameter,
      kClassBalancingParameter, {"from_logits", /*default=*/0.0, Domain::Within(0.0, 1.0)},
      kLabelSmoothingParameter, kEpsilonParameter,
  };
  static constexpr Domain kLabels = Domain::Within(0.0, 1.0);
  static constexpr Domain kPredictions = Domain::Within(0.0, 1.0);

  explicit BinaryFocalCrossentropy(const double* parameters)
      : focus(parameters),
        from_logits(parameters[3] != 0.0),
        crossentropy(parameters + 4),
        of_logits(focus, parameters + 4) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    if (from_logits) return of_logits.Value(y_true, y_pred);
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    const V c = crossentropy.Clipped(y_pred);
    return focus.Balance(t) * Focus::Power(Wrong(t, c), focus.gamma) * crossentropy.OfClipped(t, c);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    if (from_logits) return of_logits.Derivative(y_true, y_pred);
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    const V c = crossentropy.Clipped(y_pred);
    return crossentropy.WhereNotClipped(y_pred, focus.Balance(t) * Slope(t, c));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V y_pred) const {
    if (from_logits) return of_logits.SecondDerivative(y_true, y_pred);
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    const V c = crossentropy.Clipped(y_pred);
    return crossentropy.WhereNotClipped(y_pred, focus.Balance(t) * Curvature(t, c));
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Wrong(V t, V c) const {
    return t * crossentropy.Rest(c) + (ScalarLike(t, 1.0) - t) * c;
  }

  // By c, without the balance: (q^g B)' and (q^g B)''.
  template <typename V>
  MASKLSTM_HOST_DEVICE V Slope(V t, V c) const {
    const V q = Wrong(t, c);
    return PowerTimes(focus.gamma, q, focus.gamma - 1.0) * Focus::Turn(t) *
               crossentropy.OfClipped(t, c) +
           Focus::Power(q, focus.gamma) * crossentropy.SlopeOfClipped(t, c);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Curvature(V t, V c) const {
    const V q = Wrong(t, c);
    const V turn = Focus::Turn(t);
    const double gamma = focus.gamma;
    return PowerTimes(gamma * (gamma - 1.0), q, gamma - 2.0) * turn * turn *
               crossentropy.OfClipped(t, c) +
           PowerTimes(2.0 * gamma, q, gamma - 1.0) * turn * crossentropy.SlopeOfClipped(t, c) +
           Focus::Power(q, gamma) * crossentropy.CurvatureOfClipped(t, c);
  }

  // 0 for the factor 0, where the power may be infinite.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V PowerTimes(double factor, V base, double exponent) {
    if (factor == 0.0) return ScalarLike(base, 0.0);
    return ScalarLike(base, factor) * Focus::Power(base, exponent);
  }

  Focus focus;
  bool from_logits;
  BinaryCrossentropy crossentropy;
  BinaryFocalCrossentropyFromLogits of_logits;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_H_
