// The vocabulary of the loss formulas (csrc/losses/loss.h) on SIMD registers: arithmetic,
// comparisons and choices. Exp, Log and their relatives are in simd_math.h.
//
// Everything lies in an unnamed namespace although this is a header: the file is compiled once per
// instruction set, and no inline function may be shared between those objects, or the linker could
// hand an AVX-512 copy to a machine that has none.
#ifndef MASKLSTM_CSRC_CPU_SIMD_ARITHMETIC_H_
#define MASKLSTM_CSRC_CPU_SIMD_ARITHMETIC_H_

#include "csrc/cpu/simd.h"

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

#endif  // MASKLSTM_CSRC_CPU_SIMD_ARITHMETIC_H_
