#ifndef MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_H_
#define MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_H_

#include "csrc/losses/binary_crossentropy.h"
#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// a q^gamma B: the binary cross-entropy B of the smoothed label t' and the clipped probability c,
// times a power of the probability of being wrong, q = t' (1 - c) + (1 - t') c, and, with class
// balancing, times a = t' alpha + (1 - t') (1 - alpha). With from_logits, the sigmoid comes first.
struct BinaryFocalCrossentropy {
  static constexpr const char* kName = "binary_focal_crossentropy";
  static constexpr Parameter kParameters[] = {
      {"gamma", /*default=*/2.0, Domain::From(0.0)},
      {"alpha", /*default=*/0.25, Domain::Within(0.0, 1.0)},
      {"apply_class_balancing", /*default=*/0.0, Domain::Within(0.0, 1.0)},
      {"from_logits", /*default=*/0.0, Domain::Within(0.0, 1.0)},
      kLabelSmoothingParameter,
      kEpsilonParameter,
  };

  explicit BinaryFocalCrossentropy(const double* parameters)
      : gamma(parameters[0]),
        alpha(parameters[1]),
        apply_class_balancing(parameters[2] != 0.0),
        from_logits(parameters[3] != 0.0),
        crossentropy(parameters + 4) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const {
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    const V c = crossentropy.Clipped(Probability(y_pred));
    return Balance(t) * Power(Wrong(t, c), gamma) * BinaryCrossentropy::OfClipped(t, c);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Derivative(V y_true, V y_pred) const {
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    const V p = Probability(y_pred);
    const V c = crossentropy.Clipped(p);
    const V slope = crossentropy.WhereNotClipped(p, Balance(t) * Slope(t, c));
    return from_logits ? slope * c * (ScalarLike(c, 1.0) - c) : slope;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V SecondDerivative(V y_true, V y_pred) const {
    const V t = Smoothed(y_true, crossentropy.label_smoothing);
    const V p = Probability(y_pred);
    const V c = crossentropy.Clipped(p);
    V curvature = Curvature(t, c);
    if (from_logits) {
      // With s = sigmoid: s' = s (1 - s), s'' = s' (1 - 2 s).
      const V one = ScalarLike(c, 1.0);
      const V first = c * (one - c);
      curvature = curvature * first * first + Slope(t, c) * first * (one - (c + c));
    }
    return crossentropy.WhereNotClipped(p, Balance(t) * curvature);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Probability(V y_pred) const {
    if (from_logits) return Logistic(y_pred) + NanIfDiverged(y_pred);
    return y_pred;
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Balance(V t) const {
    if (!apply_class_balancing) return ScalarLike(t, 1.0);
    return t * ScalarLike(t, alpha) + (ScalarLike(t, 1.0) - t) * ScalarLike(t, 1.0 - alpha);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE static V Wrong(V t, V c) {
    const V one = ScalarLike(t, 1.0);
    return t * (one - c) + (one - t) * c;
  }

  // Whole exponents keep the sign of a negative base, which labels outside of [0, 1] lead to.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V Power(V base, double exponent) {
    if (exponent == 0.0) return ScalarLike(base, 1.0);
    if (exponent == 1.0) return base;
    if (exponent == 2.0) return base * base;
    if (exponent == 3.0) return base * base * base;
    const V power = Pow(Abs(base), ScalarLike(base, exponent));
    const double half = 0.5 * exponent;
    const bool is_whole = exponent == __builtin_floor(exponent);
    const bool is_even = half == __builtin_floor(half);
    if (is_even) return power;
    const V zero = ScalarLike(base, 0.0);
    const V if_negative = is_whole ? zero - power : zero / zero;
    return Select(Lt(base, zero), if_negative, power);
  }

  // By c, without the balance: (q^g B)' and (q^g B)'', with q' = 1 - 2 t.
  template <typename V>
  MASKLSTM_HOST_DEVICE V Slope(V t, V c) const {
    const V q = Wrong(t, c);
    const V turn = ScalarLike(t, 1.0) - (t + t);
    return ScalarLike(t, gamma) * Power(q, gamma - 1.0) * turn *
               BinaryCrossentropy::OfClipped(t, c) +
           Power(q, gamma) * BinaryCrossentropy::SlopeOfClipped(t, c);
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE V Curvature(V t, V c) const {
    const V q = Wrong(t, c);
    const V turn = ScalarLike(t, 1.0) - (t + t);
    return ScalarLike(t, gamma * (gamma - 1.0)) * Power(q, gamma - 2.0) * turn * turn *
               BinaryCrossentropy::OfClipped(t, c) +
           ScalarLike(t, 2.0 * gamma) * Power(q, gamma - 1.0) * turn *
               BinaryCrossentropy::SlopeOfClipped(t, c) +
           Power(q, gamma) * BinaryCrossentropy::CurvatureOfClipped(t, c);
  }

  double gamma;
  double alpha;
  bool apply_class_balancing;
  bool from_logits;
  BinaryCrossentropy crossentropy;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_BINARY_FOCAL_CROSSENTROPY_H_
