#include "csrc/kernels/names.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "csrc/losses/losses.h"

namespace masklstm {
namespace {

std::string Interval(const Domain& domain) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << (domain.includes_low ? '[' : '(') << domain.low << ", " << domain.high
       << (domain.includes_high ? ']' : ')');
  return text.str();
}

}  // namespace

const std::vector<LossDescription>& Losses() {
  static const std::vector<LossDescription> losses = [] {
    std::vector<LossDescription> result;
    AllLosses::ForEach([&](const char* name, const auto& parameters) {
      LossDescription loss{name, {}};
      for (const Parameter& parameter : parameters) {
        const Domain domain = parameter.domain;
        loss.parameters.push_back({parameter.name, parameter.default_value, Interval(domain),
                                   [domain](double value) { return domain.Contains(value); }});
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
  for (const ElementKindName& entry : kElementKinds) {
    if (entry.name != name) continue;
    *kind = entry.kind;
    return true;
  }
  return false;
}

bool FindReduction(const std::string& name, Reduction* reduction) {
  for (const ReductionName& entry : kReductions) {
    if (entry.name != name) continue;
    *reduction = entry.reduction;
    return true;
  }
  return false;
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

bool ParseParameters(int loss, const std::string& text, double* parameters, std::string* error) {
  std::istringstream parts(text);
  std::string part;
  for (const ParameterDescription& parameter : Losses()[loss].parameters) {
    std::getline(parts, part, ',');
    if (!parts || !ParseNumber(part, parameters) || !parameter.accepts(*parameters)) {
      *error = "Invalid value for parameter '" + parameter.name + "' of loss '" +
               Losses()[loss].name + "'. Expected a number in " + parameter.domain +
               ". Received: parameters='" + text + "'";
      return false;
    }
    ++parameters;
  }
  if (std::getline(parts, part)) {
    *error = "Too many parameters for loss '" + Losses()[loss].name + "'. Received: parameters='" +
             text + "'";
    return false;
  }
  return true;
}

}  // namespace masklstm
