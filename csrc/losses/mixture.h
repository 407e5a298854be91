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
  static constexpr Parameter kParameters[] = {
      {"components", /*default=*/2, Domain::Integers(1, 32)},
  };
  static constexpr Domain kLabels = Family::kLabels;

  explicit MixtureOf(const double* parameters) : components(static_cast<int>(parameters[0])) {}

  MASKLSTM_HOST_DEVICE int channels() const {
    return components * (1 + Family(nullptr).channels());
  }

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE V Value(V y_true, const P& p) const {
    const Sums<V> sums = SumsOf(y_true, p);
    return sums.logits.Total() - sums.joint.Total();
  }

  template <typename V, typename P, typename Out>
  MASKLSTM_HOST_DEVICE void Derivative(V y_true, const P& p, Out&& out) const {
    const Sums<V> sums = SumsOf(y_true, p);
    const V log_of_logits = sums.logits.Total();
    const V log_of_joint = sums.joint.Total();
    for (int j = 0; j < components; ++j) {
      const ComponentOf<P> component{p, j, components};
      const V logit = p[j];
      const V share = Exp(logit - Family(nullptr).Value(y_true, component) -
                          log_of_joint);  // of this component
      Family(nullptr).Derivative(y_true, component, [&](int c, V slope) {
        // A component that has no share has no slope, be it infinite.
        const V zero = ScalarLike(share, 0.0);
        out((1 + c) * components + j, Select(Eq(share, zero), zero, share * slope));
      });
      out(j, Exp(logit - log_of_logits) - share);
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

  // The logarithm of a sum of exponentials, term by term.
  template <typename V>
  struct LogSum {
    V largest;
    V sum;  // of exp(term - largest)

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

  template <typename V>
  struct Sums {
    LogSum<V> logits;
    LogSum<V> joint;
  };

  template <typename V, typename P>
  MASKLSTM_HOST_DEVICE Sums<V> SumsOf(V y_true, const P& p) const {
    Sums<V> sums;
    for (int j = 0; j < components; ++j) {
      const V logit = p[j];
      const V joint = logit - Family(nullptr).Value(y_true, ComponentOf<P>{p, j, components});
      if (j == 0) {
        const V one = ScalarLike(logit, 1.0);
        sums = {{logit, one}, {joint, one}};
      } else {
        sums.logits.Add(logit);
        sums.joint.Add(joint);
      }
    }
    return sums;
  }
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
