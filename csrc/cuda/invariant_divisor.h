// Division by a number that is the same for all threads: by a multiplication and a shift. The
// card's own division takes some twenty instructions, that of 64 bits a hundred.
//
// T. Granlund, P. L. Montgomery: Division by Invariant Integers using Multiplication, PLDI 1994.
#ifndef MASKLSTM_CSRC_CUDA_INVARIANT_DIVISOR_H_
#define MASKLSTM_CSRC_CUDA_INVARIANT_DIVISOR_H_

#include <cstdint>

#include "csrc/losses/host_device.h"

namespace masklstm {
namespace {

struct InvariantDivisor {
  static constexpr int64_t kMaxOf32Bits = 0x7fffffff;  // to be divided in 32 bits

  uint64_t multiplier = 0;  // 2^64 (2^shift - divisor) / divisor, rounded up
  int shift = 0;            // the smallest with 2^shift >= divisor

  InvariantDivisor() = default;
  explicit InvariantDivisor(int64_t divisor) {
    const uint64_t d = static_cast<uint64_t>(divisor);
    while ((uint64_t{1} << shift) < d) ++shift;
    const uint64_t above = (uint64_t{1} << shift) - d;
    multiplier = static_cast<uint64_t>((static_cast<unsigned __int128>(above) << 64) / d + 1);
  }
};

// Of a number up to kMaxOf32Bits, by such a divisor.
MASKLSTM_HOST_DEVICE inline uint32_t operator/(uint32_t number, const InvariantDivisor& divisor) {
  // The multiplier of 32 bits, rounded up as well.
  const uint32_t multiplier = static_cast<uint32_t>(divisor.multiplier >> 32) + 1;
  const uint64_t product = static_cast<uint64_t>(number) * multiplier;
  return (static_cast<uint32_t>(product >> 32) + number) >> divisor.shift;
}

// Of a number below 2^63.
MASKLSTM_HOST_DEVICE inline uint64_t operator/(uint64_t number, const InvariantDivisor& divisor) {
#if defined(__CUDA_ARCH__)
  const uint64_t high = __umul64hi(number, divisor.multiplier);
#else
  const auto product = static_cast<unsigned __int128>(number) * divisor.multiplier;
  const uint64_t high = static_cast<uint64_t>(product >> 64);
#endif
  return (high + number) >> divisor.shift;
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CUDA_INVARIANT_DIVISOR_H_
