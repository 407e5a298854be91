// The vocabulary of csrc/losses/loss.h for one number, with CUDA's mathematical functions.
//
// A number stands in a struct, since the formulas' functions are found by the namespace of their
// arguments' type, and float has none.
#ifndef MASKLSTM_CSRC_CUDA_MATH_H_
#define MASKLSTM_CSRC_CUDA_MATH_H_

#include <cmath>

#include "csrc/losses/host_device.h"

#if defined(__FAST_MATH__) || defined(__USE_FAST_MATH__)
#error "Fast math folds the NaN tests away that this library is made of. Build without it."
#endif

namespace masklstm {
namespace {

template <typename T>
struct Scalar {
  T value;
};

template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> operator+(Scalar<T> a, Scalar<T> b) {
  return {a.value + b.value};
}
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> operator-(Scalar<T> a, Scalar<T> b) {
  return {a.value - b.value};
}
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> operator*(Scalar<T> a, Scalar<T> b) {
  return {a.value * b.value};
}
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> operator/(Scalar<T> a, Scalar<T> b) {
  return {a.value / b.value};
}

template <typename T>
MASKLSTM_HOST_DEVICE bool Eq(Scalar<T> a, Scalar<T> b) {
  return a.value == b.value;
}
template <typename T>
MASKLSTM_HOST_DEVICE bool Lt(Scalar<T> a, Scalar<T> b) {
  return a.value < b.value;
}
template <typename T>
MASKLSTM_HOST_DEVICE bool Le(Scalar<T> a, Scalar<T> b) {
  return a.value <= b.value;
}
template <typename T>
MASKLSTM_HOST_DEVICE bool Gt(Scalar<T> a, Scalar<T> b) {
  return a.value > b.value;
}
template <typename T>
MASKLSTM_HOST_DEVICE bool Ge(Scalar<T> a, Scalar<T> b) {
  return a.value >= b.value;
}

template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Select(bool predicate, Scalar<T> if_true, Scalar<T> if_false) {
  return predicate ? if_true : if_false;
}

template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> ScalarLike(Scalar<T>, double value) {
  return {static_cast<T>(value)};
}

template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Abs(Scalar<T> x) {
  return {std::fabs(x.value)};
}

// NaN if either is.
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Max(Scalar<T> a, Scalar<T> b) {
  return Lt(a, b) || !Eq(b, b) ? b : a;
}
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Min(Scalar<T> a, Scalar<T> b) {
  return Gt(a, b) || !Eq(b, b) ? b : a;
}

template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Clamp(Scalar<T> low, Scalar<T> x, Scalar<T> high) {
  return Lt(x, low) ? low : Gt(x, high) ? high : x;
}

template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Sign(Scalar<T> x) {
  return x.value > 0 ? Scalar<T>{1} : x.value < 0 ? Scalar<T>{-1} : x;
}

template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Exp(Scalar<T> x) {
  return {std::exp(x.value)};
}
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Expm1(Scalar<T> x) {
  return {std::expm1(x.value)};
}
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Log(Scalar<T> x) {
  return {std::log(x.value)};
}
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Log1p(Scalar<T> x) {
  return {std::log1p(x.value)};
}
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Tanh(Scalar<T> x) {
  return {std::tanh(x.value)};
}

// base^exponent for base >= 0.
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Pow(Scalar<T> base, Scalar<T> exponent) {
  return {std::pow(base.value, exponent.value)};
}

// 1 / (1 + exp(-x)), by an exponential that cannot overflow.
template <typename T>
MASKLSTM_HOST_DEVICE Scalar<T> Logistic(Scalar<T> x) {
  const Scalar<T> one{1};
  const Scalar<T> e = Exp(Scalar<T>{-std::fabs(x.value)});
  return Select(x.value < 0, e, one) / (one + e);
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_MATH_H_
