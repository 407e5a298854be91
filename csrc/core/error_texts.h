// What TensorFlow's ops and Python's functions say alike of arguments that do not fit. Shapes come
// as texts, since each has its own way to write them.
#ifndef MASKLSTM_CSRC_CORE_ERROR_TEXTS_H_
#define MASKLSTM_CSRC_CORE_ERROR_TEXTS_H_

#include <string>

#include "csrc/core/broadcast.h"

namespace masklstm {

std::string ShapesDifferText(const std::string& y_true, const std::string& y_pred);

// Of a loss with channels.
std::string ChannelsDifferText(const std::string& loss, int num_channels, const std::string& y_true,
                               const std::string& y_pred);

// Of an array `name` for which there is no view of the shape `full`. `received` says what it was,
// where that is said at the end.
std::string BroadcastText(BroadcastResult result, const std::string& name, const std::string& shape,
                          const std::string& full, const std::string& received);

std::string NoGroupAxisText(const std::string& y_true, const std::string& balance);

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_ERROR_TEXTS_H_
