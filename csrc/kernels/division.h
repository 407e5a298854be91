// What a sum or a gradient is divided by, on every device.
#ifndef MASKLSTM_CSRC_KERNELS_DIVISION_H_
#define MASKLSTM_CSRC_KERNELS_DIVISION_H_

#include <cstdint>

#include "csrc/kernels/masked_loss.h"
#include "csrc/losses/host_device.h"

namespace masklstm {
namespace {

// `value` (loss_sum, or an upstream gradient) divided by the divisor of the reduction; where there
// is nothing to divide by, 0, or NaN for a value that is not finite.
MASKLSTM_HOST_DEVICE inline double Divided(double value, const Sums& sums, Reduction reduction) {
  double divisor = 1.0;
  if (reduction == Reduction::kMean) divisor = static_cast<double>(sums.valid_count);
  if (reduction == Reduction::kMeanWithSampleWeight) divisor = sums.weight_sum;
  // Weights that add up to 0 do not hide a sum that is not finite: its difference to itself is NaN.
  return divisor == 0.0 ? value - value : value / divisor;
}

template <typename T>
MASKLSTM_HOST_DEVICE T MeanOrZero(double sum, int64_t count) {
  return count == 0 ? T{0} : static_cast<T>(sum / static_cast<double>(count));
}

// A gradient's scale below kTinyScale is handed on in two factors, one of them kHalfOfTinyScale: as
// one float it would lose digits, or be 0, before it meets a number that brings the product back.
constexpr double kTinyScale = 0x1p-100;
constexpr double kHalfOfTinyScale = 0x1p-60;

// scale = first * second, and second is 1 unless the scale is tiny.
template <typename T>
struct Scale {
  T first;
  T second = 1;

  MASKLSTM_HOST_DEVICE explicit Scale(double scale) : first(static_cast<T>(scale)) {
    const double magnitude = scale < 0.0 ? -scale : scale;
    if (sizeof(T) == sizeof(float) && 0.0 < magnitude && magnitude < kTinyScale) {
      first = static_cast<T>(scale / kHalfOfTinyScale);
      second = static_cast<T>(kHalfOfTinyScale);
    }
  }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_KERNELS_DIVISION_H_
