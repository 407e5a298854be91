// Numbers with a tangent: a formula of csrc/losses on them computes its derivative along a
// direction as well. The second derivatives of losses with channels come from their first ones so.
#ifndef MASKLSTM_CSRC_LOSSES_DUAL_H_
#define MASKLSTM_CSRC_LOSSES_DUAL_H_

#include "csrc/losses/host_device.h"

namespace masklstm {
namespace {

// The vocabulary of loss.h, as far as losses with channels use it.
template <typename V>
struct Dual {
  V value;
  V tangent;
};

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> operator+(Dual<V> a, Dual<V> b) {
  return {a.value + b.value, a.tangent + b.tangent};
}
template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> operator-(Dual<V> a, Dual<V> b) {
  return {a.value - b.value, a.tangent - b.tangent};
}
template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> operator*(Dual<V> a, Dual<V> b) {
  return {a.value * b.value, a.tangent * b.value + a.value * b.tangent};
}
template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> operator/(Dual<V> a, Dual<V> b) {
  const V quotient = a.value / b.value;
  return {quotient, (a.tangent - quotient * b.tangent) / b.value};
}

template <typename V>
MASKLSTM_HOST_DEVICE auto Eq(Dual<V> a, Dual<V> b) {
  return Eq(a.value, b.value);
}
template <typename V>
MASKLSTM_HOST_DEVICE auto Lt(Dual<V> a, Dual<V> b) {
  return Lt(a.value, b.value);
}
template <typename V>
MASKLSTM_HOST_DEVICE auto Gt(Dual<V> a, Dual<V> b) {
  return Gt(a.value, b.value);
}

template <typename V>
MASKLSTM_HOST_DEVICE auto Ge(Dual<V> a, Dual<V> b) {
  return Ge(a.value, b.value);
}

template <typename Predicate, typename V>
MASKLSTM_HOST_DEVICE Dual<V> Select(Predicate predicate, Dual<V> a, Dual<V> b) {
  return {Select(predicate, a.value, b.value), Select(predicate, a.tangent, b.tangent)};
}

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> ScalarLike(Dual<V> x, double value) {
  return {ScalarLike(x.value, value), ScalarLike(x.value, 0.0)};
}

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> Abs(Dual<V> x) {
  return {Abs(x.value), Sign(x.value) * x.tangent};
}

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> Sign(Dual<V> x) {
  return {Sign(x.value), ScalarLike(x.value, 0.0)};
}

// NaN if either is.
template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> Max(Dual<V> a, Dual<V> b) {
  return {Max(a.value, b.value), Select(Lt(a.value, b.value), b.tangent, a.tangent)};
}

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> Min(Dual<V> a, Dual<V> b) {
  return {Min(a.value, b.value), Select(Gt(a.value, b.value), b.tangent, a.tangent)};
}

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> Exp(Dual<V> x) {
  const V value = Exp(x.value);
  return {value, value * x.tangent};
}

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> Log(Dual<V> x) {
  return {Log(x.value), x.tangent / x.value};
}

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> Log1p(Dual<V> x) {
  return {Log1p(x.value), x.tangent / (ScalarLike(x.value, 1.0) + x.value)};
}

template <typename V>
MASKLSTM_HOST_DEVICE Dual<V> Logistic(Dual<V> x) {
  const V value = Logistic(x.value);
  return {value, value * Logistic(ScalarLike(x.value, 0.0) - x.value) * x.tangent};
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_DUAL_H_
