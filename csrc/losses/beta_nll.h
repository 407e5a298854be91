#ifndef MASKLSTM_CSRC_LOSSES_BETA_NLL_H_
#define MASKLSTM_CSRC_LOSSES_BETA_NLL_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/gamma_function.h"
#include "csrc/losses/ratio.h"

namespace masklstm {
namespace {

// With concentrations a and b, and s = a + b: log(Gamma(a)) + log(Gamma(b)) - log(Gamma(s)) - (a -
// 1) log(t) - (b - 1) log(1 - t).
//
// With R(x) = log(Gamma(x + 1)) - x log(x) + x: R(a) + R(b) - R(s) - log(a b / s) + log(t (1 - t))
// + a log(a / (s t)) + b log(b / (s (1 - t))), whose terms do not cancel.
struct BetaNll {
  static constexpr const char* kName = "beta_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::Between(0.0, 1.0);
  static constexpr Channel kChannels[] = {
      {"concentration1", Domain::Above(0.0)},
      {"concentration0", Domain::Above(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit BetaNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 2; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const Terms<V> terms(y_true, V(p[0]), V(p[1]));
    const V a = terms.a;
    const V b = terms.b;
    const V rests = LogFactorialRest(a) + LogFactorialRest(b) - LogFactorialRest(a + b);
    return rests - Log(a / (a + b) * b) + terms.log_labels + a * terms.by_a + b * terms.by_b;
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const Terms<V> terms(y_true, V(p[0]), V(p[1]));
    out(0, DigammaLessLogDifference(terms.a, terms.b) + terms.by_a);
    out(1, DigammaLessLogDifference(terms.b, terms.a) + terms.by_b);
  }

 private:
  template <typename V>
  struct Terms {
    MASKLSTM_HOST_DEVICE Terms(V y_true, V concentration1, V concentration0)
        : a(Positive(concentration1)), b(Positive(concentration0)) {
      const V t = Positive(y_true);
      const V rest = Positive(ScalarLike(t, 1.0) - t);
      const V difference = a * rest - b * t;  // a - s t
      by_a = LogOf(a, (a + b) * t, difference).log;
      by_b = LogOf(b, (a + b) * rest, ScalarLike(t, 0.0) - difference).log;
      log_labels = Log(t) + Log1p(ScalarLike(t, 0.0) - t);
    }
    V a;
    V b;
    V by_a;        // log(a / (s t))
    V by_b;        // log(b / (s (1 - t)))
    V log_labels;  // log(t (1 - t))
  };
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_BETA_NLL_H_
