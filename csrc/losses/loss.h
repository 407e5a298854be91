// What every loss has: a name, parameters, and three formulas.
//
//   struct SomeLoss {
//     static constexpr const char* kName;          // as users write it
//     static constexpr Parameter kParameters[];    // or NoParameters
//     static constexpr Domain kLabels;             // where the loss is meant to be used
//     static constexpr Domain kPredictions;
//     explicit SomeLoss(const double* parameters); // in the order of kParameters
//     template <typename V> MASKLSTM_HOST_DEVICE V Value(V y_true, V y_pred) const;
//     ... V Derivative(V y_true, V y_pred) const;        // by y_pred
//     ... V SecondDerivative(V y_true, V y_pred) const;  // by y_pred, twice
//   };
//
// Losses that take several predictions for one label have another form: channels.h.
//
// The caller decides which elements are valid and zeroes the result where they are not.
//
// What a formula may be made of:
//   A. A formula is a template over its value type V: a SIMD register on the CPU
//      (csrc/cpu/simd_arithmetic.h), one number in a struct on a GPU (csrc/cuda/math.h), or an XLA
//      operation. The vocabulary carries XLA's names and is found by argument-dependent lookup.
//   B. The vocabulary: + - * /, Abs, Sign, Max, Min, Clamp(low, x, high), Select(predicate, a, b),
//      the predicates Eq, Lt, Le, Gt, Ge, and ScalarLike(x, number), the constant of x's type; and
//      Exp, Expm1, Log, Log1p, Logistic, Tanh, Pow.
//   C. No `if` and no `?:` on values: both arms of a Select are computed, so both must be finite
//      where the chosen one is.
//   D. NaN in, NaN out: comparisons with NaN are false, Sign, Clamp, Max and Min of NaN are NaN
//      (under XLA before TensorFlow 2.20 the last three may not be: add NanIfDiverged to them).
//      A diverged prediction must stay visible in loss and gradient.
#ifndef MASKLSTM_CSRC_LOSSES_LOSS_H_
#define MASKLSTM_CSRC_LOSSES_LOSS_H_

#include <cstdint>
#include <limits>

#include "csrc/losses/host_device.h"

namespace masklstm {
namespace {

// The values that a parameter may take, or that labels or predictions are meant to have. NaN lies
// in no domain. Only parameters are checked: labels and predictions outside are computed with all
// the same.
struct Domain {
  double low;
  double high;
  bool includes_low;
  bool includes_high;
  bool is_whole = false;  // only whole numbers

  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

  static constexpr Domain All() { return {-kInfinity, kInfinity, false, false}; }
  static constexpr Domain Above(double low) { return {low, kInfinity, false, false}; }
  static constexpr Domain From(double low) { return {low, kInfinity, true, false}; }
  static constexpr Domain Between(double low, double high) { return {low, high, false, false}; }
  static constexpr Domain Within(double low, double high) { return {low, high, true, true}; }
  static constexpr Domain Integers(int low, int high) {
    return {static_cast<double>(low), static_cast<double>(high), true, true, true};
  }

  constexpr bool Contains(double value) const {
    return (includes_low ? low <= value : low < value) &&
           (includes_high ? value <= high : value < high) &&
           (!is_whole || value == static_cast<double>(static_cast<int64_t>(value)));
  }
};

struct Parameter {
  const char* name;
  double default_value;
  Domain domain;
  bool is_list = false;  // as many numbers as the user gives; NaN stands after the last one

  static constexpr bool kList = true;
};

// Parameters that several losses have. Python gives epsilon the value of keras.config.epsilon().
inline constexpr Parameter kEpsilonParameter = {"epsilon", 1e-7, Domain::Between(0.0, 0.5)};
inline constexpr Parameter kLabelSmoothingParameter = {"label_smoothing", 0.0,
                                                       Domain::Within(0.0, 1.0)};

// The label t pulled by `smoothing` towards 1/2.
template <typename V>
MASKLSTM_HOST_DEVICE V Smoothed(V t, double smoothing) {
  if (smoothing == 0.0) return t;
  return t * ScalarLike(t, 1.0 - smoothing) + ScalarLike(t, 0.5 * smoothing);
}

// 0, or NaN for a prediction that is not finite. Added where a prediction is clipped, so that a
// diverged one cannot hide there.
template <typename V>
MASKLSTM_HOST_DEVICE V NanIfDiverged(V y_pred) {
  return y_pred - y_pred;
}

// a - b where it may overflow although what is made of it does not: there half of it, and the
// factor 2 to multiply the result by; else the factor is 1.
template <typename V>
struct ScaledDifference {
  V value;
  V factor;
};

template <typename V>
MASKLSTM_HOST_DEVICE ScaledDifference<V> Difference(V a, V b) {
  const V difference = a - b;
  const V half = ScalarLike(a, 0.5);
  const auto overflows = Eq(Abs(difference), ScalarLike(a, Domain::kInfinity));
  return {Select(overflows, half * a - half * b, difference),
          Select(overflows, ScalarLike(a, 2.0), ScalarLike(a, 1.0))};
}

// Stands for an empty array of parameters, which C++ does not have.
struct NoParameters {
  constexpr const Parameter* begin() const { return nullptr; }
  constexpr const Parameter* end() const { return nullptr; }
  constexpr int size() const { return 0; }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_LOSS_H_
