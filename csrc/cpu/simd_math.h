// Exp, Log and their relatives on SIMD registers, under XLA's names.
//
// Only additions, multiplications, divisions and bit operations: the results are the same on every
// instruction set. Errors, measured over the whole range by tests/ops/test_accuracy.py, are below 3
// units in the last place. Denormal results and arguments count as 0, as on TensorFlow's own
// threads.
#ifndef MASKLSTM_CSRC_CPU_SIMD_MATH_H_
#define MASKLSTM_CSRC_CPU_SIMD_MATH_H_

#include <limits>
#include <type_traits>

#include "csrc/cpu/simd_arithmetic.h"

namespace masklstm {
namespace {

// The parts of a floating-point type, and how many terms the series below need for it.
template <typename T>
struct Format;

template <>
struct Format<float> {
  static constexpr int kMantissaBits = 23;
  static constexpr int kExpTerms = 8;
  static constexpr int kLogTerms = 5;
  // ln 2 in two parts; the first has few bits, so that its products with exponents are exact.
  static constexpr double kLn2High = 0x1.62e4p-1;
  static constexpr double kLn2Low = 0x1.7f7d1cf79abcap-20;
  static constexpr double kExpUnderflow = -87.3;  // the result is below the smallest normal number
  static constexpr double kExpOverflow = 88.7;
};

template <>
struct Format<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr int kExpTerms = 14;
  static constexpr int kLogTerms = 11;
  static constexpr double kLn2High = 0x1.62e42feep-1;
  static constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kExpUnderflow = -708.3;
  static constexpr double kExpOverflow = 709.7;
};

template <typename T>
typename Mask<T>::Native BitsOf(Vec<T> x) {
  return (typename Mask<T>::Native)x.native;
}

template <typename T>
Vec<T> FromBits(typename Mask<T>::Native bits) {
  return {(typename Vec<T>::Native)bits};
}

// Arithmetic on bits wraps around, in lanes that are thrown away afterwards: integers without a
// sign may. Bits stay signed for the shift that keeps an exponent's sign.
template <typename T>
struct BitMath {
  using Signed = typename Mask<T>::Native;
  typedef std::make_unsigned_t<typename Mask<T>::Integer> Native
      __attribute__((vector_size(kVectorBytes)));

