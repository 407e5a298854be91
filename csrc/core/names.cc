#include "csrc/core/names.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <sstream>
#include <type_traits>

#include "csrc/losses/losses.h"

namespace masklstm {
namespace {

Interval IntervalOf(const Domain& domain) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  if (domain.is_whole) text << "the whole numbers of ";
  text << (domain.includes_low ? '[' : '(') << domain.low << ", " << domain.high
       << (domain.includes_high ? ']' : ')');
  return {domain.low,           domain.high,     domain.includes_low,
          domain.includes_high, domain.is_whole, text.str()};
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
  return Domain{lower, upper, includes_lower, includes_upper, is_whole}.Contains(value);
}

const std::vector<LossDescription>& Losses() {
  static const std::vector<LossDescription> losses = [] {
    std::vector<LossDescription> result;
    AllLosses::ForEach([&](auto type) {
      using Loss = typename decltype(type)::type;
      LossDescription loss{
          Loss::kName, {}, IntervalOf(Loss::kLabels), IntervalOf(Domain::All()), {}};
      for (const Parameter& parameter : Loss::kParameters) {
        loss.parameters.push_back({parameter.name, parameter.default_value,
                                   IntervalOf(parameter.domain), parameter.is_list});
      }
      if constexpr (kHasChannels<Loss>) {
        for (const Channel& channel : Loss::kChannels) {
          loss.channels.push_back(
              {channel.name, IntervalOf(channel.domain), channel.repeats == Repeats::kYes});
        }
      } else {
        loss.predictions = IntervalOf(Loss::kPredictions);
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

int NumChannels(int loss, const double (&parameters)[kMaxParameters]) {
  int number = 0;
  AllLosses::Visit(loss, parameters, [&](const auto& made) {
    if constexpr (kHasChannels<std::decay_t<decltype(made)>>) number = made.channels();
  });
  return number;
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
  size_t size = 0;  // of what is read
  for (const ParameterDescription& parameter : known) {
    do {
      std::getline(parts, part, ',');
      double number;
      if (!parts || size == kMaxParameters || !ParseNumber(part, &number) ||
          !parameter.domain.Contains(number)) {
        *error = "Invalid value for parameter '" + parameter.name + "' of loss '" +
                 Losses()[loss].name + "'. Expected " +
                 (parameter.is_list ? "1 to " + std::to_string(kMaxChannels) + " numbers in "
                                    : "a number in ") +
                 parameter.domain.text + ". Received: parameters='" + text + "'";
        return false;
      }
      parameters[size++] = number;
    } while (parameter.is_list && !parts.eof());
  }
  std::fill(parameters + size, parameters + kMaxParameters,
            std::numeric_limits<double>::quiet_NaN());
  if (std::getline(parts, part)) {
    *error = "Too many parameters for loss '" + Losses()[loss].name + "'. Received: parameters='" +
             text + "'";
    return false;
  }
  return true;
}

}  // namespace masklstm
