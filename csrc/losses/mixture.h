#ifndef MASKLSTM_CSRC_LOSSES_MIXTURE_H_
#define MASKLSTM_CSRC_LOSSES_MIXTURE_H_

#include "csrc/losses/asymmetric_laplace_nll.h"
#include "csrc/losses/channels.h"
#include "csrc/losses/gaussian_nll.h"
#include "csrc/losses/laplace_nll.h"

namespace masklstm {
namespace {

// A mixture of several distributions of one family, `components` of them, with weights that are the
// softmax of logits x: log(sum(exp(x))) - log(sum(exp(x - l))), with l the components' losses.
//
// The channels are first all logits, then the family's first channel for each component, then its
// second one, and so on. Logarithms of sums are made by the largest term, so that labels far from
// every component still have a loss and a slope.
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
    LogSum<V> logits;
    LogSum<V> joint;
    for (int j = 0; j < components; ++j) {
      const V logit = p[j];
      const V term = logit - Family(nullptr).Value(y_true, ComponentOf<P>{p, j, components});
      if (j == 0) {
        logits.Begin(logit);
        joint.Begin(term);
      } else {
        logits.Add(logit);
        joint.Add(term);
      }
    }
    return logits.Total() - joint.Total();
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    V logits[kMaxComponents];
    V shares[kMaxComponents];
    for (int j = 0; j < components; ++j) {
      logits[j] = p[j];
      shares[j] = logits[j] - Family(nullptr).Value(y_true, ComponentOf<P>{p, j, components});
    }
    Softmax(logits);
    Softmax(shares);
    for (int j = 0; j < components; ++j) {
      const V share = shares[j];
      const V zero = ScalarLike(share, 0.0);
      const auto has_none = Eq(share, zero);
      Family(nullptr).Derivative(y_true, ComponentOf<P>{p, j, components}, [&](int c, V slope) {
        // A component that has no share has no slope, be it infinite.
        out((1 + c) * components + j, Select(has_none, zero, share * slope));
      });
      out(j, logits[j] - share);
    }
  }

  int components;

 private:
  // Terms become their exponentials, divided by the sum of these.
  template <typename V>
  MASKLSTM_HOST_DEVICE void Softmax(V (&terms)[kMaxComponents]) const {
    V largest = terms[0];
    for (int j = 1; j < components; ++j) largest = Max(largest, terms[j]);
    V sum = ScalarLike(largest, 0.0);
    for (int j = 0; j < components; ++j) {
      // Infinities have no difference.
      const auto is_largest = Eq(terms[j], largest);
      terms[j] = Exp(Select(is_largest, ScalarLike(sum, 0.0), terms[j] - largest));
      sum = sum + terms[j];
    }
    const V inverse = ScalarLike(sum, 1.0) / sum;
    for (int j = 0; j < components; ++j) terms[j] = terms[j] * inverse;
  }

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

  // The logarithm of a sum of exponentials, term by term.
  template <typename V>
  struct LogSum {
    V largest;
    V sum;  // of exp(term - largest)

    MASKLSTM_HOST_DEVICE void Begin(V term) {
      largest = term;
      sum = ScalarLike(term, 1.0);
    }
    MASKLSTM_HOST_DEVICE void Add(V term) {
      const V zero = ScalarLike(term, 0.0);
      const V one = ScalarLike(term, 1.0);
      const V above =
          Select(Eq(term, largest), zero, term - largest);  // infinities have no difference
      const V smaller = Exp(zero - Abs(above));
      sum = Select(Gt(above, zero), sum * smaller + one, sum + smaller);
      largest = Max(largest, term);
    }
    MASKLSTM_HOST_DEVICE V Total() const { return largest + Log(sum); }
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
