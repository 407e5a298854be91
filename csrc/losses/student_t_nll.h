#ifndef MASKLSTM_CSRC_LOSSES_STUDENT_T_NLL_H_
#define MASKLSTM_CSRC_LOSSES_STUDENT_T_NLL_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/gamma_function.h"
#include "csrc/losses/ratio.h"

namespace masklstm {
namespace {

// With z = (t - location) / scale and n the degrees of freedom: log(scale) + log(n pi) / 2 -
// log(Gamma((n + 1) / 2) / Gamma(n / 2)) + (n + 1) / 2 log(1 + z^2 / n).
//
// Of the gamma functions and log(n) only what does not cancel for large n is computed: with x = n /
// 2, log(Gamma(x) / Gamma(x + 1/2)) + log(x) / 2 = R(x) - R(x + 1/2) + 1/2 - (x - 1/2) log(1 + 1 /
// (2 x)), where R(x) = log(Gamma(x + 1)) - x log(x) + x.
struct StudentTNll {
  static constexpr const char* kName = "student_t_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Channel kChannels[] = {
      {"location", Domain::All()},
      {"scale", Domain::Above(0.0)},
      {"degrees", Domain::Above(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit StudentTNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 3; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V scale = Positive(V(p[1]));
    const V degrees = Positive(V(p[2]));
    const V half = ScalarLike(scale, 0.5);
    const V x = half * degrees;
    const V gammas = LogFactorialRest(x) - LogFactorialRest(x + half) + half -
                     (x - half) * LogOf(x + half, x, half).log;
    const Tail<V> tail((y_true - p[0]) / scale, degrees);
    return Log(scale) + ScalarLike(scale, kHalfLogOfTwoPi) + gammas + (x + half) * tail.log;
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const V scale = Positive(V(p[1]));
    const V degrees = Positive(V(p[2]));
    const V zero = ScalarLike(scale, 0.0);
    const V half = ScalarLike(scale, 0.5);
    const V one = ScalarLike(scale, 1.0);
    const V x = half * degrees;
    const V z = (y_true - p[0]) / scale;
    const Tail<V> tail(z, degrees);
    out(0, zero - (one + one / degrees) * (z / scale) * tail.rest);
    out(1, (tail.rest - degrees * tail.share) / scale);
    const V gammas = DigammaLessLogDifference(x, half) + LogOf(x + half, x, half).excess;
    out(2, half * (gammas + tail.log_less_share - tail.share / degrees));
  }

 private:
  // With q = z^2 / n: log(1 + q), q / (1 + q) and 1 / (1 + q).
  template <typename V>
  struct Tail {
    MASKLSTM_HOST_DEVICE Tail(V z, V degrees) {
      const V one = ScalarLike(z, 1.0);
      const V q = z / degrees * z;
      const LogOfRatio<V> ratio = LogOf(one + q, one, q);
      const V distance = Abs(z);
      const auto overflows = Gt(distance, ScalarLike(z, 1e150));
      log = Select(overflows, ScalarLike(z, 2.0) * Log(distance) - Log(degrees), ratio.log);
      rest = one / (one + q);
      share = Select(overflows, one + (z - z), q * rest);
      // For a small q both are, and nearly the same.
      log_less_share = Select(Lt(q, ScalarLike(q, 0.25)), q * share - ratio.excess, log - share);
    }
    V log;
    V share;
    V rest;
    V log_less_share;
  };
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_STUDENT_T_NLL_H_
