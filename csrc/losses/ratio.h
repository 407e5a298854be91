// Logarithms of ratios that may be near 1, from numbers whose difference is known exactly.
#ifndef MASKLSTM_CSRC_LOSSES_RATIO_H_
#define MASKLSTM_CSRC_LOSSES_RATIO_H_

#include "csrc/losses/loss.h"

namespace masklstm {
namespace {

// log(a / b), and (a - b) / b - log(a / b), which is never below 0; a and b above 0.
template <typename V>
struct LogOfRatio {
  V log;
  V excess;
};

// With s = (a - b) / (a + b): log(a / b) = 2 (s + s^3 / 3 + s^5 / 5 + ...), and of the excess the
// leading terms cancel to (a - b) s / b. Each is computed by its series while 3 a > 2 b and 2 a <
// 3 b, so that what is small has all its digits.
template <typename V>
MASKLSTM_HOST_DEVICE LogOfRatio<V> LogOf(V a, V b, V difference) {
  constexpr int kTerms = 11;  // s is 1/5 at most, and 5^-24 is below a double's last place
  const V relative = difference / b;
  const V s = difference / (a + b);
  const V square = s * s;
  V series = ScalarLike(s, 1.0 / (2 * kTerms + 3));
  MASKLSTM_UNROLL
  for (int n = kTerms - 1; n >= 0; --n) series = series * square + ScalarLike(s, 1.0 / (2 * n + 3));
  const V two = ScalarLike(s, 2.0);
  const V beyond_first = two * s * square * series;
  const V far = Log(a / b);
  const auto is_near = Lt(Abs(s), ScalarLike(s, 0.2));
  return {Select(is_near, two * s + beyond_first, far),
          Select(is_near, relative * s - beyond_first, relative - far)};
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_RATIO_H_
