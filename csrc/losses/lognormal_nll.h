#ifndef MASKLSTM_CSRC_LOSSES_LOGNORMAL_NLL_H_
#define MASKLSTM_CSRC_LOSSES_LOGNORMAL_NLL_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/gaussian_nll.h"

namespace masklstm {
namespace {

// With z = (log(t) - location) / scale: log(t) + log(scale) + log(2 pi) / 2 + z^2 / 2.
struct LognormalNll {
  static constexpr const char* kName = "lognormal_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::Above(0.0);
  static constexpr Channel kChannels[] = {
      {"location", Domain::All()},
      {"scale", Domain::Above(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit LognormalNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 2; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V log_label = Log(Positive(y_true));
    return log_label + GaussianNll(nullptr).Value(log_label, p);
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    GaussianNll(nullptr).Derivative(Log(Positive(y_true)), p, out);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_LOGNORMAL_NLL_H_
