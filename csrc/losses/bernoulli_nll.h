#ifndef MASKLSTM_CSRC_LOSSES_BERNOULLI_NLL_H_
#define MASKLSTM_CSRC_LOSSES_BERNOULLI_NLL_H_

#include "csrc/losses/channels.h"

namespace masklstm {
namespace {

// Of a label 0 or 1, or a probability between them, with the logit x of its being 1: max(x, 0) - x
// t
// + log(1 + exp(-|x|)).
struct BernoulliNll {
  static constexpr const char* kName = "bernoulli_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::Within(0.0, 1.0);
  static constexpr Channel kChannels[] = {
      {"logit", Domain::All()},
  };

  MASKLSTM_HOST_DEVICE explicit BernoulliNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 1; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V logit = p[0];
    const V zero = ScalarLike(logit, 0.0);
    const V one = ScalarLike(logit, 1.0);
    const V rest = NotNegative(one - NotNegative(y_true));
    // t and 1 - t times what each of them costs: nothing cancels.
    const V soft = Log1p(Exp(zero - Abs(logit)));
    return rest * (Max(logit, zero) + soft) + y_true * (Max(zero - logit, zero) + soft);
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const V logit = p[0];
    const V zero = ScalarLike(logit, 0.0);
    const V rest = NotNegative(ScalarLike(logit, 1.0) - NotNegative(y_true));
    out(0, rest * Logistic(logit) - y_true * Logistic(zero - logit));
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_BERNOULLI_NLL_H_
