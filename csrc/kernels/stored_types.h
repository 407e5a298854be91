// The types that labels and predictions are stored in, and how arrays of them become arrays of the
// computing type (float or double) and back.
//
// Design:
//   A. Conversions work on pieces that fit the first-level cache, so that no array is read twice
//      from memory and none is ever copied as a whole.
//   B. Half types are converted with integer arithmetic, by the same rules as the processor's own
//      instructions, which are used where there are any: to the nearest, ties to even, NaN stays
//      NaN. Half-type denormals keep their value even where float denormals are flushed to 0.
//   C. Missing labels are found in the stored type, before any rounding: 16777217 as an int32 is
//      another label than the sentinel 16777216, although both become the same float.
#ifndef MASKLSTM_CSRC_KERNELS_STORED_TYPES_H_
#define MASKLSTM_CSRC_KERNELS_STORED_TYPES_H_

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "csrc/kernels/masked_loss.h"
#include "csrc/kernels/simd.h"

namespace masklstm {
namespace {

struct Bool {
  uint8_t byte;  // any but 0 is true
};
struct Float16 {
  uint16_t bits;
};
struct Bfloat16 {
  uint16_t bits;
};

template <typename To, typename From>
To BitCast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

// Widened: a type of C++ that holds every value of the stored type.
template <typename Number>
Number Widen(Number x) {
  return x;
}

inline bool Widen(Bool x) { return x.byte != 0; }

inline float Widen(Bfloat16 x) { return BitCast<float>(static_cast<uint32_t>(x.bits) << 16); }

inline float Widen(Float16 x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16;
  const uint32_t magnitude = x.bits & 0x7fffu;
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  // Infinity and NaN have an exponent further up; NaN becomes a quiet one.
  const uint32_t special = (normal + (112u << 23)) | (magnitude > 0x7c00u ? 0x400000u : 0u);
  const uint32_t denormal =
      BitCast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t bits = magnitude >= 0x7c00u ? special : magnitude < 0x400u ? denormal : normal;
  return BitCast<float>(bits | sign);
}

template <typename Stored>
Stored Narrow(float x);

template <>
inline Bfloat16 Narrow<Bfloat16>(float x) {
  const uint32_t bits = BitCast<uint32_t>(x);
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const uint32_t quiet_nan = bits | 0x400000u;
  return {static_cast<uint16_t>(((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded) >> 16)};
}

template <>
inline Float16 Narrow<Float16>(float x) {
  const uint32_t bits = BitCast<uint32_t>(x);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  // The unit in the last place of 1/2 is the smallest denormal of Float16: the addition rounds.
  const float small = BitCast<float>(magnitude < 0x38800000u ? magnitude : 0u);
  const uint32_t denormal = BitCast<uint32_t>(small + 0.5f) - BitCast<uint32_t>(0.5f);
  uint32_t result = magnitude < 0x38800000u ? denormal : normal;
  result = magnitude >= 0x477ff000u ? 0x7c00u : result;  // rounds beyond the largest number
  result = magnitude > 0x7f800000u ? 0x7e00u | ((magnitude >> 13) & 0x3ffu) : result;
  return {static_cast<uint16_t>(result | sign)};
}

// Which stored labels are missing.
template <typename Stored>
class StoredMissing {
  using Number = decltype(Widen(Stored{}));

 public:
  explicit StoredMissing(const Missing& missing) {
    if constexpr (std::is_floating_point_v<Number>) {
      limit_ = missing.nonfinite ? std::numeric_limits<Number>::max()
                                 : std::numeric_limits<Number>::infinity();
      sentinel_ = RoundedSentinel(missing.sentinel);
      has_sentinel_ = sentinel_ == sentinel_;
    } else {
      const double lowest = static_cast<double>(std::numeric_limits<Number>::lowest());
      // The largest number itself may not be a double; the one after it is.
      const double end = 2.0 * static_cast<double>(std::numeric_limits<Number>::max() / 2 + 1);
      if (missing.sentinel >= lowest && missing.sentinel < end) {
        sentinel_ = static_cast<Number>(missing.sentinel);
        has_sentinel_ = static_cast<double>(sentinel_) == missing.sentinel;
      }
    }
  }

  bool IsValid(Number y_true) const {
    if constexpr (std::is_floating_point_v<Number>) {
      // False for NaN, since every comparison with it is.
      return (y_true < 0 ? -y_true : y_true) <= limit_ && y_true != sentinel_;
    } else {
      return !has_sentinel_ || y_true != sentinel_;
    }
  }

  Number limit() const { return limit_; }  // of the floating-point types
  Number sentinel() const { return sentinel_; }
  bool has_sentinel() const { return has_sentinel_; }

 private:
  // The nearest number of the stored type. A finite sentinel beyond the type's range is no label's:
  // NaN, which is missing anyway, takes its place.
  static Number RoundedSentinel(double sentinel) {
    const double magnitude = __builtin_fabs(sentinel);
    const bool is_finite = magnitude < std::numeric_limits<double>::infinity();
    Number rounded = std::numeric_limits<Number>::quiet_NaN();
    if (!is_finite || magnitude <= static_cast<double>(std::numeric_limits<Number>::max())) {
      rounded = static_cast<Number>(sentinel);
      if constexpr (!std::is_same_v<Stored, Number>) rounded = Widen(Narrow<Stored>(rounded));
    }
    const bool overflowed = is_finite && __builtin_isinf(rounded);
    return overflowed ? std::numeric_limits<Number>::quiet_NaN() : rounded;
  }

  Number limit_ = 0;
  Number sentinel_ = 0;
  bool has_sentinel_ = false;
};

// Whether each number of the stored type is one of T and missing labels can still be told from the
// others in T: then nothing is to be decided before the conversion.
template <typename Stored, typename T>
inline constexpr bool kWidensExactly = std::is_floating_point_v<decltype(Widen(Stored{}))> &&
                                       sizeof(decltype(Widen(Stored{}))) <= sizeof(T);

template <typename T>
const T* Offset(const void* array, int64_t index) {
  return static_cast<const T*>(array) + index;
}

template <typename T>
T Read(const void* array, int64_t index) {
  T value;
  std::memcpy(&value, Offset<T>(array, index), sizeof(T));  // of any alignment
  return value;
}

// out[i] = array[begin + i], in the computing type T.
//
// Halves are loaded two registers' worth at a time: half as many loads are in flight for the same
// bytes, without which some processors take twice as long to fetch them from memory.
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

// Calls visitor(Stored{}) with the type that `type` names.
template <typename Visitor>
void VisitType(DataType type, Visitor&& visitor) {
  switch (type) {
    case DataType::kBool:
      return visitor(Bool{});
    case DataType::kInt8:
      return visitor(int8_t{});
    case DataType::kInt16:
      return visitor(int16_t{});
    case DataType::kInt32:
      return visitor(int32_t{});
    case DataType::kInt64:
      return visitor(int64_t{});
    case DataType::kUint8:
      return visitor(uint8_t{});
    case DataType::kUint16:
      return visitor(uint16_t{});
    case DataType::kUint32:
      return visitor(uint32_t{});
    case DataType::kUint64:
      return visitor(uint64_t{});
    case DataType::kFloat16:
      return visitor(Float16{});
    case DataType::kBfloat16:
      return visitor(Bfloat16{});
    case DataType::kFloat32:
      return visitor(float{});
    case DataType::kFloat64:
      return visitor(double{});
  }
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_KERNELS_STORED_TYPES_H_
