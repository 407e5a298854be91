// The logarithm of the gamma function and its derivative, less what is large in them: in
// likelihoods the large terms cancel, and what is left keeps its digits.
//
// Both are Stirling's asymptotic series from 16 on; below, the recurrences of the two functions
// lead to the series at x + 8. (NIST Digital Library of Mathematical Functions, 5.5 and 5.11.)
#ifndef MASKLSTM_CSRC_LOSSES_GAMMA_FUNCTION_H_
#define MASKLSTM_CSRC_LOSSES_GAMMA_FUNCTION_H_

#include "csrc/losses/channels.h"

namespace masklstm {
namespace {

inline constexpr double kStirlingFrom = 16.0;
inline constexpr int kStirlingSteps = 8;

// The sum of coefficients[n] / x^(2 n).
template <typename V, int kTerms>
MASKLSTM_HOST_DEVICE V SeriesOfInverseSquares(V x, const double (&coefficients)[kTerms]) {
  const V inverse = ScalarLike(x, 1.0) / x;
  const V square = inverse * inverse;
  V sum = ScalarLike(x, coefficients[kTerms - 1]);
  MASKLSTM_UNROLL
  for (int n = kTerms - 2; n >= 0; --n) sum = sum * square + ScalarLike(x, coefficients[n]);
  return sum;
}

// log(Gamma(x + 1)) - (x log(x) - x), for x >= 0; 0 at 0.
template <typename V>
MASKLSTM_HOST_DEVICE V LogFactorialRest(V x) {
  // B_2k / (2 k (2 k - 1)), of the Bernoulli numbers.
  constexpr double kSeries[] = {1.0 / 12,   -1.0 / 360,      1.0 / 1260, -1.0 / 1680,
                                1.0 / 1188, -691.0 / 360360, 1.0 / 156,  -3617.0 / 122400};
  const V zero = ScalarLike(x, 0.0);
  const V steps = ScalarLike(x, kStirlingSteps);
  const auto is_far = Gt(x, ScalarLike(x, kStirlingFrom));
  const V y = Select(is_far, x, x + steps);
  const V near = Select(is_far, ScalarLike(x, 1.0), x);  // no overflow where it is not used
  V quotient = ScalarLike(x, 1.0);                       // y^8 / ((x + 1) ... (x + 8))
  MASKLSTM_UNROLL
  for (int n = 1; n <= kStirlingSteps; ++n) {
    quotient = quotient * ((near + steps) / (near + ScalarLike(x, n)));
  }
  const auto is_0 = Eq(x, zero);
  const V safe = Select(is_0, ScalarLike(x, 1.0), near);
  const V by_steps = near * Log((safe + steps) / safe) + Log(quotient) - steps;
  const V at_y = ScalarLike(x, 0.5) * Log(y) + ScalarLike(x, kHalfLogOfTwoPi) +
                 SeriesOfInverseSquares(y, kSeries) / y;
  return Select(is_0, zero, at_y + Select(is_far, zero, by_steps));
}

// digamma(x) - log(x) + 1 / (2 x), for x > 0.
template <typename V>
MASKLSTM_HOST_DEVICE V DigammaRest(V x) {
  // B_2k / (2 k), with its sign turned.
  constexpr double kSeries[] = {-1.0 / 12,  1.0 / 120,     -1.0 / 252, 1.0 / 240,
                                -1.0 / 132, 691.0 / 32760, -1.0 / 12,  3617.0 / 8160};
  const V zero = ScalarLike(x, 0.0);
  const V half = ScalarLike(x, 0.5);
  const V steps = ScalarLike(x, kStirlingSteps);
  const auto is_far = Gt(x, ScalarLike(x, kStirlingFrom));
  const V y = Select(is_far, x, x + steps);
  V inverses = half / y - half / x;
  MASKLSTM_UNROLL
  for (int n = 0; n < kStirlingSteps; ++n) {
    inverses = inverses + ScalarLike(x, 1.0) / (x + ScalarLike(x, n));
  }
  const V at_y = SeriesOfInverseSquares(y, kSeries) / (y * y);
  return at_y + Select(is_far, zero, Log(y / x) - inverses);
}

// digamma(x) - log(x), for x > 0.
template <typename V>
MASKLSTM_HOST_DEVICE V DigammaLessLog(V x) {
  return DigammaRest(x) - ScalarLike(x, 0.5) / x;
}

// DigammaLessLog(x) - DigammaLessLog(x + distance). Far out the two are nearly the same: their
// leading terms are subtracted by hand.
template <typename V>
MASKLSTM_HOST_DEVICE V DigammaLessLogDifference(V x, V distance) {
  const V end = x + distance;
  const V leading = ScalarLike(x, 0.5) * distance / x / end;
  return DigammaRest(x) - DigammaRest(end) - leading;
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_GAMMA_FUNCTION_H_
