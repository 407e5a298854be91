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
    const V inverse = InverseOfPositive(V(p[1]));
    const V asymmetry = Positive(V(p[2]));
    const V zero = ScalarLike(inverse, 0.0);
    const V one = ScalarLike(inverse, 1.0);
    const V rest = Positive(one - asymmetry);
    const V z = (y_true - p[0]) * inverse;
    // By z; where z is 0 or NaN, z itself.
    const V slope = Select(Gt(z, zero), asymmetry, Select(Lt(z, zero), zero - rest, z));
    out(0, zero - slope * inverse);
    out(1, (one - slope * z) * inverse);
    out(2, z + (asymmetry - rest) / (asymmetry * rest));
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_ASYMMETRIC_LAPLACE_NLL_H_
