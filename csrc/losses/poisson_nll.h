#ifndef MASKLSTM_CSRC_LOSSES_POISSON_NLL_H_
#define MASKLSTM_CSRC_LOSSES_POISSON_NLL_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/gamma_function.h"
#include "csrc/losses/ratio.h"

namespace masklstm {
namespace {

// Of a count t with rate m: m - t log(m) + log(Gamma(t + 1)). A count need not be a whole number.
//
// With R(x) = log(Gamma(x + 1)) - x log(x) + x and u = m / t: R(t) + t (u - 1 - log(u)), whose
// terms do not cancel.
struct PoissonNll {
  static constexpr const char* kName = "poisson_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::From(0.0);
  static constexpr Channel kChannels[] = {
      {"rate", Domain::From(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit PoissonNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 1; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V t = NotNegative(y_true);
    const V rate = NotNegative(V(p[0]));
    const V by_rate = t * LogOf(rate, t, rate - t).excess;
    return LogFactorialRest(t) + Select(Eq(t, ScalarLike(t, 0.0)), rate, by_rate);
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const V t = NotNegative(y_true);
    const V rate = NotNegative(V(p[0]));
    const V one = ScalarLike(t, 1.0);
    out(0, Select(Eq(t, ScalarLike(t, 0.0)), one + (rate - rate), (rate - t) / rate));
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_POISSON_NLL_H_
