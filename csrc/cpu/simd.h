// One SIMD register of the instruction set that this file is compiled for.
//
// GCC and Clang turn arithmetic on `vector_size` types of the *native* width into single
// instructions. A wider type is split into scalars and loses a factor of twenty, a narrower one
// wastes lanes; so the width comes from the compiler's target flags.
#ifndef MASKLSTM_CSRC_CPU_SIMD_H_
#define MASKLSTM_CSRC_CPU_SIMD_H_

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifdef __FAST_MATH__
#error "Fast math folds the NaN tests away that this library is made of. Build without it."
#endif

namespace masklstm {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <typename T>
struct IntegerOfSize;
template <>
struct IntegerOfSize<float> {
  using Type = int32_t;
};
template <>
struct IntegerOfSize<double> {
  using Type = int64_t;
};

template <typename T>
struct Vec {
  typedef T Native __attribute__((vector_size(kVectorBytes)));
  static constexpr int kLanes = kVectorBytes / sizeof(T);

  Native native;

  // memcpy states that the address may have any alignment; it compiles to one unaligned move.
  static Vec Load(const T* address) {
    Vec result;
    std::memcpy(&result.native, address, kVectorBytes);
    // Keeps the compiler from reading the memory again for each use: that costs where the address
    // is not aligned.
#if defined(__AVX512F__)
    asm("" : "+v"(result.native));
#elif defined(__SSE2__)
    asm("" : "+x"(result.native));
#endif
    return result;
  }
  void Store(T* address) const { std::memcpy(address, &native, kVectorBytes); }

  // Writes past the caches. `address` must be a multiple of kVectorBytes; call StreamFence() before
  // another thread may read.
  void Stream(T* address) const {
#if defined(__AVX512F__)
    _mm512_stream_si512((__m512i*)address, (__m512i)native);
#elif defined(__AVX2__)
    _mm256_stream_si256((__m256i*)address, (__m256i)native);
#elif defined(__SSE2__)
    _mm_stream_si128((__m128i*)address, (__m128i)native);
#else
    Store(address);
#endif
  }

  static Vec Broadcast(T value) { return {value - Native{}}; }
};

inline void StreamFence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// All bits set where true, as SIMD comparisons give it.
template <typename T>
struct Mask {
  using Integer = typename IntegerOfSize<T>::Type;
  typedef Integer Native __attribute__((vector_size(kVectorBytes)));

  Native native;

  friend Mask operator&(Mask a, Mask b) { return {a.native & b.native}; }
  friend Mask operator|(Mask a, Mask b) { return {a.native | b.native}; }
};

// Whether any lane is true.
template <typename T>
bool Any(Mask<T> mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi64_mask((__m512i)mask.native, (__m512i)mask.native) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256((__m256i)mask.native, (__m256i)mask.native);
#elif defined(__SSE2__)
  return _mm_movemask_epi8((__m128i)mask.native) != 0;
#else
  for (int lane = 0; lane < Vec<T>::kLanes; ++lane) {
    if (mask.native[lane] != 0) return true;
  }
  return false;
#endif
}

template <typename T>
Vec<T> ClearSignBit(Vec<T> x) {
  using Bits = typename Mask<T>::Native;
  using Integer = typename Mask<T>::Integer;
  constexpr Integer kAllButSign = static_cast<Integer>(~uint64_t{0} >> (65 - 8 * sizeof(T)));
  return {(typename Vec<T>::Native)((Bits)x.native & kAllButSign)};
}

// The lanes of a vector as doubles: part 0 holds the first ones.
template <typename T>
struct Widened;

template <>
struct Widened<double> {
  static constexpr int kParts = 1;
  Vec<double> part[kParts];
  explicit Widened(Vec<double> x) : part{x} {}
};

template <>
struct Widened<float> {
  static constexpr int kParts = 2;
  Vec<double> part[kParts];
  explicit Widened(Vec<float> x) {
    // The portable __builtin_convertvector costs three times the instructions under gcc 12.
#if defined(__AVX512F__)
    part[0].native = _mm512_cvtps_pd(_mm512_castps512_ps256(x.native));
    part[1].native = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.native, 1));
#elif defined(__AVX2__)
    part[0].native = _mm256_cvtps_pd(_mm256_castps256_ps128(x.native));
    part[1].native = _mm256_cvtps_pd(_mm256_extractf128_ps(x.native, 1));
#elif defined(__SSE2__)
    part[0].native = _mm_cvtps_pd(x.native);
    part[1].native = _mm_cvtps_pd(_mm_movehl_ps(x.native, x.native));
#else
    typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
    Half half[2];
    std::memcpy(half, &x.native, kVectorBytes);
    part[0].native = __builtin_convertvector(half[0], Vec<double>::Native);
    part[1].native = __builtin_convertvector(half[1], Vec<double>::Native);
#endif
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CPU_SIMD_H_
