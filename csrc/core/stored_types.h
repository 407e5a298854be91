// The types that labels and predictions are stored in, and how their numbers become numbers of the
// computing type (float or double) and back.
//
// Half types are converted with integer arithmetic, by the same rules as the processor's own
// instructions, which are used where there are any: to the nearest, ties to even, NaN stays
// NaN. Half-type denormals keep their value even where float denormals are flushed to 0.
// A GPU has the instructions for Float16; by integers its arithmetic, not its memory, would
// set the speed.
#ifndef MASKLSTM_CSRC_CORE_STORED_TYPES_H_
#define MASKLSTM_CSRC_CORE_STORED_TYPES_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "csrc/core/data_types.h"
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

template <typename Stored>
MASKLSTM_HOST_DEVICE Stored NarrowFromDouble(double x) {
  if constexpr (sizeof(Stored) == 2) {
    return Narrow<Stored>(static_cast<float>(x));
  } else {
    return static_cast<Stored>(x);
  }
}

template <typename Stored>
inline constexpr bool kIsFloatingPoint = std::is_floating_point_v<decltype(Widen(Stored{}))>;

// Whether each number of the stored type is one of T and missing labels can still be told from the
// others in T: then nothing is to be decided before the conversion.
template <typename Stored, typename T>
inline constexpr bool kWidensExactly =
    kIsFloatingPoint<Stored> && sizeof(decltype(Widen(Stored{}))) <= sizeof(T);

// What is computed with predictions of the stored type.
template <typename Stored>
using ComputingTypeOf = std::conditional_t<std::is_same_v<Stored, double>, double, float>;

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
#define MASKLSTM_CASE(type, Stored, name, typestr, tensorflow_type, role) \
  case DataType::type:                                                    \
    return visitor(Stored{});
  switch (type) { MASKLSTM_FOR_EACH_DATA_TYPE(MASKLSTM_CASE) }
#undef MASKLSTM_CASE
}

// The same for a type that predictions may have.
#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <typename Visitor>
MASKLSTM_HOST_DEVICE void VisitPredictionType(DataType type, Visitor&& visitor) {
#define MASKLSTM_CASE(type, Stored, name, typestr, tensorflow_type, role) \
  case DataType::type:                                                    \
    if constexpr (role == Role::kLabelsAndPredictions) visitor(Stored{}); \
    return;
  switch (type) { MASKLSTM_FOR_EACH_DATA_TYPE(MASKLSTM_CASE) }
#undef MASKLSTM_CASE
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_STORED_TYPES_H_
