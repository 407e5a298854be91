// The sums of a range of elements, in sixteen lanes.
#ifndef MASKLSTM_CSRC_CPU_ACCUMULATOR_H_
#define MASKLSTM_CSRC_CPU_ACCUMULATOR_H_

#include <cstring>

#include "csrc/core/masked_loss.h"
#include "csrc/cpu/chunks.h"
#include "csrc/cpu/simd.h"
#include "csrc/cpu/simd_arithmetic.h"

namespace masklstm {
namespace {

// The sixteen lanes in which a range of elements is summed.
template <typename T, bool kWeighted>
class Accumulator {
 public:
  static constexpr int kVectors = kStrip / Vec<T>::kLanes;
  static constexpr int kParts = Widened<T>::kParts;

  // `loss` and `weight` must be 0 where not valid.
  void Add(int vector, Mask<T> valid, Vec<T> loss, Vec<T> weight) {
    const Widened<T> losses(loss);
    const Widened<T> weights(weight);
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
      Vec<double>& loss_sum = loss_sum_[vector * kParts + part];
      Vec<double>& weight_sum = weight_sum_[vector * kParts + part];
      if constexpr (kWeighted) {
        // Exact for float: the product of two 24-bit numbers fits a double.
        loss_sum = loss_sum + losses.part[part] * weights.part[part];
        weight_sum = weight_sum + weights.part[part];
      } else {
        loss_sum = loss_sum + losses.part[part];
      }
    }
    // A true lane is -1. Its 32 bits last for 2^35 elements of one call.
    count_[vector].native -= valid.native;
  }

  Sums Total() const {
    Sums sums;
    sums.loss_sum = TotalOf(loss_sum_);
    for (const Mask<T>& counts : count_) {
      for (int lane = 0; lane < Vec<T>::kLanes; ++lane) sums.valid_count += counts.native[lane];
    }
    sums.weight_sum = kWeighted ? TotalOf(weight_sum_) : static_cast<double>(sums.valid_count);
    return sums;
  }

 private:
  static double TotalOf(const Vec<double> (&lanes)[kVectors * kParts]) {
    double lane[kStrip];
    static_assert(sizeof(lane) == sizeof(lanes));
    std::memcpy(lane, lanes, sizeof(lane));
    double total = 0.0;
    for (const double value : lane) total += value;
    return total;
  }

  Vec<double> loss_sum_[kVectors * kParts] = {};
  Vec<double> weight_sum_[kVectors * kParts] = {};
  Mask<T> count_[kVectors] = {};
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CPU_ACCUMULATOR_H_
