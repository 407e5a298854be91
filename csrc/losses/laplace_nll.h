#ifndef MASKLSTM_CSRC_LOSSES_LAPLACE_NLL_H_
#define MASKLSTM_CSRC_LOSSES_LAPLACE_NLL_H_

#include "csrc/losses/channels.h"

namespace masklstm {
namespace {

// With z = (t - location) / scale: log(2 scale) + |z|. Derivative by the location 0 at z = 0.
struct LaplaceNll {
  static constexpr const char* kName = "laplace_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Channel kChannels[] = {
      {"location", Domain::All()},
      {"scale", Domain::Above(0.0)},
  };

  MASKLSTM_HOST_DEVICE explicit LaplaceNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 2; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V scale = p[1];
    const V z = (y_true - p[0]) * InverseOfPositive(scale);
    return Log(scale) + ScalarLike(z, kLogOfTwo) + Abs(z);
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    SlopesAt(PointOf(y_true, p), out);
  }

  // For mixtures: what density and slopes are made of.
  static constexpr double kLogOfConstant = kLogOfTwo;

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
    return {ScalarLike(point.z, 0.0) - Abs(point.z), point.inverse};
  }

  template <typename V, typename Out>
  MASKLSTM_HOST_DEVICE static void SlopesAt(const Point<V>& point, Out&& out) {
    const V z = point.z;
    out(0, ScalarLike(z, 0.0) - Sign(z) * point.inverse);
    out(1, (ScalarLike(z, 1.0) - Abs(z)) * point.inverse);
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_LAPLACE_NLL_H_
