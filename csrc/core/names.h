// Losses, their parameters and reductions by name, as the ops' attributes and Python spell them.
#ifndef MASKLSTM_CSRC_CORE_NAMES_H_
#define MASKLSTM_CSRC_CORE_NAMES_H_

#include <string>
#include <vector>

#include "csrc/core/data_types.h"
#include "csrc/core/masked_loss.h"
#include "csrc/core/stored_types.h"

namespace masklstm {

// A domain of a loss's header.
struct Interval {
  double lower;
  double upper;
  bool includes_lower;
  bool includes_upper;
  bool is_whole;     // whole numbers alone
  std::string text;  // as "(0, inf)"

  bool Contains(double value) const;
};

struct ParameterDescription {
  std::string name;
  double default_value;
  Interval domain;
  bool is_list;  // of as many numbers as the user gives
};

struct ChannelDescription {
  std::string name;
  Interval domain;
  bool repeats;  // stands for one channel for each component of a mixture, or for each quantile
};

struct LossDescription {
  std::string name;
  std::vector<ParameterDescription> parameters;
  Interval labels;
  Interval predictions;                      // of a loss without channels
  std::vector<ChannelDescription> channels;  // empty where labels and predictions have one shape
};

// All losses; a loss's position is MaskedLossInputs::loss.
const std::vector<LossDescription>& Losses();

// The position of a loss; -1 if there is none of that name.
int FindLoss(const std::string& name);

// The length of the predictions' last axis, which the labels do not have; 0 if the loss has no such
// axis.
int NumChannels(int loss, const double (&parameters)[kMaxParameters]);

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
    {"directional_derivative", ElementKind::kDirectionalDerivative},
};

struct DataTypeName {
  const char* name;     // NumPy's
  const char* typestr;  // NumPy's
  DataType type;
  int bytes;  // of a number
  bool is_floating_point;
  bool may_be_prediction;
};

#define MASKLSTM_NAME(type, Stored, name, typestr, tensorflow_type, role) \
  {name,                                                                  \
   typestr,                                                               \
   DataType::type,                                                        \
   sizeof(Stored),                                                        \
   kIsFloatingPoint<Stored>,                                              \
   role == Role::kLabelsAndPredictions},
constexpr DataTypeName kDataTypes[] = {MASKLSTM_FOR_EACH_DATA_TYPE(MASKLSTM_NAME)};
#undef MASKLSTM_NAME

// False if there is none of that name.
bool FindDataType(const std::string& name, DataType* type);
bool FindElementKind(const std::string& name, ElementKind* kind);
bool FindReduction(const std::string& name, Reduction* reduction);
bool FindBalance(const std::string& name, Balance* balance);

// A number as C's strtod reads it, whatever the process's locale; false if the text is none.
bool ParseNumber(const std::string& text, double* value);

// "nan", "nonfinite" or a number.
bool ParseMissing(const std::string& text, Missing* missing);

// Numbers separated by commas, one for each parameter of the loss, or several for the last one if
// it is a list, each in its domain; otherwise false, and `error` says what was expected. After the
// numbers of a list stands NaN.
bool ParseParameters(int loss, const std::string& text, double (&parameters)[kMaxParameters],
                     std::string* error);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_NAMES_H_
