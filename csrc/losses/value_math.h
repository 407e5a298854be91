// What a loss formula may be made of.
//
// Design:
//   A. A formula is a template over its value type V. V is a SIMD register on the CPU; an XLA
//      operation or one number in a struct (kernels/cuda_math.h) can stand there as well, because
//      the vocabulary below carries XLA's names and is found by argument-dependent lookup.
//   B. The vocabulary: + - * /, Abs, Sign, Max, Min, Clamp(low, x, high), Select(predicate, a, b),
//      the predicates Eq, Lt, Le, Gt, Ge, and ScalarLike(x, number), the constant of x's type; and
//      Exp, Expm1, Log, Log1p, Logistic, Tanh, Pow, which kernels/simd_math.h has for registers.
//   C. No `if` and no `?:` on values: both arms of a Select are computed, so both must be finite
//      where the chosen one is.
//   D. NaN in, NaN out: comparisons with NaN are false, Sign, Clamp, Max and Min of NaN are NaN.
//      A diverged prediction must stay visible in loss and gradient.
//
// Everything lies in an unnamed namespace although this is a header: the file is compiled once per
// instruction set, and no inline function may be shared between those objects, or the linker could
// hand an AVX-512 copy to a machine that has none.
#ifndef MASKLSTM_CSRC_LOSSES_VALUE_MATH_H_
#define MASKLSTM_CSRC_LOSSES_VALUE_MATH_H_

#include "csrc/kernels/simd.h"

namespace masklstm {
namespace {

template <typename T>
Vec<T> operator+(Vec<T> a, Vec<T> b) {
  return {a.native + b.native};
}
template <typename T>
Vec<T> operator-(Vec<T> a, Vec<T> b) {
  return {a.native - b.native};
}
template <typename T>
Vec<T> operator*(Vec<T> a, Vec<T> b) {
  return {a.native * b.native};
}
template <typename T>
Vec<T> operator/(Vec<T> a, Vec<T> b) {
  return {a.native / b.native};
}

template <typename T>
Mask<T> Eq(Vec<T> a, Vec<T> b) {
  return {a.native == b.native};
}
template <typename T>
Mask<T> Lt(Vec<T> a, Vec<T> b) {
  return {a.native < b.native};
}
template <typename T>
Mask<T> Le(Vec<T> a, Vec<T> b) {
  return {a.native <= b.native};
}
template <typename T>
Mask<T> Gt(Vec<T> a, Vec<T> b) {
  return {a.native > b.native};
}
template <typename T>
Mask<T> Ge(Vec<T> a, Vec<T> b) {
  return {a.native >= b.native};
}

template <typename T>
Vec<T> Select(Mask<T> predicate, Vec<T> if_true, Vec<T> if_false) {
  return {predicate.native ? if_true.native : if_false.native};
}

template <typename T>
Vec<T> ScalarLike(Vec<T>, double value) {
  return Vec<T>::Broadcast(static_cast<T>(value));
}

template <typename T>
Vec<T> Abs(Vec<T> x) {
  return ClearSignBit(x);
}

template <typename T>
Vec<T> Max(Vec<T> a, Vec<T> b) {
  // A NaN in `a` fails both tests and is returned; a NaN in `b` is caught by Eq.
  return Select(Lt(a, b), b, Select(Eq(b, b), a, b));
}

template <typename T>
Vec<T> Min(Vec<T> a, Vec<T> b) {
  return Select(Gt(a, b), b, Select(Eq(b, b), a, b));
}

template <typename T>
Vec<T> Clamp(Vec<T> low, Vec<T> x, Vec<T> high) {
  return Select(Lt(x, low), low, Select(Gt(x, high), high, x));
}

template <typename T>
Vec<T> Sign(Vec<T> x) {
  const Vec<T> zero = ScalarLike(x, 0.0);
  return Select(Gt(x, zero), ScalarLike(x, 1.0), Select(Lt(x, zero), ScalarLike(x, -1.0), x));
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_VALUE_MATH_H_
