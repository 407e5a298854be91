// Losses that take several predictions for one label: its channels, such as the mean and the scale
// of a distribution. They lie side by side along the last axis of the predictions.
//
//   struct SomeLoss {
//     static constexpr const char* kName;
//     static constexpr Parameter kParameters[];    // or NoParameters
//     static constexpr Domain kLabels;             // the distribution's support
//     static constexpr Channel kChannels[];
//     SomeLoss(const double* parameters);
//     int channels() const;                        // how many there are
//     template <typename V, typename P> V Value(V y_true, const P& p) const;
//     template <typename V, typename P, typename Out>
//     void Derivative(V y_true, const P& p, Out&& out) const;
//   };
//
// p[c] is the prediction in channel c, and out(c, value) takes the derivative by it, once for each
// channel. Memory of a channel may be that of its derivative: what is read after a call of `out`
// must belong to other channels.
//
// These formulas are computed in doubles, whatever the type of the predictions: terms of a
// likelihood cancel, and floats would leave few digits of what is left. There is no second
// derivative: it is the derivative of `Derivative` along a direction, by dual numbers (dual.h).
#ifndef MASKLSTM_CSRC_LOSSES_CHANNELS_H_
#define MASKLSTM_CSRC_LOSSES_CHANNELS_H_

#include <type_traits>

#include "csrc/losses/loss.h"

namespace masklstm {

// Of any loss: a mixture of 32 components with four channels each, or 128 quantiles.
inline constexpr int kMaxChannels = 128;

namespace {

enum class Repeats { kNo, kYes };

struct Channel {
  const char* name;
  Domain domain;
  // Whether it stands for several channels, one after the other: one for each component or level.
  Repeats repeats = Repeats::kNo;
};

// Whether a loss has this form; all others take one prediction for each label.
template <typename Loss, typename = void>
inline constexpr bool kHasChannels = false;
template <typename Loss>
inline constexpr bool kHasChannels<Loss, std::void_t<decltype(Loss::kChannels)>> = true;

template <typename V>
MASKLSTM_HOST_DEVICE V NanLike(V x) {
  return ScalarLike(x, Domain::kNan);
}

// x, or NaN where it is not above 0: a scale that has left its domain, or a label outside of the
// support, must stay visible in loss and gradient.
template <typename V>
MASKLSTM_HOST_DEVICE V Positive(V x) {
  return Select(Gt(x, ScalarLike(x, 0.0)), x, NanLike(x));
}

// x, or NaN where it is below 0.
template <typename V>
MASKLSTM_HOST_DEVICE V NotNegative(V x) {
  return Select(Ge(x, ScalarLike(x, 0.0)), x, NanLike(x));
}

// 1 / x, or NaN where x is not above 0. A multiplication with it takes a fraction of a division's
// time, and another unit of a double's last place.
template <typename V>
MASKLSTM_HOST_DEVICE V InverseOfPositive(V x) {
  return ScalarLike(x, 1.0) / Positive(x);
}

// A density but for a constant, exp(-constant) exp(exponent) factor: what mixtures add up.
template <typename V>
struct Density {
  V exponent;
  V factor;
};

inline constexpr double kHalfLogOfTwoPi = 0.91893853320467274178;
inline constexpr double kLogOfTwo = 0.69314718055994530942;

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_CHANNELS_H_
