// The elements as the arithmetic takes them: dense chunks of the computing type, a strip of
// registers at a time, with one kind of invalid element.
//
// Design:
//   A. Whatever is not a dense array of the computing type (other types, a mask, weights of a
//      smaller shape) is expanded into a buffer in the first-level cache, a chunk at a time; arrays
//      that can be read in place are. A false mask becomes a NaN label, and so does a missing label
//      of another type.
//   B. The last, partial strip is padded with NaN labels and runs through the same code.
#ifndef MASKLSTM_CSRC_CPU_CHUNKS_H_
#define MASKLSTM_CSRC_CPU_CHUNKS_H_

#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "csrc/core/masked_loss.h"
#include "csrc/core/missing.h"
#include "csrc/core/stored_types.h"
#include "csrc/cpu/function_table.h"
#include "csrc/cpu/simd.h"
#include "csrc/cpu/simd_arithmetic.h"
#include "csrc/cpu/stored_arrays.h"

namespace masklstm {
namespace {

constexpr int kStrip = 16;
constexpr int64_t kChunk = 1024;
static_assert(kChunk % kStrip == 0 && kBlockSize % kChunk == 0);
constexpr int64_t kShortRow = 64;  // rows up to this length share a chunk
static_assert(kShortRow <= kChunk);

// Whether arrays of this type can be read as arrays of T.
template <typename T>
constexpr bool Is(DataType type) {
  return type == (sizeof(T) == sizeof(double) ? DataType::kFloat64 : DataType::kFloat32);
}

// Whether predictions of the stored type become numbers of the computing type T by a conversion.
template <typename Stored, typename T>
constexpr bool kIsConverted =
    std::is_same_v<ComputingTypeOf<Stored>, T> && !std::is_same_v<Stored, T>;

// out = each of the values, kTimes times. The number is a constant, so that the compiler can make
// shuffles of registers of it.
template <int kTimes, typename T>
void RepeatEach(const T* values, int64_t count, T* out) {
  for (int64_t i = 0; i < count; ++i) {
    const T value = Read<T>(values, i);
#pragma GCC unroll 8
    for (int time = 0; time < kTimes; ++time) out[i * kTimes + time] = value;
  }
}

template <typename T>
void RepeatEach(int64_t times, const T* values, int64_t count, T* out) {
  switch (times) {
    case 2:
      return RepeatEach<2>(values, count, out);
    case 3:
      return RepeatEach<3>(values, count, out);
    case 4:
      return RepeatEach<4>(values, count, out);
    case 5:
      return RepeatEach<5>(values, count, out);
    case 6:
      return RepeatEach<6>(values, count, out);
    case 7:
      return RepeatEach<7>(values, count, out);
    case 8:
      return RepeatEach<8>(values, count, out);
  }
  for (int64_t i = 0; i < count; ++i) {
    const T value = Read<T>(values, i);
    for (int64_t time = 0; time < times; ++time) out[i * times + time] = value;
  }
}

// Copies the first `period` elements of `out` over the rest of its `count`, twice as many each
// time.
template <typename T>
void RepeatStart(int64_t period, int64_t count, T* out) {
  for (int64_t done = period; done < count; done *= 2) {
    std::memcpy(out + done, out, (count - done < done ? count - done : done) * sizeof(T));
  }
}

template <typename T>
void ExpandRunByRun(const Broadcast& view, int64_t begin, int64_t count, T* out);

// Whether all rows of the expanded array are the same one.
bool RepeatsOneRow(const Broadcast& view) { return view.num_axes == 2 && view.stride[0] == 0; }

// Writes elements [begin, begin + count) of the expanded array to `out`.
template <typename T>
void Expand(const Broadcast& view, int64_t begin, int64_t count, T* out) {
  if (view.num_axes == 0) {
    const T value = Read<T>(view.data, 0);
    for (int64_t i = 0; i < count; ++i) out[i] = value;
    return;
  }
  // The two usual cases: one value for each row, and one row for all.
  const int64_t length = view.extent[view.num_axes - 1];
  if (view.num_axes == 2 && view.stride[1] == 0) {
    const int64_t head = (length - begin % length) % length;
    if (head > 0) {
      const int64_t size = head < count ? head : count;
      ExpandRunByRun(view, begin, size, out);
      begin += size;
      count -= size;
      out += size;
    }
    const int64_t rows = count / length;
    RepeatEach(length, Offset<T>(view.data, begin / length), rows, out);
    if (count > rows * length) {
      ExpandRunByRun(view, begin + rows * length, count - rows * length, out + rows * length);
    }
  } else if (RepeatsOneRow(view) && length < count) {
    ExpandRunByRun(view, begin, length, out);  // from any place of the row on
    RepeatStart(length, count, out);
  } else {
    ExpandRunByRun(view, begin, count, out);
  }
}

template <typename T>
void ExpandRunByRun(const Broadcast& view, int64_t begin, int64_t count, T* out) {
  const int last = view.num_axes - 1;
  int64_t position[Broadcast::kMaxAxes];
  int64_t index = 0;  // in the array, of the current run along the last axis
  for (int64_t axis = last, rest = begin; axis >= 0; --axis) {
    position[axis] = rest % view.extent[axis];
    rest /= view.extent[axis];
    index += position[axis] * view.stride[axis];
  }
  while (true) {
    int64_t run = view.extent[last] - position[last];
    if (run > count) run = count;
    if (view.stride[last] == 0) {
      const T value = Read<T>(view.data, index);
      for (int64_t i = 0; i < run; ++i) out[i] = value;
    } else {
      std::memcpy(out, Offset<T>(view.data, index), run * sizeof(T));
    }
    out += run;
    count -= run;
    if (count == 0) return;

    index -= position[last] * view.stride[last];
    position[last] = 0;
    for (int axis = last - 1;; --axis) {
      index += view.stride[axis];
      if (++position[axis] < view.extent[axis]) break;
      index -= view.extent[axis] * view.stride[axis];
      position[axis] = 0;
    }
  }
}

// Tells valid labels from missing ones, in the computing type.
template <typename T>
class Validity {
 public:
  // Labels of a type that does not widen exactly are NaN by now where they are missing, and others
  // may have become the sentinel's equal by rounding.
  explicit Validity(const MaskedLossInputs& inputs) {
    VisitType(inputs.label_type, [&](auto stored) {
      if constexpr (kWidensExactly<decltype(stored), T>) {
        const auto range = StoredMissing<decltype(stored)>(inputs.missing).range();
        range_ = {range.limit, range.sentinel};
      }
    });
  }

