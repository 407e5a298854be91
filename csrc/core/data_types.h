// The table of the types that labels and predictions may have. Whatever knows types (the kernels,
// the ops' attributes, Python) walks this table.
//
// A new type is a line here; if C++ has no such type, a struct and its conversions stand in
// stored_types.h, and those by the processor's own instructions in csrc/cpu/stored_arrays.h.
#ifndef MASKLSTM_CSRC_CORE_DATA_TYPES_H_
#define MASKLSTM_CSRC_CORE_DATA_TYPES_H_

namespace masklstm {

// What arrays of a type may be.
enum class Role { kLabels, kLabelsAndPredictions };

// The enumerator of DataType, the type of a stored number, NumPy's name, the typestr of NumPy's and
// CUDA's array interface, TensorFlow's enumerator, the role.
#define MASKLSTM_FOR_EACH_DATA_TYPE(TYPE)                                                \
  TYPE(kBool, Bool, "bool", "|b1", DT_BOOL, Role::kLabels)                               \
  TYPE(kInt8, int8_t, "int8", "|i1", DT_INT8, Role::kLabels)                             \
  TYPE(kInt16, int16_t, "int16", "<i2", DT_INT16, Role::kLabels)                         \
  TYPE(kInt32, int32_t, "int32", "<i4", DT_INT32, Role::kLabels)                         \
  TYPE(kInt64, int64_t, "int64", "<i8", DT_INT64, Role::kLabels)                         \
  TYPE(kUint8, uint8_t, "uint8", "|u1", DT_UINT8, Role::kLabels)                         \
  TYPE(kUint16, uint16_t, "uint16", "<u2", DT_UINT16, Role::kLabels)                     \
  TYPE(kUint32, uint32_t, "uint32", "<u4", DT_UINT32, Role::kLabels)                     \
  TYPE(kUint64, uint64_t, "uint64", "<u8", DT_UINT64, Role::kLabels)                     \
  TYPE(kFloat16, Float16, "float16", "<f2", DT_HALF, Role::kLabelsAndPredictions)        \
  TYPE(kBfloat16, Bfloat16, "bfloat16", "<V2", DT_BFLOAT16, Role::kLabelsAndPredictions) \
  TYPE(kFloat32, float, "float32", "<f4", DT_FLOAT, Role::kLabelsAndPredictions)         \
  TYPE(kFloat64, double, "float64", "<f8", DT_DOUBLE, Role::kLabelsAndPredictions)

#define MASKLSTM_ENUMERATOR(type, Stored, name, typestr, tensorflow_type, role) type,
enum class DataType { MASKLSTM_FOR_EACH_DATA_TYPE(MASKLSTM_ENUMERATOR) };
#undef MASKLSTM_ENUMERATOR

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CORE_DATA_TYPES_H_
