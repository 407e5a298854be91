#ifndef MASKLSTM_CSRC_LOSSES_ASYMMETRIC_LAPLACE_NLL_H_
#define MASKLSTM_CSRC_LOSSES_ASYMMETRIC_LAPLACE_NLL_H_

#include "csrc/losses/channels.h"

namespace masklstm {
namespace {

// With z = (t - location) / scale and a the asymmetry: log(scale) - log(a (1 - a)) + max(a z, (a -
// 1) z). The location is the quantile at a. Derivative by the location 0 at z = 0.
struct AsymmetricLaplaceNll {
  static constexpr const char* kName = "asymmetric_laplace_nll";
  static constexpr NoParameters kParameters = {};
  static constexpr Domain kLabels = Domain::All();
  static constexpr Channel kChannels[] = {
      {"location", Domain::All()},
      {"scale", Domain::Above(0.0)},
      {"asymmetry", Domain::Between(0.0, 1.0)},
  };

  MASKLSTM_HOST_DEVICE explicit AsymmetricLaplaceNll(const double*) {}

  MASKLSTM_HOST_DEVICE int channels() const { return 3; }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const V scale = p[1];
    const V asymmetry = Positive(V(p[2]));
    const V rest = Positive(ScalarLike(asymmetry, 1.0) - asymmetry);
    const V z = (y_true - p[0]) * InverseOfPositive(scale);
    const V distance = Max(asymmetry * z, ScalarLike(z, 0.0) - rest * z);
    return Log(scale) - Log(asymmetry * rest) + distance;
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    SlopesAt(PointOf(y_true, p), out);
  }

  // For mixtures: what density and slopes are made of.
  static constexpr double kLogOfConstant = 0.0;

  template <typename V>
  struct Point {
    V z;
    V inverse;  // of the scale
    V asymmetry;
    V rest;
  };

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE static Point<V> PointOf(V y_true, const P& p) {
    const V inverse = InverseOfPositive(V(p[1]));
    const V asymmetry = Positive(V(p[2]));
    const V rest = Positive(ScalarLike(asymmetry, 1.0) - asymmetry);
    return {(y_true - p[0]) * inverse, inverse, asymmetry, rest};
  }

  template <typename V>
  MASKLSTM_HOST_DEVICE static Density<V> DensityAt(const Point<V>& point) {
    const V zero = ScalarLike(point.z, 0.0);
    return {Min(point.rest * point.z, zero - point.asymmetry * point.z),
            point.asymmetry * point.rest * point.inverse};
  }

  template <typename V, typename Out>
  MASKLSTM_HOST_DEVICE static void SlopesAt(const Point<V>& point, Out&& out) {
    const V z = point.z;
    const V zero = ScalarLike(z, 0.0);
    // By z; where z is 0 or NaN, z itself.
    const V slope = Select(Gt(z, zero), point.asymmetry, Select(Lt(z, zero), zero - point.rest, z));
    out(0, zero - slope * point.inverse);
    out(1, (ScalarLike(z, 1.0) - slope * z) * point.inverse);
    out(2, z + (point.asymmetry - point.rest) / (point.asymmetry * point.rest));
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_ASYMMETRIC_LAPLACE_NLL_H_