  static Signed Add(Signed a, Signed b) { return (Signed)((Native)a + (Native)b); }
  static Signed Subtract(Signed a, Signed b) { return (Signed)((Native)a - (Native)b); }
  static Signed ShiftToExponent(Signed a) {
    return (Signed)((Native)a << Format<T>::kMantissaBits);
  }
};

// The constant that pushes the fraction of a number of moderate size out of its mantissa, and so
// leaves the nearest integer in the lowest bits.
template <typename T>
constexpr double kRounding = 1.5 * static_cast<double>(uint64_t{1} << Format<T>::kMantissaBits);

// exp(x) = power * (1 + fraction), with `power` a power of two.
template <typename T>
struct ExpParts {
  Vec<T> power;
  Vec<T> fraction;
};

template <typename T>
ExpParts<T> SplitExp(Vec<T> x) {
  using F = Format<T>;
  const Vec<T> rounding = ScalarLike(x, kRounding<T>);
  const Vec<T> shifted = x * ScalarLike(x, 1.4426950408889634074) + rounding;  // 1 / ln 2
  const Vec<T> exponent = shifted - rounding;
  const Vec<T> rest =
      (x - exponent * ScalarLike(x, F::kLn2High)) - exponent * ScalarLike(x, F::kLn2Low);
  // The Taylor series of exp(rest) - 1; |rest| <= ln 2 / 2.
  double factorial[F::kExpTerms + 1] = {1.0};
  for (int n = 1; n <= F::kExpTerms; ++n) factorial[n] = factorial[n - 1] * n;
  Vec<T> series = ScalarLike(x, 1.0 / factorial[F::kExpTerms]);
#pragma GCC unroll 16
  for (int n = F::kExpTerms - 1; n >= 2; --n) {
    series = series * rest + ScalarLike(x, 1.0 / factorial[n]);
  }
  const Vec<T> fraction = rest + rest * rest * series;
  const auto power_bits =
      BitMath<T>::Add(BitMath<T>::ShiftToExponent(BitsOf(shifted)), BitsOf(ScalarLike(x, 1.0)));
  return {FromBits<T>(power_bits), fraction};
}

template <typename T>
Vec<T> Exp(Vec<T> x) {
  using F = Format<T>;
  const ExpParts<T> parts = SplitExp(x);
  const Vec<T> inside = parts.power + parts.power * parts.fraction;
  const Vec<T> infinity = ScalarLike(x, std::numeric_limits<T>::infinity());
  const Vec<T> low = Select(Lt(x, ScalarLike(x, F::kExpUnderflow)), ScalarLike(x, 0.0), inside);
  return Select(Eq(x, x), Select(Gt(x, ScalarLike(x, F::kExpOverflow)), infinity, low), x);
}

// exp(x) - 1 for x <= 0, without cancellation near 0.
template <typename T>
Vec<T> Expm1(Vec<T> x) {
  const Vec<T> one = ScalarLike(x, 1.0);
  const ExpParts<T> parts = SplitExp(x);
  const Vec<T> inside = parts.power * parts.fraction + (parts.power - one);
  const Vec<T> low =
      Select(Lt(x, ScalarLike(x, Format<T>::kExpUnderflow)), ScalarLike(x, -1.0), inside);
  return Select(Eq(x, x), low, x);
}

template <typename T>
Vec<T> Log(Vec<T> x) {
  using F = Format<T>;
  const Vec<T> one = ScalarLike(x, 1.0);
  const Vec<T> zero = ScalarLike(x, 0.0);
  // x = 2^exponent m with m in [sqrt(1/2), sqrt(2)). The bits of positive numbers are in their
  // order, so subtracting those of sqrt(1/2) leaves the exponent on top.
  const auto sqrt_half = BitsOf(ScalarLike(x, 0.70710678118654752440));
  const auto above = BitMath<T>::Subtract(BitsOf(x), sqrt_half);
  const auto exponent_bits = above >> F::kMantissaBits;  // arithmetic: of either sign
  const auto mantissa_bits =
      BitMath<T>::Subtract(BitsOf(x), BitMath<T>::ShiftToExponent(exponent_bits));
  const Vec<T> m = FromBits<T>(mantissa_bits);
  const Vec<T> rounding = ScalarLike(x, kRounding<T>);
  const Vec<T> exponent = FromBits<T>(BitMath<T>::Add(BitsOf(rounding), exponent_bits)) - rounding;
  // log m = 2 atanh(s) = 2 s + 2 s^3 / 3 + ... with s = (m - 1) / (m + 1), written as f - s (f -
  // r), f = m - 1, in which the leading term is exact.
  const Vec<T> f = m - one;
  const Vec<T> s = f / (m + one);
  const Vec<T> square = s * s;
  Vec<T> series = ScalarLike(x, 2.0 / (2 * F::kLogTerms + 1));
#pragma GCC unroll 16
  for (int n = F::kLogTerms - 1; n >= 1; --n) {
    series = series * square + ScalarLike(x, 2.0 / (2 * n + 1));
  }
  const Vec<T> log_m = f - s * (f - square * series);
  const Vec<T> inside =
      exponent * ScalarLike(x, F::kLn2High) + (log_m + exponent * ScalarLike(x, F::kLn2Low));
  const Vec<T> infinity = ScalarLike(x, std::numeric_limits<T>::infinity());
  const Vec<T> small =
      Select(Lt(x, ScalarLike(x, std::numeric_limits<T>::min())), zero - infinity, inside);
  const Vec<T> nan = zero / zero;
  const Vec<T> positive = Select(Lt(x, zero), nan, Select(Eq(x, infinity), infinity, small));
  return Select(Eq(x, x), positive, x);
}

// log(1 + x). With u = 1 + x rounded, log(u) x / (u - 1) makes good for the rounding (W. Kahan).
template <typename T>
Vec<T> Log1p(Vec<T> x) {
  const Vec<T> one = ScalarLike(x, 1.0);
  const Vec<T> u = one + x;
  const Vec<T> infinity = ScalarLike(x, std::numeric_limits<T>::infinity());
  const Vec<T> log_u = Log(u);
  const Vec<T> corrected = Select(Eq(u, infinity), log_u, log_u * (x / (u - one)));
  return Select(Eq(u, one), x, Select(Eq(u, ScalarLike(x, 0.0)), log_u, corrected));
}

// 1 / (1 + exp(-x))
template <typename T>
Vec<T> Logistic(Vec<T> x) {
  const Vec<T> one = ScalarLike(x, 1.0);
  const Vec<T> e = Exp(ScalarLike(x, 0.0) - Abs(x));
  return Select(Lt(x, ScalarLike(x, 0.0)), e, one) / (one + e);
}

template <typename T>
Vec<T> Tanh(Vec<T> x) {
  const Vec<T> e = Expm1(ScalarLike(x, -2.0) * Abs(x));  // of -1 .. 0
  const Vec<T> magnitude = (ScalarLike(x, 0.0) - e) / (ScalarLike(x, 2.0) + e);
  return Select(Lt(x, ScalarLike(x, 0.0)), ScalarLike(x, 0.0) - magnitude, magnitude);
}

// base^exponent for base >= 0.
template <typename T>
Vec<T> Pow(Vec<T> base, Vec<T> exponent) {
  return Exp(exponent * Log(base));
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CPU_SIMD_MATH_H_
