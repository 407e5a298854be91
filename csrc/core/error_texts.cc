#include "csrc/core/error_texts.h"

namespace masklstm {

std::string ShapesDifferText(const std::string& y_true, const std::string& y_pred) {
  return "y_true and y_pred must have the same shape. Received: y_true with shape " + y_true +
         ", y_pred with shape " + y_pred;
}

std::string ChannelsDifferText(const std::string& loss, int num_channels, const std::string& y_true,
                               const std::string& y_pred) {
  const std::string number = std::to_string(num_channels);
  return "Loss '" + loss + "' takes " + number +
         (num_channels == 1 ? " prediction" : " predictions") +
         " for each label, side by side along a last axis of y_pred that y_true does not have: "
         "y_pred must have the shape of y_true and " +
         number + ". Received: y_true with shape " + y_true + ", y_pred with shape " + y_pred;
}

std::string BroadcastText(BroadcastResult result, const std::string& name, const std::string& shape,
                          const std::string& full, const std::string& received) {
  switch (result) {
    case BroadcastResult::kOk:
      break;
    case BroadcastResult::kShapesDiffer:
      return "Incompatible shape for argument '" + name +
             "'. Expected a shape whose axes, from the left, are those of y_true, " + full +
             ", or 1. Received: " + received;
    case BroadcastResult::kTooManyAxes:
      return "Argument '" + name + "' of shape " + shape +
             " repeats along too many separate axes of y_true, " + full +
             ". Broadcast it to that shape first.";
  }
  return "";
}

std::string NoGroupAxisText(const std::string& y_true, const std::string& balance) {
  return "y_true of shape " + y_true + " has no axis for balance='" + balance + "'";
}

}  // namespace masklstm
