// Arrays of the stored types as arrays of the computing type, and back.
//
// They work on pieces that fit the first-level cache, so that no array is read twice from memory
// and none is ever copied as a whole. The halves are converted by the processor's own instructions
// where there are any: by the same rules as Widen and Narrow.
#ifndef MASKLSTM_CSRC_CPU_STORED_ARRAYS_H_
#define MASKLSTM_CSRC_CPU_STORED_ARRAYS_H_

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "csrc/core/missing.h"
#include "csrc/core/stored_types.h"
#include "csrc/cpu/simd.h"

namespace masklstm {
namespace {

// Of a number, in bytes.
int64_t SizeOf(DataType type) {
  int64_t size = 0;
  VisitType(type, [&](auto stored) { size = sizeof(stored); });
  return size;
}

// out[i] = array[begin + i], in the computing type T.
//
// Halves are loaded two registers' worth at a time, whole lines of the cache: some processors fetch
// them from memory more slowly by smaller loads.
template <typename Stored, typename T>
void WidenArray(const void* array, int64_t begin, int64_t count, T* out) {
  int64_t i = 0;
  if constexpr (std::is_same_v<Stored, Float16> && std::is_same_v<T, float>) {
#if defined(__AVX512F__)
    for (; i + 32 <= count; i += 32) {
      const __m512i halves = _mm512_loadu_si512(Offset<Float16>(array, begin + i));
      _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm512_castsi512_si256(halves)));
      _mm512_storeu_ps(out + i + 16, _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1)));
    }
#elif defined(__F16C__)
    for (; i + 16 <= count; i += 16) {
      const auto* address = reinterpret_cast<const __m256i*>(Offset<Float16>(array, begin + i));
      const __m256i halves = _mm256_loadu_si256(address);
      _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm256_castsi256_si128(halves)));
      _mm256_storeu_ps(out + i + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1)));
    }
#endif
  }
  for (; i < count; ++i) out[i] = static_cast<T>(Widen(Read<Stored>(array, begin + i)));
}

// The same for labels, with NaN for those that are missing.
template <typename Stored, typename T>
void WidenLabels(const void* array, int64_t begin, int64_t count, const Missing& missing, T* out) {
  const StoredMissing<Stored> is_missing(missing);
  for (int64_t i = 0; i < count; ++i) {
    const auto label = Widen(Read<Stored>(array, begin + i));
    const T number = static_cast<T>(label);
    out[i] = is_missing.IsValid(label) ? number : std::numeric_limits<T>::quiet_NaN();
  }
}

#if defined(__AVX512F__)
template <typename Stored>
__m256i Narrow(__m512 x);

template <>
inline __m256i Narrow<Float16>(__m512 x) {
  return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
}

template <>
inline __m256i Narrow<Bfloat16>(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i quiet_nan = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i result = _mm512_mask_mov_epi32(rounded, is_nan, quiet_nan);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(result, 16));
}
#endif

// array[begin + i] = values[i], rounded to the stored type. `streams`: past the caches, where there
// are instructions for it; the place must be a multiple of kVectorBytes, and StreamFence() follow.
template <typename Stored>
void NarrowArray(const float* values, int64_t count, bool streams, void* array, int64_t begin) {
  char* const bytes = static_cast<char*>(array) + begin * sizeof(Stored);
  int64_t i = 0;
#if defined(__AVX512F__)
  for (; i + 16 <= count; i += 16) {
    const __m256i halves = Narrow<Stored>(_mm512_loadu_ps(values + i));
    auto* const address = reinterpret_cast<__m256i*>(bytes + i * sizeof(Stored));
    if (streams) {
      _mm256_stream_si256(address, halves);
    } else {
      _mm256_storeu_si256(address, halves);
    }
  }
#elif defined(__F16C__)
  if constexpr (std::is_same_v<Stored, Float16>) {
    for (; i + 8 <= count; i += 8) {
      const __m128i halves =
          _mm256_cvtps_ph(_mm256_loadu_ps(values + i), _MM_FROUND_TO_NEAREST_INT);
      _mm_storeu_si128((__m128i*)(bytes + i * sizeof(Stored)), halves);
    }
  }
#endif
  static_cast<void>(streams);
  for (; i < count; ++i) {
    const Stored stored = Narrow<Stored>(values[i]);
    std::memcpy(bytes + i * sizeof(Stored), &stored, sizeof(Stored));
  }
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CPU_STORED_ARRAYS_H_
