#ifndef MASKLSTM_CSRC_LOSSES_NEGATIVE_BINOMIAL_NLL_H_
#define MASKLSTM_CSRC_LOSSES_NEGATIVE_BINOMIAL_NLL_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/gamma_function.h"
#include "csrc/losses/ratio.h"

namespace masklstm {
namespace {

// Of a count t with mean m and variance m + a m^2, a the dispersion; r = 1 / a: log(Gamma(t + 1)) +
// log(Gamma(r)) - log(Gamma(t + r)) - r log(r / (r + m)) - t log(m / (r + m)).
//
// With R(x) = log(Gamma(x + 1)) - x log(x) + x all that is large cancels: R(t) + R(r) - R(t + r) +
// log((t + r) / r) + r log((r + m) / (t + r)) + t log(t (r + m) / (m (t + r))). For a = 0 it is
// Poisson's. A count need not be a whole number.
struct NegativeBinomialNll {
  static constexpr const char* kName = "negative_binomial_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::From(0.0);
  static constexpr Channel kChannels[] = {
      {"mean", Domain::Above(0.0)},
      {"dispersion", Domain::From(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit NegativeBinomialNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 2; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V zero = ScalarLike(y_true, 0.0);
    const V t = NotNegative(y_true);
    const V mean = Positive(V(p[0]));
    const V r = InverseOf(V(p[1]));
    const V gammas = LogFactorialRest(t) + LogFactorialRest(r) - LogFactorialRest(t + r);
    const V by_size = r * LogOf(r + mean, t + r, mean - t).log;
    // Everything over r, which may be far out of the range of a product.
    const V share = (t + r) / r;
    const V by_count = t * LogOf(t + t * mean / r, mean * share, t - mean).log;
    return gammas + LogOf(t + r, r, t).log + by_size + Select(Eq(t, zero), zero, by_count);
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const V t = NotNegative(y_true);
    const V mean = Positive(V(p[0]));
    const V r = InverseOf(V(p[1]));
    out(0, (mean - t) / mean * (r / (r + mean)));
    const V by_size = DigammaLessLogDifference(r, t) + LogOf(t + r, r + mean, t - mean).excess;
    out(1, ScalarLike(r, 0.0) - r * (r * by_size));
  }

 private:
  // 1 / a. Below 1e-100 the dispersion changes nothing, neither the loss nor its derivatives.
  template <typename V>
  MASKLSTM_HOST_DEVICE static V InverseOf(V a) {
    return ScalarLike(a, 1.0) / Max(NotNegative(a), ScalarLike(a, 1e-100));
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_NEGATIVE_BINOMIAL_NLL_H_
