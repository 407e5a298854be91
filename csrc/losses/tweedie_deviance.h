#ifndef MASKLSTM_CSRC_LOSSES_TWEEDIE_DEVIANCE_H_
#define MASKLSTM_CSRC_LOSSES_TWEEDIE_DEVIANCE_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/ratio.h"

namespace masklstm {
namespace {

// Unit deviance of the compound Poisson-gamma distribution with mean m and 1 < power < 2: 2 (t^(2 -
// power) / ((1 - power) (2 - power)) - t m^(1 - power) / (1 - power) + m^(2 - power) / (2 -
// power)).
//
// With a = 2 - power, L = log(t / m) and g(x) = exp(x) - 1 - x: 2 m^a (g(a L) - a g(L)) / (a (a -
// 1)), whose terms do not cancel near an exact fit. The derivative is 2 (m - t) / m^power.
struct TweedieDeviance {
  static constexpr const char* kName = "tweedie_deviance";
  static constexpr Parameter kParameters[] = {
      {"power", /*default=*/1.5, Domain::Between(1.0, 2.0)},
  };
  static constexpr Domain kLabels = Domain::From(0.0);
  static constexpr Channel kChannels[] = {
      {"mean", Domain::Above(0.0)},
  };

  explicit TweedieDeviance(const double* parameters) : power(parameters[0]) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 1; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V t = NotNegative(y_true);
    const V mean = Positive(V(p[0]));
    const V a = ScalarLike(t, 2.0 - power);
    const V zero = ScalarLike(t, 0.0);
    const V log = LogOf(t, mean, t - mean).log;
    const V of_label = (ExpLessLine(a * log) - a * ExpLessLine(log)) /
                       ScalarLike(t, (2.0 - power) * (1.0 - power));
    const V of_0 = ScalarLike(t, 1.0 / (2.0 - power));
    return ScalarLike(t, 2.0) * Exp(a * Log(mean)) * Select(Eq(t, zero), of_0, of_label);
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const V t = NotNegative(y_true);
    const V mean = Positive(V(p[0]));
    const V factor = Exp(ScalarLike(t, 1.0 - power) * Log(mean));  // m^(1 - power)
    out(0, ScalarLike(t, 2.0) * ((mean - t) / mean) * factor);
  }

  double power;

 private:
  // exp(x) - 1 - x; below 1/2 its series.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V ExpLessLine(V x) {
    constexpr int kTerms = 14;
    V series = ScalarLike(x, 1.0);
    MASKLSTM_UNROLL
    for (int n = kTerms + 2; n > 2; --n)
      series = ScalarLike(x, 1.0) + series * x * ScalarLike(x, 1.0 / n);
    const V near = ScalarLike(x, 0.5) * x * x * series;
    return Select(Lt(Abs(x), ScalarLike(x, 0.5)), near, Exp(x) - ScalarLike(x, 1.0) - x);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_TWEEDIE_DEVIANCE_H_
