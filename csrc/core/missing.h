// Which labels are missing.
#ifndef MASKLSTM_CSRC_CORE_MISSING_H_
#define MASKLSTM_CSRC_CORE_MISSING_H_

#include <limits>

namespace masklstm {

// NaN always, the sentinel (if it is not NaN itself), and on request the infinities.
struct Missing {
  double sentinel = std::numeric_limits<double>::quiet_NaN();
  bool nonfinite = false;
};

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_MISSING_H_
