// The activations of recurrent cells on SIMD registers.
//
// They take about two thirds of the time of those in csrc/cpu/simd_math.h, which a small layer
// notices: arguments are cut off where the result does not change any more, so that no case of an
// exponential needs an answer of its own. Errors are below 3 units in the last place, NaN stays
// NaN, and a logistic below the smallest normal number is 0.
#ifndef MASKLSTM_CSRC_RECURRENT_ACTIVATIONS_H_
#define MASKLSTM_CSRC_RECURRENT_ACTIVATIONS_H_

#include "csrc/cpu/simd_math.h"

namespace masklstm {
namespace {

template <typename T>
struct ActivationRange;
template <>
struct ActivationRange<float> {
  static constexpr double kLogistic = 87.0;
  static constexpr double kTanh = 20.0;  // of twice the argument
};
template <>
struct ActivationRange<double> {
  static constexpr double kLogistic = 708.0;
  static constexpr double kTanh = 40.0;
};

// A NaN passes both comparisons.
template <typename T>
Vec<T> CutOff(Vec<T> x, double most) {
  const Vec<T> high = ScalarLike(x, most), low = ScalarLike(x, -most);
  const Vec<T> below = Select(Gt(x, high), high, x);
  return Select(Lt(below, low), low, below);
}

// 1 / (1 + exp(-x))
template <typename T>
Vec<T> FastLogistic(Vec<T> x) {
  const Vec<T> zero = ScalarLike(x, 0.0), one = ScalarLike(x, 1.0);
  const ExpParts<T> e = SplitExp(zero - CutOff(x, ActivationRange<T>::kLogistic));
  return one / (one + (e.power + e.power * e.fraction));
}

// (e - 1) / (e + 1) with e = exp(2 x), from e - 1, which is right near 0 as well.
template <typename T>
Vec<T> FastTanh(Vec<T> x) {
  const Vec<T> one = ScalarLike(x, 1.0), two = ScalarLike(x, 2.0);
  const ExpParts<T> e = SplitExp(CutOff(x + x, ActivationRange<T>::kTanh));
  const Vec<T> e_minus_1 = e.power * e.fraction + (e.power - one);
  return e_minus_1 / (e_minus_1 + two);
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_RECURRENT_ACTIVATIONS_H_
