// The one list of losses. Whatever walks the losses (kernels, op attributes, Python, tests,
// benchmarks) walks this list.
#ifndef MASKLSTM_CSRC_LOSSES_LOSSES_H_
#define MASKLSTM_CSRC_LOSSES_LOSSES_H_

#include <algorithm>
#include <iterator>

#include "csrc/losses/absolute_error.h"
#include "csrc/losses/absolute_percentage_error.h"
#include "csrc/losses/binary_crossentropy.h"
#include "csrc/losses/binary_crossentropy_from_logits.h"
#include "csrc/losses/binary_focal_crossentropy.h"
#include "csrc/losses/binary_focal_crossentropy_from_logits.h"
#include "csrc/losses/huber.h"
#include "csrc/losses/log_cosh.h"
#include "csrc/losses/pinball.h"
#include "csrc/losses/poisson.h"
#include "csrc/losses/squared_error.h"
#include "csrc/losses/squared_logarithmic_error.h"

namespace masklstm {
namespace {

template <typename... Losses>
struct LossList {
  // Of any loss: what holds the values of a loss's parameters has room for so many.
  static constexpr int kMaxParameters =
      std::max({0, static_cast<int>(std::size(Losses::kParameters))...});

  // Calls visitor(loss) with the loss at `index`, made from `parameters`.
  template <typename Visitor>
  static void Visit(int index, const double* parameters, Visitor&& visitor) {
    int position = 0;
    ((position++ == index ? visitor(Losses(parameters)) : void()), ...);
  }

  // Calls visitor(name, parameters, labels, predictions) for every loss, in order.
  template <typename Visitor>
  static void ForEach(Visitor&& visitor) {
    (visitor(Losses::kName, Losses::kParameters, Losses::kLabels, Losses::kPredictions), ...);
  }
};

using AllLosses = LossList<        //
    SquaredError,                  //
    AbsoluteError,                 //
    Huber,                         //
    LogCosh,                       //
    AbsolutePercentageError,       //
    SquaredLogarithmicError,       //
    Poisson,                       //
    Pinball,                       //
    BinaryCrossentropy,            //
    BinaryCrossentropyFromLogits,  //
    BinaryFocalCrossentropy,       //
    BinaryFocalCrossentropyFromLogits>;

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_LOSSES_LOSSES_H_
