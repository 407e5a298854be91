// The types that labels and predictions are stored in, and how their numbers become numbers of the
// computing type (float or double) and back.
//
// Design:
//   A. Half types are converted with integer arithmetic, by the same rules as the processor's own
//      instructions, which are used where there are any: to the nearest, ties to even, NaN stays
//      NaN. Half-type denormals keep their value even where float denormals are flushed to 0.
//      A GPU has the instructions for Float16; by integers its arithmetic, not its memory, would
//      set the speed.
//   B. Missing labels are found in the stored type, before any rounding: 16777217 as an int32 is
//      another label than the sentinel 16777216, although both become the same float.
#ifndef MASKLSTM_CSRC_CORE_STORED_TYPES_H_
#define MASKLSTM_CSRC_CORE_STORED_TYPES_H_

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "csrc/core/data_types.h"
#include "csrc/core/missing.h"
#include "csrc/losses/host_device.h"

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
MASKLSTM_HOST_DEVICE To BitCast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}

// Widened: a type of C++ that holds every value of the stored type.
template <typename Number>
MASKLSTM_HOST_DEVICE Number Widen(Number x) {
  return x;
}

MASKLSTM_HOST_DEVICE inline bool Widen(Bool x) { return x.byte != 0; }

MASKLSTM_HOST_DEVICE inline float Widen(Bfloat16 x) {
  return BitCast<float>(static_cast<uint32_t>(x.bits) << 16);
}

MASKLSTM_HOST_DEVICE inline float Widen(Float16 x) {
#if defined(__CUDA_ARCH__)
  float widened;
  asm("cvt.f32.f16 %0, %1;" : "=f"(widened) : "h"(x.bits));
  return widened;
#else
  const uint32_t sign = (x.bits & 0x8000u) << 16;
  const uint32_t magnitude = x.bits & 0x7fffu;
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  // Infinity and NaN have an exponent further up; NaN becomes a quiet one.
  const uint32_t special = (normal + (112u << 23)) | (magnitude > 0x7c00u ? 0x400000u : 0u);
  const uint32_t denormal =
      BitCast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t bits = magnitude >= 0x7c00u ? special : magnitude < 0x400u ? denormal : normal;
  return BitCast<float>(bits | sign);
#endif
}

template <typename Stored>
MASKLSTM_HOST_DEVICE Stored Narrow(float x);

template <>
MASKLSTM_HOST_DEVICE inline Bfloat16 Narrow<Bfloat16>(float x) {
  const uint32_t bits = BitCast<uint32_t>(x);
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const uint32_t quiet_nan = bits | 0x400000u;
  return {static_cast<uint16_t>(((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded) >> 16)};
}

template <>
MASKLSTM_HOST_DEVICE inline Float16 Narrow<Float16>(float x) {
#if defined(__CUDA_ARCH__)
  uint16_t narrowed;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrowed) : "f"(x));
  return {narrowed};
#else
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
#endif
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

template <typename Stored>
inline constexpr bool kIsFloatingPoint = std::is_floating_point_v<decltype(Widen(Stored{}))>;

// Whether each number of the stored type is one of T and missing labels can still be told from the
// others in T: then nothing is to be decided before the conversion.
template <typename Stored, typename T>
inline constexpr bool kWidensExactly =
    kIsFloatingPoint<Stored> && sizeof(decltype(Widen(Stored{}))) <= sizeof(T);

template <typename T>
MASKLSTM_HOST_DEVICE const T* Offset(const void* array, int64_t index) {
  return static_cast<const T*>(array) + index;
}

template <typename T>
T Read(const void* array, int64_t index) {
  T value;
  std::memcpy(&value, Offset<T>(array, index), sizeof(T));  // of any alignment
  return value;
}

// Calls visitor(Stored{}) with the type that `type` names.
#if defined(__CUDACC__)
#pragma nv_exec_check_disable  // the visitor decides where it can run
#endif
template <typename Visitor>
MASKLSTM_HOST_DEVICE void VisitType(DataType type, Visitor&& visitor) {
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

#endif  // MASKLSTM_CSRC_CORE_STORED_TYPES_H_
