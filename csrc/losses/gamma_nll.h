#ifndef MASKLSTM_CSRC_LOSSES_GAMMA_NLL_H_
#define MASKLSTM_CSRC_LOSSES_GAMMA_NLL_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/gamma_function.h"
#include "csrc/losses/ratio.h"

namespace masklstm {
namespace {

// With concentration a and rate b: log(Gamma(a)) - a log(b) - (a - 1) log(t) + b t.
//
// With R(x) = log(Gamma(x + 1)) - x log(x) + x and u = b t / a: R(a) + log(t / a) + a (u - 1 -
// log(u)), whose terms do not cancel.
struct GammaNll {
  static constexpr const char* kName = "gamma_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::Above(0.0);
  static constexpr Channel kChannels[] = {
      {"concentration", Domain::Above(0.0)},
      {"rate", Domain::Above(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit GammaNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 2; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V t = Positive(y_true);
    const V a = Positive(V(p[0]));
    const V bt = Positive(V(p[1])) * t;
    return LogFactorialRest(a) + Log(t / a) + a * LogOf(bt, a, bt - a).excess;
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const V t = Positive(y_true);
    const V a = Positive(V(p[0]));
    const V rate = Positive(V(p[1]));
    const V bt = rate * t;
    out(0, DigammaLessLog(a) - LogOf(bt, a, bt - a).log);
    out(1, (bt - a) / rate);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_GAMMA_NLL_H_
