#include "csrc/core/names.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "csrc/losses/losses.h"

namespace masklstm {
namespace {

Interval IntervalOf(const Domain& domain) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << (domain.includes_low ? '[' : '(') << domain.low << ", " << domain.high
       << (domain.includes_high ? ']' : ')');
  return {domain.low, domain.high, domain.includes_low, domain.includes_high, text.str()};
}

// The value of the entry of that name.
template <typename Entry, int kSize, typename Value>
bool Find(const Entry (&entries)[kSize], const std::string& name, Value Entry::* member,
          Value* value) {
  for (const Entry& entry : entries) {
    if (entry.name != name) continue;
    *value = entry.*member;
    return true;
  }
  return false;
}

}  // namespace

bool Interval::Contains(double value) const {
  return Domain{lower, upper, includes_lower, includes_upper}.Contains(value);
}

const std::vector<LossDescription>& Losses() {
  static const std::vector<LossDescription> losses = [] {
    std::vector<LossDescription> result;
    AllLosses::ForEach([&](const char* name, const auto& parameters, const Domain& labels,
                           const Domain& predictions) {
      LossDescription loss{name, {}, IntervalOf(labels), IntervalOf(predictions)};
      for (const Parameter& parameter : parameters) {
        loss.parameters.push_back(
            {parameter.name, parameter.default_value, IntervalOf(parameter.domain)});
      }
      result.push_back(loss);
    });
    return result;
  }();
  return losses;
}

int FindLoss(const std::string& name) {
  const auto& losses = Losses();
  const auto found = std::find_if(losses.begin(), losses.end(),
                                  [&](const LossDescription& loss) { return loss.name == name; });
  return found == losses.end() ? -1 : static_cast<int>(found - losses.begin());
}

bool FindElementKind(const std::string& name, ElementKind* kind) {
  return Find(kElementKinds, name, &ElementKindName::kind, kind);
}

bool FindReduction(const std::string& name, Reduction* reduction) {
  return Find(kReductions, name, &ReductionName::reduction, reduction);
}

bool FindBalance(const std::string& name, Balance* balance) {
  return Find(kBalances, name, &BalanceName::balance, balance);
}

bool FindDataType(const std::string& name, DataType* type) {
  return Find(kDataTypes, name, &DataTypeName::type, type);
}

bool ParseNumber(const std::string& text, double* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

bool ParseMissing(const std::string& text, Missing* missing) {
  *missing = Missing{};
  missing->nonfinite = text == "nonfinite";
  return missing->nonfinite || ParseNumber(text, &missing->sentinel);
}

bool ParseParameters(int loss, const std::string& text, double (&parameters)[kMaxParameters],
                     std::string* error) {
  const std::vector<ParameterDescription>& known = Losses()[loss].parameters;
  std::istringstream parts(text);
  std::string part;
  for (size_t i = 0; i < known.size(); ++i) {
    std::getline(parts, part, ',');
    if (!parts || !ParseNumber(part, &parameters[i]) || !known[i].domain.Contains(parameters[i])) {
      *error = "Invalid value for parameter '" + known[i].name + "' of loss '" +
               Losses()[loss].name + "'. Expected a number in " + known[i].domain.text +
               ". Received: parameters='" + text + "'";
      return false;
    }
  }
  if (std::getline(parts, part)) {
    *error = "Too many parameters for loss '" + Losses()[loss].name + "'. Received: parameters='" +
             text + "'";
    return false;
  }
  return true;
}

}  // namespace masklstm
