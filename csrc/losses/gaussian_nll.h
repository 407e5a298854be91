#ifndef MASKLSTM_CSRC_LOSSES_GAUSSIAN_NLL_H_
#define MASKLSTM_CSRC_LOSSES_GAUSSIAN_NLL_H_

#include "csrc/losses/channels.h"

namespace masklstm {
namespace {

// With z = (t - mean) / scale: log(scale) + log(2 pi) / 2 + z^2 / 2.
struct GaussianNll {
  static constexpr const char* kName = "gaussian_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Channel kChannels[] = {
      {"mean", Domain::All()},
      {"scale", Domain::Above(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit GaussianNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 2; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V scale = p[1];
    const V z = (y_true - p[0]) * InverseOfPositive(scale);
    return Log(scale) + ScalarLike(z, kHalfLogOfTwoPi) + ScalarLike(z, 0.5) * z * z;
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    SlopesAt(PointOf(y_true, p), out);
  }

  // For mixtures: what density and slopes are made of.
  static constexpr double kLogOfConstant = kHalfLogOfTwoPi;

  template <typename V>
  struct Point {
    V z;
    V inverse;  // of the scale
  };

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE static Point<V> PointOf(V y_true, const P& p) {
    const V inverse = InverseOfPositive(V(p[1]));
    return {(y_true - p[0]) * inverse, inverse};
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE static Density<V> DensityAt(const Point<V>& point) {
    return {ScalarLike(point.z, -0.5) * point.z * point.z, point.inverse};
  }

  template <typename V, typename Out>
  MASKLSTM_HOST_DEVICE static void SlopesAt(const Point<V>& point, Out&& out) {
    const V z = point.z;
    out(0, ScalarLike(z, 0.0) - z * point.inverse);
    out(1, (ScalarLike(z, 1.0) - z * z) * point.inverse);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_GAUSSIAN_NLL_H_
