#ifndef MASKLSTM_CSRC_LOSSES_PINBALL_SET_H_
#define MASKLSTM_CSRC_LOSSES_PINBALL_SET_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/pinball.h"

namespace masklstm {
namespace {

// The mean of the pinball losses of several quantiles q, each with a prediction: max(q (t - p), (q
// - 1) (t - p)). Derivative 0 at p = t.
struct PinballSet {
  static constexpr const char* kName = "pinball_set";
  static constexpr Parameter kParameters[] = {
      {"quantile", /*default=*/0.5, Domain::Between(0.0, 1.0), Parameter::kList},
  };
  static constexpr Domain kLabels = Domain::All();
  static constexpr Channel kChannels[] = {
      {"quantile", Domain::All(), Repeats::kYes},
  };

  explicit PinballSet(const double* parameters) {
    while (size < kMaxChannels && parameters[size] == parameters[size]) {
      quantiles[size] = parameters[size];
      ++size;
    }
  }

  MASKLSTM_HOST_DEVICE int channels() const { return size; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    V sum = ScalarLike(y_true, 0.0);
    for (int c = 0; c < size; ++c) {
      const ScaledDifference<V> shortfall = Difference(y_true, V(p[c]));
      sum = sum + PinballValue(shortfall.value, quantiles[c]) * ScalarLike(sum, 1.0 / size) *
                      shortfall.factor;
    }
    return sum;
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    for (int c = 0; c < size; ++c) {
      out(c, PinballSlope(V(p[c]) - y_true, quantiles[c], size));
    }
  }

  int size = 0;
  double quantiles[kMaxChannels];
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_PINBALL_SET_H_
