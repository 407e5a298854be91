// The error function of csrc/losses, in its vocabulary.
#ifndef MASKLSTM_CSRC_LOSSES_ERROR_FUNCTION_H_
#define MASKLSTM_CSRC_LOSSES_ERROR_FUNCTION_H_

#include "csrc/losses/channels.h"

namespace masklstm {
namespace {

// erf(x). Below 1 its Taylor series, which keeps the digits of what is small; beyond, 1 - exp(-x^2)
// P(t) / (x + 2) with t = (x - 4) / (x + 2), and P the interpolation of exp(x^2) erfc(x) (x + 2) in
// 20 Chebyshev nodes over x >= 1.
template <typename V>
MASKLSTM_HOST_DEVICE V Erf(V x) {
  constexpr double kFar[] = {
      0.8219967457503687,      -0.34380947367040393,    0.1029178878234761,
      -0.01663314123076606,    -0.0014137333844508613,  0.00125701817609009,
      -3.678929170593305e-05,  -0.00010491718610187532, 6.343905452744654e-06,
      1.1183254597840253e-05,  -2.1098819649264056e-07, -1.403152233642833e-06,
      -1.2527885683807997e-07, 1.7942461044333082e-07,  4.606211232512981e-08,
      -1.9233576972008843e-08, -9.638108611663184e-09,  1.127026672439898e-09,
      1.047497831013496e-09,   3.0925143017561436e-11,
  };
  constexpr int kFarTerms = sizeof(kFar) / sizeof(kFar[0]);
  constexpr int kNearTerms = 18;
  const V one = ScalarLike(x, 1.0);
  const V two = ScalarLike(x, 2.0);
  const V magnitude = Abs(x);
  const V square = x * x;
  // The terms (-1)^n x^(2 n) / (n! (2 n + 1)) by their common factors: a + b (c + d (e + ...)).
  V near = ScalarLike(x, 0.0);
  MASKLSTM_UNROLL
  for (int n = kNearTerms - 1; n >= 0; --n) {
    near = ScalarLike(x, 1.0 / (2 * n + 1)) - square * near * ScalarLike(x, 1.0 / (n + 1));
  }
  constexpr double kTwoOverRootPi = 1.1283791670955125739;
  const V t = (magnitude - two - two) / (magnitude + two);
  V far = ScalarLike(x, kFar[kFarTerms - 1]);
  MASKLSTM_UNROLL
  for (int n = kFarTerms - 2; n >= 0; --n) far = far * t + ScalarLike(x, kFar[n]);
  const V tail = Exp(ScalarLike(x, 0.0) - square) * far / (magnitude + two);
  const V is_one = Sign(x) * Select(Gt(magnitude, ScalarLike(x, 6.0)), one, one - tail);
  return Select(Lt(magnitude, one), ScalarLike(x, kTwoOverRootPi) * x * near, is_one);
}

// The density of the standard normal distribution.
template <typename V>
MASKLSTM_HOST_DEVICE V NormalDensity(V z) {
  constexpr double kOneOverRootTwoPi = 0.39894228040143267794;
  return ScalarLike(z, kOneOverRootTwoPi) * Exp(ScalarLike(z, -0.5) * z * z);
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_ERROR_FUNCTION_H_