  // False for NaN, since every comparison with it is.
  Mask<T> operator()(Vec<T> y_true) const {
    return Le(Abs(y_true), Vec<T>::Broadcast(range_.limit)) &
           Mask<T>{y_true.native != Vec<T>::Broadcast(range_.sentinel).native};
  }

  bool operator()(T y_true) const { return range_.Contains(y_true); }

 private:
  ValidRange<T> range_ = {std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN()};
};

// Ordinary is a number whose product with another one of these is a normal number of T, or 0.
template <typename T>
constexpr T kSmallestOrdinary = static_cast<T>(sizeof(T) == sizeof(float) ? 0x1p-62 : 0x1p-510);
template <typename T>
constexpr T kLargestOrdinary = static_cast<T>(sizeof(T) == sizeof(float) ? 0x1p62 : 0x1p510);

template <typename T>
bool IsOrdinary(T number) {
  const T magnitude = number < 0 ? -number : number;
  return number == 0 || (kSmallestOrdinary<T> <= magnitude && magnitude <= kLargestOrdinary<T>);
}

template <typename T>
bool AreOrdinary(const T* values, int64_t count) {
  using V = Vec<T>;
  const V low = V::Broadcast(kSmallestOrdinary<T>);
  const V high = V::Broadcast(kLargestOrdinary<T>);
  Mask<T> are_others{};
  int64_t i = 0;
  for (; i + V::kLanes <= count; i += V::kLanes) {
    const V magnitude = Abs(V::Load(values + i));
    are_others = are_others | Gt(magnitude, high) | (Lt(magnitude, low) & Gt(magnitude, V{}));
  }
  bool all = !Any(are_others);
  for (; i < count; ++i) all = all && IsOrdinary(Read<T>(values, i));
  return all;
}

// Weights of consecutive elements.
template <typename T>
struct Weighing {
  const T* values;   // null: all 1
  bool is_ordinary;  // all of them are; false also where nobody has looked
};

// A part of the elements as dense arrays.
template <typename T>
struct Chunk {
  const T* y_true;
  const T* y_pred;
  Weighing<T> weight;
  int64_t size;
};

// One of the weights, expanded.
template <typename T>
struct FactorBuffer {
  alignas(64) T values[2 * kChunk];
  bool has_rows = false;     // one row, over and over again, from its first element on
  bool is_ordinary = false;  // that row
};

template <typename T>
struct ChunkBuffers {
  alignas(64) T y_true[kChunk];
  alignas(64) T y_pred[kChunk];
  alignas(64) T weight[kChunk];
  FactorBuffer<T> factors[kMaxWeights];
  alignas(64) uint8_t mask[kChunk];  // not bool: any byte but 0 is true
};

// Labels [begin, begin + count) with NaN where the mask is false, in place where possible.
template <typename T>
const T* MaskedLabels(const MaskedLossInputs& inputs, int64_t begin, int64_t count,
                      ChunkBuffers<T>* buffers) {
  const T* y_true = buffers->y_true;
  if (Is<T>(inputs.label_type)) {
    y_true = Offset<T>(inputs.y_true, begin);
  } else {
    VisitType(inputs.label_type, [&](auto stored) {
      using Stored = decltype(stored);
      if constexpr (kWidensExactly<Stored, T>) {
        WidenArray<Stored>(inputs.y_true, begin, count, buffers->y_true);
      } else {
        WidenLabels<Stored>(inputs.y_true, begin, count, inputs.missing, buffers->y_true);
      }
    });
  }
  if (!inputs.mask.IsPresent()) return y_true;
  const uint8_t* mask = buffers->mask;
  if (inputs.mask.IsFull()) {
    mask = Offset<uint8_t>(inputs.mask.data, begin);
  } else {
    Expand(inputs.mask, begin, count, buffers->mask);
  }
  for (int64_t i = 0; i < count; ++i) {
    const T label = Read<T>(y_true, i);
    buffers->y_true[i] = mask[i] != 0 ? label : std::numeric_limits<T>::quiet_NaN();
  }
  return buffers->y_true;
}

template <typename T>
const T* Predictions(const MaskedLossInputs& inputs, int64_t begin, int64_t count,
                     ChunkBuffers<T>* buffers) {
  if (Is<T>(inputs.prediction_type)) return Offset<T>(inputs.y_pred, begin);
  VisitPredictionType(inputs.prediction_type, [&](auto stored) {
    using Stored = decltype(stored);
    if constexpr (kIsConverted<Stored, T>) {
      WidenArray<Stored>(inputs.y_pred, begin, count, buffers->y_pred);
    }
  });
  return buffers->y_pred;
}

// One of the weights; null if it was not given. Where one number is the weight of many elements, it
// is cheap to look at them.
template <typename T>
Weighing<T> Factors(const Broadcast& weight, int64_t begin, int64_t count,
                    FactorBuffer<T>* buffer) {
  if (!weight.IsPresent()) return {nullptr, true};
  if (weight.IsFull()) return {Offset<T>(weight.data, begin), false};
  const int64_t length = weight.num_axes == 0 ? 0 : weight.extent[weight.num_axes - 1];
  if (!RepeatsOneRow(weight) || length > kChunk) {
    Expand(weight, begin, count, buffer->values);
    bool is_ordinary = false;
    if (weight.num_axes == 0) is_ordinary = AreOrdinary(buffer->values, 1);
    if (weight.num_axes == 2 && weight.stride[1] == 0 && length > 1) {
      const int64_t first = begin / length;
      const int64_t last = (begin + count - 1) / length;
      is_ordinary = AreOrdinary(Offset<T>(weight.data, first), last - first + 1);
    }
    return {buffer->values, is_ordinary};
  }
  // Expanded once for all chunks, which begin at different places of the row.
  if (!buffer->has_rows) {
    Expand(weight, 0, kChunk + length, buffer->values);
    buffer->is_ordinary = AreOrdinary(buffer->values, length);
  }
  buffer->has_rows = true;
  return {buffer->values + begin % length, buffer->is_ordinary};
}

// The products of the weights; null if there are none.
template <typename T>
Weighing<T> Weights(const MaskedLossInputs& inputs, int64_t begin, int64_t count,
                    ChunkBuffers<T>* buffers) {
  static_assert(kMaxWeights == 2);
  const Weighing<T> first = Factors(inputs.weights[0], begin, count, &buffers->factors[0]);
  const Weighing<T> second = Factors(inputs.weights[1], begin, count, &buffers->factors[1]);
  if (!first.values || !second.values) return first.values ? first : second;
  for (int64_t i = 0; i < count; ++i) {
    buffers->weight[i] = Read<T>(first.values, i) * Read<T>(second.values, i);
  }
  return {buffers->weight, false};
}

bool IsWeighted(const MaskedLossInputs& inputs) {
  return inputs.weights[0].IsPresent() || inputs.weights[1].IsPresent();
}

// Whether all that the arithmetic needs can be read where it is.
template <typename T>
bool IsInPlace(const MaskedLossInputs& inputs) {
  const auto& [first, second] = inputs.weights;
  return Is<T>(inputs.label_type) && Is<T>(inputs.prediction_type) && !inputs.mask.IsPresent() &&
         (!first.IsPresent() || first.IsFull()) && !second.IsPresent();
}

// Calls body(chunk, offset) for consecutive chunks that cover the elements [begin, end). A chunk
// that had to be expanded has at most kChunk elements.
template <typename T, typename Body>
void ForEachChunk(const MaskedLossInputs& inputs, int64_t begin, int64_t end, Body&& body) {
  const int64_t step = IsInPlace<T>(inputs) ? end - begin : kChunk;
  ChunkBuffers<T> buffers;
  for (int64_t offset = begin; offset < end; offset += step) {
    const int64_t count = end - offset < step ? end - offset : step;
    body(Chunk<T>{MaskedLabels(inputs, offset, count, &buffers),
                  Predictions(inputs, offset, count, &buffers),
                  Weights(inputs, offset, count, &buffers), count},
         offset);
  }
}

// Calls body(first_row, number_of_rows) for groups of rows.
template <typename Body>
void ForEachGroupOfRows(int64_t rows_per_group, int64_t begin, int64_t end, Body&& body) {
  for (int64_t row = begin; row < end; row += rows_per_group) {
    body(row, end - row < rows_per_group ? end - row : rows_per_group);
  }
}

// Calls strip(y_true, y_pred, weight, offset, count) for each strip of the chunk. The pointers can
// be read for a whole strip; only the first `count` elements are the chunk's.
template <typename T, typename Strip>
inline __attribute__((always_inline)) void ForEachStrip(Chunk<T> chunk, Strip&& strip) {
  int64_t i = 0;
  for (; i + kStrip <= chunk.size; i += kStrip) {
    const T* const weight = chunk.weight.values;
    strip(chunk.y_true + i, chunk.y_pred + i, weight + (weight ? i : 0), i, kStrip);
  }
  if (i == chunk.size) return;

  alignas(64) T y_true[kStrip], y_pred[kStrip] = {}, weight[kStrip] = {};
  for (T& label : y_true) label = std::numeric_limits<T>::quiet_NaN();
  const int64_t rest = chunk.size - i;
  std::memcpy(y_true, chunk.y_true + i, rest * sizeof(T));
  std::memcpy(y_pred, chunk.y_pred + i, rest * sizeof(T));
  if (chunk.weight.values) std::memcpy(weight, chunk.weight.values + i, rest * sizeof(T));
  strip(y_true, y_pred, weight, i, rest);
}

// Calls body(vector, lane) for each register of a strip, unrolled.
template <typename T, typename Body>
inline __attribute__((always_inline)) void ForEachVector(Body&& body) {
#pragma GCC unroll 16
  for (int vector = 0; vector < kStrip / Vec<T>::kLanes; ++vector) {
    body(vector, vector * Vec<T>::kLanes);
  }
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CPU_CHUNKS_H_
