// Which labels are missing. They are found in the type that they are stored in, before any
// rounding: 16777217 as an int32 is another label than the sentinel 16777216, although both become
// the same float.
#ifndef MASKLSTM_CSRC_CORE_MISSING_H_
#define MASKLSTM_CSRC_CORE_MISSING_H_

#include <limits>
#include <type_traits>

#include "csrc/core/stored_types.h"
#include "csrc/losses/host_device.h"

namespace masklstm {

// NaN always, the sentinel (if it is not NaN itself), and on request the infinities.
struct Missing {
  double sentinel = std::numeric_limits<double>::quiet_NaN();
  bool nonfinite = false;
};

namespace {

// Which labels of a floating-point type are there: all up to a size, but one.
template <typename Number>
struct ValidRange {
  Number limit;
  Number sentinel;  // NaN: there is none

  // False for NaN, since every comparison with it is.
  MASKLSTM_HOST_DEVICE bool Contains(Number label) const {
    return (label < 0 ? -label : label) <= limit && label != sentinel;
  }
};

// Which stored labels are missing.
template <typename Stored>
class StoredMissing {
  using Number = decltype(Widen(Stored{}));

 public:
  explicit StoredMissing(const Missing& missing) {
    if constexpr (std::is_floating_point_v<Number>) {
      range_.limit = missing.nonfinite ? std::numeric_limits<Number>::max()
                                       : std::numeric_limits<Number>::infinity();
      range_.sentinel = RoundedSentinel(missing.sentinel);
      has_sentinel_ = range_.sentinel == range_.sentinel;
    } else {
      const double lowest = static_cast<double>(std::numeric_limits<Number>::lowest());
      // The largest number itself may not be a double; the one after it is.
      const double end = 2.0 * static_cast<double>(std::numeric_limits<Number>::max() / 2 + 1);
      if (missing.sentinel >= lowest && missing.sentinel < end) {
        range_.sentinel = static_cast<Number>(missing.sentinel);
        has_sentinel_ = static_cast<double>(range_.sentinel) == missing.sentinel;
      }
    }
  }

  bool IsValid(Number y_true) const {
    if constexpr (std::is_floating_point_v<Number>) {
      return range_.Contains(y_true);
    } else {
      return !has_sentinel_ || y_true != range_.sentinel;
    }
  }

  const ValidRange<Number>& range() const { return range_; }  // of the floating-point types
  Number sentinel() const { return range_.sentinel; }
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

  ValidRange<Number> range_ = {};
  bool has_sentinel_ = false;
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_MISSING_H_
