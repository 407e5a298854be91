// Losses, their parameters and reductions by name, as the ops' attributes and Python spell them.
#ifndef MASKLSTM_CSRC_KERNELS_NAMES_H_
#define MASKLSTM_CSRC_KERNELS_NAMES_H_

#include <functional>
#include <string>
#include <vector>

#include "csrc/kernels/masked_loss.h"

namespace masklstm {

struct ParameterDescription {
  std::string name;
  double default_value;
  std::string domain;  // an interval, as "(0, inf)"
  std::function<bool(double)> accepts;
};

struct LossDescription {
  std::string name;
  std::vector<ParameterDescription> parameters;
};

// All losses; a loss's position is MaskedLossInputs::loss.
const std::vector<LossDescription>& Losses();

// The position of a loss; -1 if there is none of that name.
int FindLoss(const std::string& name);

struct ReductionName {
  const char* name;
  Reduction reduction;
};

inline constexpr ReductionName kReductions[] = {
    {"sum_of_elements", Reduction::kSumOfElements},
    {"mean", Reduction::kMean},
    {"mean_with_sample_weight", Reduction::kMeanWithSampleWeight},
    {"none", Reduction::kNone},
    {"sum", Reduction::kSumOfRows},
};

struct ElementKindName {
  const char* name;
  ElementKind kind;
};

inline constexpr ElementKindName kElementKinds[] = {
    {"valid", ElementKind::kValid},
    {"value", ElementKind::kValue},
    {"derivative", ElementKind::kDerivative},
    {"second_derivative", ElementKind::kSecondDerivative},
};

// False if there is none of that name.
bool FindElementKind(const std::string& name, ElementKind* kind);
bool FindReduction(const std::string& name, Reduction* reduction);

// A number as C's strtod reads it, whatever the process's locale; false if the text is none.
bool ParseNumber(const std::string& text, double* value);

// "nan", "nonfinite" or a number.
bool ParseMissing(const std::string& text, Missing* missing);

// Numbers separated by commas, one for each parameter of the loss, each in its domain; otherwise
// false, and `error` says what was expected.
bool ParseParameters(int loss, const std::string& text, double* parameters, std::string* error);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_KERNELS_NAMES_H_
