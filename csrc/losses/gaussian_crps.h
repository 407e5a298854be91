#ifndef MASKLSTM_CSRC_LOSSES_GAUSSIAN_CRPS_H_
#define MASKLSTM_CSRC_LOSSES_GAUSSIAN_CRPS_H_

#include "csrc/losses/channels.h"
#include "csrc/losses/error_function.h"

namespace masklstm {
namespace {

// The continuous ranked probability score of a normal distribution; with z = (t - mean) / scale, F
// and f its distribution function and density: scale (z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi)).
// (Gneiting and Raftery 2007, equation 5.)
struct GaussianCrps {
  static constexpr const char* kName = "gaussian_crps";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Channel kChannels[] = {
      {"mean", Domain::All()},
      {"scale", Domain::Above(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit GaussianCrps(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 2; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V scale = Positive(V(p[1]));
    const V z = (y_true - p[0]) / scale;
    return scale * (z * Center(z) + ByScale(z));
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const V scale = Positive(V(p[1]));
    const V z = (y_true - p[0]) / scale;
    out(0, ScalarLike(z, 0.0) - Center(z));
    out(1, ByScale(z));
  }

 private:
  // 2 F(z) - 1
  template <typename V>
  MASKLSTM_HOST_DEVICE static V Center(V z) {
    return Erf(z * ScalarLike(z, 0.70710678118654752440));
  }
  // 2 f(z) - 1 / sqrt(pi)
  template <typename V>
  MASKLSTM_HOST_DEVICE static V ByScale(V z) {
    return ScalarLike(z, 2.0) * NormalDensity(z) - ScalarLike(z, 0.56418958354775628695);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_GAUSSIAN_CRPS_H_
