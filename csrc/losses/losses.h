// The one list of losses. Whatever walks the losses (kernels, op attributes, Python, tests,
// benchmarks) walks this list.
#ifndef MASKLSTM_CSRC_LOSSES_LOSSES_H_
#define MASKLSTM_CSRC_LOSSES_LOSSES_H_

#include <algorithm>
#include <iterator>

#include "csrc/losses/absolute_error.h"
#include "csrc/losses/absolute_percentage_error.h"
#include "csrc/losses/asymmetric_laplace_nll.h"
#include "csrc/losses/bernoulli_nll.h"
#include "csrc/losses/beta_nll.h"
#include "csrc/losses/binary_crossentropy.h"
#include "csrc/losses/binary_crossentropy_from_logits.h"
#include "csrc/losses/binary_focal_crossentropy.h"
#include "csrc/losses/binary_focal_crossentropy_from_logits.h"
#include "csrc/losses/gamma_nll.h"
#include "csrc/losses/gaussian_crps.h"
#include "csrc/losses/gaussian_nll.h"
#include "csrc/losses/huber.h"
#include "csrc/losses/laplace_nll.h"
#include "csrc/losses/log_cosh.h"
#include "csrc/losses/lognormal_nll.h"
#include "csrc/losses/mixture.h"
#include "csrc/losses/negative_binomial_nll.h"
#include "csrc/losses/pinball.h"
#include "csrc/losses/pinball_set.h"
#include "csrc/losses/poisson.h"
#include "csrc/losses/poisson_nll.h"
#include "csrc/losses/squared_error.h"
#include "csrc/losses/squared_logarithmic_error.h"
#include "csrc/losses/student_t_nll.h"
#include "csrc/losses/tweedie_deviance.h"

namespace masklstm {
namespace {

template <typename Loss>
struct Type {
  using type = Loss;
};

// How many numbers the parameters of a loss are, at most: its last one may be a list.
template <typename Loss>
constexpr int MaxParameters() {
  constexpr int kSize = std::size(Loss::kParameters);
  if constexpr (kSize > 0) {
    if (Loss::kParameters[kSize - 1].is_list) return kMaxChannels;
  }
  return kSize;
}

template <typename... Losses>
struct LossList {
  // Of any loss: what holds the values of a loss's parameters has room for so many.
  static constexpr int kMaxParameters = std::max({0, MaxParameters<Losses>()...});

  // Calls visitor(loss) with the loss at `index`, made from `parameters`.
  template <typename Visitor>
  static void Visit(int index, const double* parameters, Visitor&& visitor) {
    int position = 0;
    ((position++ == index ? visitor(Losses(parameters)) : void()), ...);
  }

  // Calls visitor(Type<Loss>{}) for every loss, in order.
  template <typename Visitor>
  static void ForEach(Visitor&& visitor) {
    (visitor(Type<Losses>{}), ...);
  }
};

template <typename... First, typename... Second>
LossList<First..., Second...> Joined(LossList<First...>, LossList<Second...>);

// Those that take one prediction for each label.
using ElementLosses = LossList<    //
    SquaredError,                  //
    AbsoluteError,                 //
    Huber,                         //
    LogCosh,                       //
    AbsolutePercentageError,       //
    SquaredLogarithmicError,       //
    Poisson,                       //
    Pinball,                       //
    BinaryCrossentropy,            //
    BinaryCrossentropyFromLogits,  //
    BinaryFocalCrossentropy,       //
    BinaryFocalCrossentropyFromLogits>;

// Those that take several: channels.h.
using LossesWithChannels = LossList<  //
    GaussianNll,                      //
    LaplaceNll,                       //
    StudentTNll,                      //
    AsymmetricLaplaceNll,             //
    LognormalNll,                     //
    GammaNll,                         //
    BetaNll,                          //
    NegativeBinomialNll,              //
    PoissonNll,                       //
    BernoulliNll,                     //
    TweedieDeviance,                  //
    GaussianMixtureNll,               //
    LaplaceMixtureNll,                //
    AsymmetricLaplaceMixtureNll,      //
    PinballSet,                       //
    GaussianCrps>;

using AllLosses = decltype(Joined(ElementLosses{}, LossesWithChannels{}));

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_LOSSES_H_
