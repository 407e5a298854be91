// What a sum or a gradient is divided by, on every device.
#ifndef MASKLSTM_CSRC_CORE_DIVISION_H_
#define MASKLSTM_CSRC_CORE_DIVISION_H_

#include <cstdint>
#include <limits>

#include "csrc/core/masked_loss.h"
#include "csrc/losses/host_device.h"

namespace masklstm {
namespace {

enum class Divisor { kOne, kValidCount, kWeightSum };

MASKLSTM_HOST_DEVICE constexpr Divisor DivisorOf(Reduction reduction) {
  if (reduction == Reduction::kMean) return Divisor::kValidCount;
  if (reduction == Reduction::kMeanWithSampleWeight) return Divisor::kWeightSum;
  return Divisor::kOne;
}

// `value` (loss_sum, or an upstream gradient) divided by the divisor of the reduction; where there
// is nothing to divide by, 0, or NaN for a value that is not finite.
MASKLSTM_HOST_DEVICE inline double Divided(double value, const Sums& sums, Reduction reduction) {
  double divisor = 1.0;
  const Divisor which = DivisorOf(reduction);
  if (which == Divisor::kValidCount) divisor = static_cast<double>(sums.valid_count);
  if (which == Divisor::kWeightSum) divisor = sums.weight_sum;
  // Weights that add up to 0 do not hide a sum that is not finite: its difference to itself is NaN.
  return divisor == 0.0 ? value - value : value / divisor;
}

template <typename T>
MASKLSTM_HOST_DEVICE T MeanOrZero(double sum, int64_t count) {
  return count == 0 ? T{0} : static_cast<T>(sum / static_cast<double>(count));
}

// Outside of any function: on a device, only their values are known.
template <typename T>
inline constexpr T kSmallestNormal = std::numeric_limits<T>::min();
template <typename T>
inline constexpr T kLargestFinite = std::numeric_limits<T>::max();

// Whether T holds a number of this size with all its digits.
template <typename T, typename Number>
MASKLSTM_HOST_DEVICE bool IsNormal(Number number) {
  const Number magnitude = number < 0 ? -number : number;
  return kSmallestNormal<T> <= magnitude && magnitude <= kLargestFinite<T>;
}

// What the slopes of a gradient are multiplied with: an upstream gradient over a divisor.
template <typename T>
struct Scale {
  double exact;
  T rounded;
  bool is_held;  // T holds it with all its digits, or as the 0 or NaN that it is

  MASKLSTM_HOST_DEVICE explicit Scale(double scale)
      : exact(scale),
        rounded(static_cast<T>(scale)),
        is_held(IsNormal<T>(scale) || scale == 0.0 || scale != scale) {}
};

// scale * weight * slope. The product of the first two may leave T's range, or the scale itself,
// before the slope brings it back: then the three are multiplied as doubles, and the slope comes
// before the weight. That order cannot fail where the other one does: if scale and weight are both
// large, or both small, each of their products with the slope lies between the result and a factor.
template <typename T>
MASKLSTM_HOST_DEVICE T Scaled(const Scale<T>& scale, T weight, T slope) {
  const T product = scale.rounded * weight;
  if (scale.is_held && (IsNormal<T>(product) || weight == 0)) return product * slope;
  return static_cast<T>(scale.exact * static_cast<double>(slope) * static_cast<double>(weight));
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_DIVISION_H_
