// What the two focal losses have in common.
#ifndef MASKLSTM_CSRC_LOSSES_FOCAL_H_
#define MASKLSTM_CSRC_LOSSES_FOCAL_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

inline constexpr Parameter kGammaParameter = {"gamma", /*default=*/2.0, Domain::From(0.0)};
inline constexpr Parameter kAlphaParameter = {"alpha", /*default=*/0.25, Domain::Within(0.0, 1.0)};
inline constexpr Parameter kClassBalancingParameter = {"apply_class_balancing", /*default=*/0.0,
                                                       Domain::Within(0.0, 1.0)};

// The factors beside the cross-entropy: with class balancing t alpha + (1 - t) (1 - alpha), and
// powers of the probability of being wrong.
struct Focus {
  // In the order of the parameters above.
  explicit Focus(const double* parameters)
      : gamma(parameters[0]), alpha(parameters[1]), apply_class_balancing(parameters[2] != 0.0) {}

  template <typename V>
  MASKLSTM_HOST_DEVICE V Balance(V t) const {
    if (!apply_class_balancing) return ScalarLike(t, 1.0);
    return t * ScalarLike(t, alpha) + (ScalarLike(t, 1.0) - t) * ScalarLike(t, 1.0 - alpha);
  }

  // Whole exponents keep the sign of a negative base, which labels outside of [0, 1] lead to.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V Power(V base, double exponent) {
    if (exponent == 0.0) return ScalarLike(base, 1.0);
    if (exponent == 1.0) return base;
    if (exponent == 2.0) return base * base;
    if (exponent == 3.0) return base * base * base;
    return WithSign(base, Pow(Abs(base), ScalarLike(base, exponent)), exponent);
  }

  // The power of a fraction whose denominator is positive. The quotient is used once: what is
  // costly and used twice, XLA would write to memory.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V PowerOfFraction(V numerator, V denominator, double exponent) {
    if (exponent == 0.0 || exponent == 1.0 || exponent == 2.0 || exponent == 3.0) {
      return Power(numerator, exponent) / Power(denominator, exponent);
    }
    const V power = Pow(Abs(numerator / denominator), ScalarLike(numerator, exponent));
    return WithSign(numerator, power, exponent);
  }

  // The derivative by c of the probability of being wrong, t (1 - c) + (1 - t) c.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V Turn(V t) {
    return ScalarLike(t, 1.0) - (t + t);
  }

  double gamma;
  double alpha;
  bool apply_class_balancing;

 private:
  // The power of a base of which only the size was raised.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V WithSign(V base, V power, double exponent) {
    const double half = 0.5 * exponent;
    const bool is_whole = exponent == __builtin_floor(exponent);
    const bool is_even = half == __builtin_floor(half);
    if (is_even) return power;
    const V zero = ScalarLike(base, 0.0);
    const V if_negative = is_whole ? zero - power : zero / zero;
    return Select(Lt(base, zero), if_negative, power);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_FOCAL_H_
