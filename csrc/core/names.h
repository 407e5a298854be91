// Losses, their parameters and reductions by name, as the ops' attributes and Python spell them.
#ifndef MASKLSTM_CSRC_CORE_NAMES_H_
#define MASKLSTM_CSRC_CORE_NAMES_H_

#include <functional>
#include <string>
#include <vector>

#include "csrc/core/masked_loss.h"

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

struct BalanceName {
  const char* name;
  Balance balance;
};

inline constexpr BalanceName kBalances[] = {
    {"sample", Balance::kSample},
    {"timestep", Balance::kTimestep},
    {"feature", Balance::kFeature},
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

struct DataTypeName {
  const char* name;
  DataType type;
};

// As NumPy and TensorFlow call them.
inline constexpr DataTypeName kDataTypes[] = {
    {"bool", DataType::kBool},         {"int8", DataType::kInt8},
    {"int16", DataType::kInt16},       {"int32", DataType::kInt32},
    {"int64", DataType::kInt64},       {"uint8", DataType::kUint8},
    {"uint16", DataType::kUint16},     {"uint32", DataType::kUint32},
    {"uint64", DataType::kUint64},     {"float16", DataType::kFloat16},
    {"bfloat16", DataType::kBfloat16}, {"float32", DataType::kFloat32},
    {"float64", DataType::kFloat64},
};

bool IsFloatingPoint(DataType type);

// False if there is none of that name.
bool FindDataType(const std::string& name, DataType* type);
bool FindElementKind(const std::string& name, ElementKind* kind);
bool FindReduction(const std::string& name, Reduction* reduction);
bool FindBalance(const std::string& name, Balance* balance);

// A number as C's strtod reads it, whatever the process's locale; false if the text is none.
bool ParseNumber(const std::string& text, double* value);

// "nan", "nonfinite" or a number.
bool ParseMissing(const std::string& text, Missing* missing);

// Numbers separated by commas, one for each parameter of the loss, each in its domain; otherwise
// false, and `error` says what was expected.
bool ParseParameters(int loss, const std::string& text, double* parameters, std::string* error);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_NAMES_H_
