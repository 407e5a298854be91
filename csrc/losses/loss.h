// What every loss has: a name, parameters, and three formulas over the values of value_math.h.
//
//   struct SomeLoss {
//     static constexpr const char* kName;          // as users write it
//     static constexpr Parameter kParameters[];    // or NoParameters
//     explicit SomeLoss(const double* parameters); // in the order of kParameters
//     template <typename V> V Value(V y_true, V y_pred) const;
//     template <typename V> V Derivative(V y_true, V y_pred) const;        // by y_pred
//     template <typename V> V SecondDerivative(V y_true, V y_pred) const;  // by y_pred, twice
//   };
//
// The caller decides which elements are valid and zeroes the result where they are not.
#ifndef MASKLSTM_CSRC_LOSSES_LOSS_H_
#define MASKLSTM_CSRC_LOSSES_LOSS_H_

#include <limits>

namespace masklstm {
namespace {

// The values that a parameter may take. NaN lies in no domain.
struct Domain {
  double low;
  double high;
  bool includes_low;
  bool includes_high;

  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  static constexpr Domain Above(double low) { return {low, kInfinity, false, false}; }

  constexpr bool Contains(double value) const {
    return (includes_low ? low <= value : low < value) &&
           (includes_high ? value <= high : value < high);
  }
};

struct Parameter {
  const char* name;
  double default_value;
  Domain domain;
};

// Stands for an empty array of parameters, which C++ does not have.
struct NoParameters {
  constexpr const Parameter* begin() const { return nullptr; }
  constexpr const Parameter* end() const { return nullptr; }
};

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_LOSS_H_
