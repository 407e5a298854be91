// The types that labels and predictions may have.
#ifndef MASKLSTM_CSRC_CORE_DATA_TYPES_H_
#define MASKLSTM_CSRC_CORE_DATA_TYPES_H_

namespace masklstm {

enum class DataType {
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
};

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_DATA_TYPES_H_
