#ifndef MASKLSTM_CSRC_LOSSES_MIXTURE_H_
#define MASKLSTM_CSRC_LOSSES_MIXTURE_H_

#include "csrc/losses/asymmetric_laplace_nll.h"
#include "csrc/losses/channels.h"
#include "csrc/losses/gaussian_nll.h"
#include "csrc/losses/laplace_nll.h"

namespace masklstm {
namespace {

// A mixture of several distributions of one family, `components` of them, with weights that are the
// softmax of logits x: log(sum(exp(x))) - log(sum(exp(x + e) f)), where exp(e) f is the density of
// a component at the label, but for a constant (`DensityAt`).
//
// The channels are first all logits, then the family's first channel for each component, then its
// second one, and so on. Sums of exponentials are made by the largest exponent, so that labels far
// from every component still have a loss and a slope. Factors, such as 1 / scale, stand beside the
// exponentials, which saves a logarithm for each component: doubles have room for those of floats.
template <typename Family>
struct MixtureOf {
  static constexpr int kMaxComponents = 32;
  static constexpr Parameter kParameters[] = {
      {"components", /*default=*/2, Domain::Integers(1, kMaxComponents)},
  };
  static constexpr Domain kLabels = Family::kLabels;

  explicit MixtureOf(const double* parameters) : components(static_cast<int>(parameters[0])) {}

  MASKLSTM_HOST_DEVICE int channels() const {
    return components * (1 + Family(nullptr).channels());
  }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    Terms<V> terms;
    terms.Read(*this, y_true, p);
    const V of_logits = terms.Exponentials(*this, terms.logits, &terms.largest_logit);
    terms.Exponentials(*this, terms.exponents, &terms.largest_exponent);
    V density = terms.factors[0] * terms.exponents[0];
    for (int j = 1; j < components; ++j) {
      density = density + terms.factors[j] * terms.exponents[j];
    }
    // Of the two sums one logarithm.
    return terms.largest_logit - terms.largest_exponent + Log(of_logits / density) +
           ScalarLike(density, Family::kLogOfConstant);
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    Terms<V> terms;
    terms.Read(*this, y_true, p);
    const V one = ScalarLike(terms.logits[0], 1.0);
    const V inverse_of_logits = one / terms.Exponentials(*this, terms.logits, &terms.largest_logit);
    terms.Exponentials(*this, terms.exponents, &terms.largest_exponent);
    V density = ScalarLike(one, 0.0);
    for (int j = 0; j < components; ++j) {
      terms.exponents[j] = terms.exponents[j] * terms.factors[j];
      density = density + terms.exponents[j];
    }
    const V inverse_of_density = one / density;
    for (int j = 0; j < components; ++j) {
      const V share = terms.exponents[j] * inverse_of_density;
      const V zero = ScalarLike(share, 0.0);
      const auto has_none = Eq(share, zero);
      Family::SlopesAt(terms.points[j], [&](int c, V slope) {
        // A component that has no share has no slope, be it infinite.
        out((1 + c) * components + j, Select(has_none, zero, share * slope));
      });
      out(j, terms.logits[j] * inverse_of_logits - share);
    }
  }

  int components;

 private:
  // The channels of one component, as its family knows them.
  template <typename P>
  struct ComponentOf {
    const P& p;
    int component;
    int components;
    MASKLSTM_HOST_DEVICE auto operator[](int c) const {
      return p[(1 + c) * components + component];
    }
  };

  template <typename V>
  struct Terms {
    typename Family::template Point<V> points[kMaxComponents];
    V logits[kMaxComponents];
    V exponents[kMaxComponents];  // with the logits
    V factors[kMaxComponents];
    V largest_logit;
    V largest_exponent;

    template <typename P>
    MASKLSTM_HOST_DEVICE void Read(const MixtureOf& mixture, V y_true, const P& p) {
      for (int j = 0; j < mixture.components; ++j) {
        logits[j] = p[j];
        points[j] = Family::PointOf(y_true, ComponentOf<P>{p, j, mixture.components});
        const Density<V> density = Family::DensityAt(points[j]);
        exponents[j] = logits[j] + density.exponent;
        factors[j] = density.factor;
      }
    }

    // Terms become their exponentials, over that of the largest one. Returns the sum of these.
    MASKLSTM_HOST_DEVICE V Exponentials(const MixtureOf& mixture, V (&terms)[kMaxComponents],
                                        V* largest) const {
      *largest = terms[0];
      for (int j = 1; j < mixture.components; ++j) *largest = Max(*largest, terms[j]);
      V sum = ScalarLike(*largest, 0.0);
      for (int j = 0; j < mixture.components; ++j) {
        // Infinities have no difference.
        const auto is_largest = Eq(terms[j], *largest);
        terms[j] = Exp(Select(is_largest, ScalarLike(sum, 0.0), terms[j] - *largest));
        sum = sum + terms[j];
      }
      return sum;
    }
  };
};

struct GaussianMixtureNll : MixtureOf<GaussianNll> {
  static constexpr const char* kName = "gaussian_mixture_nll";
  static constexpr Channel kChannels[] = {
      {"logit", Domain::All(), Repeats::kYes},
      {"mean", Domain::All(), Repeats::kYes},
      {"scale", Domain::Above(0.0), Repeats::kYes},
  };
  using MixtureOf::MixtureOf;
};

struct LaplaceMixtureNll : MixtureOf<LaplaceNll> {
  static constexpr const char* kName = "laplace_mixture_nll";
  static constexpr Channel kChannels[] = {
      {"logit", Domain::All(), Repeats::kYes},
      {"location", Domain::All(), Repeats::kYes},
      {"scale", Domain::Above(0.0), Repeats::kYes},
  };
  using MixtureOf::MixtureOf;
};

struct AsymmetricLaplaceMixtureNll : MixtureOf<AsymmetricLaplaceNll> {
  static constexpr const char* kName = "asymmetric_laplace_mixture_nll";
  static constexpr Channel kChannels[] = {
      {"logit", Domain::All(), Repeats::kYes},
      {"location", Domain::All(), Repeats::kYes},
      {"scale", Domain::Above(0.0), Repeats::kYes},
      {"asymmetry", Domain::Between(0.0, 1.0), Repeats::kYes},
  };
  using MixtureOf::MixtureOf;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_MIXTURE_H_
