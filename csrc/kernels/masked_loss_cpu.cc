// The CPU kernels. This file is compiled once per instruction set, into an object whose only
// visible symbol is the table at its end.
//
// Design:
//   A. The arithmetic runs on strips of kStrip elements: whole registers on every instruction set,
//      and one accumulator lane for each element of the strip, so that the order of additions is
//      the same everywhere. Contraction to fused multiply-add is off for the same reason.
//   B. Whatever is not a dense array of the computing type (other types, a mask, weights of a
//      smaller shape) is expanded into a buffer in the first-level cache, a chunk at a time; arrays
//      that can be read in place are. A false mask becomes a NaN label, and so does a missing label
//      of another type: the arithmetic knows one kind of invalid element.
//   C. The last, partial strip is padded with NaN labels and runs through the same code.
#include <cstdint>
#include <cstring>
#include <limits>

#include "csrc/kernels/cpu_kernels.h"
#include "csrc/kernels/simd.h"
#include "csrc/kernels/simd_math.h"
#include "csrc/kernels/stored_types.h"
#include "csrc/losses/losses.h"
#include "csrc/losses/value_math.h"

namespace masklstm {
namespace {

constexpr int kStrip = 16;
constexpr int64_t kChunk = 1024;
// A gradient larger than a last-level cache is written past the caches: its first reader comes too
// late to find it there, and the memory need not be read before it is overwritten.
constexpr int64_t kStreamedBytes = int64_t{32} << 20;
constexpr int64_t kShortRow = 64;  // rows up to this length share a chunk
static_assert(kChunk % kStrip == 0 && kBlockSize % kChunk == 0 && kShortRow <= kChunk);

// Whether arrays of this type can be read as arrays of T.
template <typename T>
constexpr bool Is(DataType type) {
  return type == (sizeof(T) == sizeof(double) ? DataType::kFloat64 : DataType::kFloat32);
}

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

constexpr int64_t kMostTimes = 8;

template <typename T>
void RepeatEach(int64_t times, const T* values, int64_t count, T* out) {
  static_assert(kMostTimes == 8);
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
  // The two usual cases with short runs: one value for each row, and one row for all.
  const int64_t length = view.extent[view.num_axes - 1];
  if (view.num_axes == 2 && view.stride[1] == 0 && length <= kMostTimes) {
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
        const StoredMissing<decltype(stored)> missing(inputs.missing);
        limit_ = missing.limit();
        sentinel_ = missing.sentinel();
      }
    });
  }

  // False for NaN, since every comparison with it is.
  Mask<T> operator()(Vec<T> y_true) const {
    return Le(Abs(y_true), Vec<T>::Broadcast(limit_)) &
           Mask<T>{y_true.native != Vec<T>::Broadcast(sentinel_).native};
  }

  bool operator()(T y_true) const {
    return (y_true < 0 ? -y_true : y_true) <= limit_ && y_true != sentinel_;
  }

 private:
  T limit_ = std::numeric_limits<T>::infinity();
  T sentinel_ = std::numeric_limits<T>::quiet_NaN();
};

// A part of the elements as dense arrays.
template <typename T>
struct Chunk {
  const T* y_true;
  const T* y_pred;
  const T* weight;  // null: all 1
  int64_t size;
};

// One of the weights, expanded.
template <typename T>
struct FactorBuffer {
  alignas(64) T values[2 * kChunk];
  bool has_rows = false;  // one row, over and over again, from its first element on
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
  if (inputs.prediction_type == DataType::kFloat16) {
    WidenArray<Float16>(inputs.y_pred, begin, count, buffers->y_pred);
  } else {
    WidenArray<Bfloat16>(inputs.y_pred, begin, count, buffers->y_pred);
  }
  return buffers->y_pred;
}

// One of the weights; null if it was not given.
template <typename T>
const T* Factors(const Broadcast& weight, int64_t begin, int64_t count, FactorBuffer<T>* buffer) {
  if (!weight.IsPresent()) return nullptr;
  if (weight.IsFull()) return Offset<T>(weight.data, begin);
  const int64_t length = weight.num_axes == 0 ? 0 : weight.extent[weight.num_axes - 1];
  if (!RepeatsOneRow(weight) || length > kChunk) {
    Expand(weight, begin, count, buffer->values);
    return buffer->values;
  }
  // Expanded once for all chunks, which begin at different places of the row.
  if (!buffer->has_rows) Expand(weight, 0, kChunk + length, buffer->values);
  buffer->has_rows = true;
  return buffer->values + begin % length;
}

// The products of the weights; null if there are none.
template <typename T>
const T* Weights(const MaskedLossInputs& inputs, int64_t begin, int64_t count,
                 ChunkBuffers<T>* buffers) {
  static_assert(kMaxWeights == 2);
  const T* first = Factors(inputs.weights[0], begin, count, &buffers->factors[0]);
  const T* second = Factors(inputs.weights[1], begin, count, &buffers->factors[1]);
  if (first == nullptr || second == nullptr) return first ? first : second;
  for (int64_t i = 0; i < count; ++i) {
    buffers->weight[i] = Read<T>(first, i) * Read<T>(second, i);
  }
  return buffers->weight;
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

// Calls strip(y_true, y_pred, weight, offset, count) for each strip of the chunk. The pointers can
// be read for a whole strip; only the first `count` elements are the chunk's.
template <typename T, typename Strip>
inline __attribute__((always_inline)) void ForEachStrip(const Chunk<T>& chunk, Strip&& strip) {
  int64_t i = 0;
  for (; i + kStrip <= chunk.size; i += kStrip) {
    strip(chunk.y_true + i, chunk.y_pred + i, chunk.weight + (chunk.weight ? i : 0), i, kStrip);
  }
  if (i == chunk.size) return;

  alignas(64) T y_true[kStrip], y_pred[kStrip] = {}, weight[kStrip] = {};
  for (T& label : y_true) label = std::numeric_limits<T>::quiet_NaN();
  const int64_t rest = chunk.size - i;
  std::memcpy(y_true, chunk.y_true + i, rest * sizeof(T));
  std::memcpy(y_pred, chunk.y_pred + i, rest * sizeof(T));
  if (chunk.weight) std::memcpy(weight, chunk.weight + i, rest * sizeof(T));
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

// The sixteen lanes in which a range of elements is summed.
template <typename T, bool kWeighted>
class Accumulator {
 public:
  static constexpr int kVectors = kStrip / Vec<T>::kLanes;
  static constexpr int kParts = Widened<T>::kParts;

  // `loss` and `weight` must be 0 where not valid.
  void Add(int vector, Mask<T> valid, Vec<T> loss, Vec<T> weight) {
    const Widened<T> losses(loss);
    const Widened<T> weights(weight);
#pragma GCC unroll 2
    for (int part = 0; part < kParts; ++part) {
      Vec<double>& loss_sum = loss_sum_[vector * kParts + part];
      Vec<double>& weight_sum = weight_sum_[vector * kParts + part];
      if constexpr (kWeighted) {
        // Exact for float: the product of two 24-bit numbers fits a double.
        loss_sum = loss_sum + losses.part[part] * weights.part[part];
        weight_sum = weight_sum + weights.part[part];
      } else {
        loss_sum = loss_sum + losses.part[part];
      }
    }
    // A true lane is -1. Its 32 bits last for 2^35 elements of one call.
    count_[vector].native -= valid.native;
  }

  Sums Total() const {
    Sums sums;
    sums.loss_sum = TotalOf(loss_sum_);
    for (const Mask<T>& counts : count_) {
      for (int lane = 0; lane < Vec<T>::kLanes; ++lane) sums.valid_count += counts.native[lane];
    }
    sums.weight_sum = kWeighted ? TotalOf(weight_sum_) : static_cast<double>(sums.valid_count);
    return sums;
  }

 private:
  static double TotalOf(const Vec<double> (&lanes)[kVectors * kParts]) {
    double lane[kStrip];
    static_assert(sizeof(lane) == sizeof(lanes));
    std::memcpy(lane, lanes, sizeof(lane));
    double total = 0.0;
    for (const double value : lane) total += value;
    return total;
  }

  Vec<double> loss_sum_[kVectors * kParts] = {};
  Vec<double> weight_sum_[kVectors * kParts] = {};
  Mask<T> count_[kVectors] = {};
};

template <bool kWeighted, typename T, typename Loss>
Sums SumElements(const Loss& loss, const MaskedLossInputs& inputs, int64_t begin, int64_t end) {
  using V = Vec<T>;
  const Validity<T> is_valid(inputs);
  const V zero{};
  Accumulator<T, kWeighted> accumulator;
  ForEachChunk<T>(inputs, begin, end, [&](const Chunk<T>& chunk, int64_t) {
    // A copy that nothing points to stays in registers: the arrays could overlap the original.
    Accumulator<T, kWeighted> registers = accumulator;
    ForEachStrip(chunk, [&](const T* y_true, const T* y_pred, const T* weight, int64_t, int64_t) {
      ForEachVector<T>([&](int vector, int lane) {
        const V t = V::Load(y_true + lane);
        const V p = V::Load(y_pred + lane);
        const Mask<T> valid = is_valid(t);
        const V w = kWeighted ? Select(valid, V::Load(weight + lane), zero) : zero;
        registers.Add(vector, valid, Select(valid, loss.Value(t, p), zero), w);
      });
    });
    accumulator = registers;
  });
  return accumulator.Total();
}

template <typename T, typename Loss>
Sums SumElements(const Loss& loss, const MaskedLossInputs& inputs, int64_t begin, int64_t end) {
  return IsWeighted(inputs) ? SumElements<true, T>(loss, inputs, begin, end)
                            : SumElements<false, T>(loss, inputs, begin, end);
}

template <typename T>
int64_t CountValid(const Validity<T>& is_valid, const Chunk<T>& chunk) {
  Mask<T> lanes[kStrip / Vec<T>::kLanes] = {};
  ForEachStrip(chunk, [&](const T* y_true, const T*, const T*, int64_t, int64_t) {
    ForEachVector<T>([&](int vector, int lane) {
      lanes[vector].native -= is_valid(Vec<T>::Load(y_true + lane)).native;  // a true lane is -1
    });
  });
  int64_t count = 0;
  for (const Mask<T>& counts : lanes) {
    for (int lane = 0; lane < Vec<T>::kLanes; ++lane) count += counts.native[lane];
  }
  return count;
}

// What to do with a strip of results.
struct StoreStrip {
  template <typename T>
  void operator()(Vec<T> value, T* address) const {
    value.Store(address);
  }
};
struct StreamStrip {
  template <typename T>
  void operator()(Vec<T> value, T* address) const {
    value.Stream(address);
  }
};

// scale = first * second, and second is 1 unless the scale is tiny.
template <typename T>
struct Scale {
  T first;
  T second = 1;

  explicit Scale(double scale) : first(static_cast<T>(scale)) {
    const double magnitude = __builtin_fabs(scale);
    if (sizeof(T) == sizeof(float) && 0.0 < magnitude && magnitude < kTinyScale) {
      first = static_cast<T>(scale / kHalfOfTinyScale);
      second = static_cast<T>(kHalfOfTinyScale);
    }
  }
};

// out[i] = valid ? scale * w_i * formula(t_i, p_i) : +0.0
template <bool kWeighted, typename T, typename Formula, typename Write>
void MapChunk(const Formula& formula, const Validity<T>& is_valid, const Chunk<T>& chunk,
              Scale<T> scale, T* out, Write write) {
  using V = Vec<T>;
  const V first = V::Broadcast(scale.first);
  const V second = V::Broadcast(scale.second);
  ForEachStrip(
      chunk, [&](const T* y_true, const T* y_pred, const T* weight, int64_t offset, int64_t count) {
        alignas(64) T padded[kStrip];
        T* const target = count == kStrip ? out + offset : padded;
        ForEachVector<T>([&](int, int lane) {
          const V t = V::Load(y_true + lane);
          const V p = V::Load(y_pred + lane);
          const V value = formula(t, p);
          const V scaled =
              kWeighted ? first * V::Load(weight + lane) * second * value : first * value * second;
          write(Select(is_valid(t), scaled, V{}), target + lane);
        });
        if (count < kStrip) std::memcpy(out + offset, padded, count * sizeof(T));
      });
}

template <typename T, typename Formula, typename Write = StoreStrip>
void MapChunk(const Formula& formula, const Validity<T>& is_valid, const Chunk<T>& chunk,
              Scale<T> scale, T* out, Write write = {}) {
  if (chunk.weight) {
    MapChunk<true>(formula, is_valid, chunk, scale, out, write);
  } else {
    MapChunk<false>(formula, is_valid, chunk, scale, out, write);
  }
}

// array[begin ...] = the values, narrowed; past the caches if asked for.
template <typename Stored>
void WriteNarrowed(const float* values, int64_t count, void* array, int64_t begin, bool streams) {
  if (!streams) return NarrowArray<Stored>(values, count, array, begin);
  alignas(64) Stored narrowed[kChunk];
  NarrowArray<Stored>(values, count, narrowed, 0);
  char* const target = static_cast<char*>(array) + begin * sizeof(Stored);
  const int64_t bytes = count * sizeof(Stored);
  int64_t done = 0;
  for (; done + kVectorBytes <= bytes; done += kVectorBytes) {
    const auto* source = reinterpret_cast<const char*>(narrowed) + done;
    Vec<float>::Load(reinterpret_cast<const float*>(source))
        .Stream(reinterpret_cast<float*>(target + done));
  }
  std::memcpy(target + done, reinterpret_cast<const char*>(narrowed) + done, bytes - done);
}

// Calls map(out) with memory for `count` values of type T, which then are the gradient's elements
// from `begin` on; through a buffer if the gradient has another type. A buffer takes one chunk.
template <typename T, typename Map>
void WriteGradient(const MaskedLossInputs& inputs, int64_t begin, int64_t count, bool streams,
                   void* gradient, Map&& map) {
  if (Is<T>(inputs.prediction_type)) return map(static_cast<T*>(gradient) + begin);
  if constexpr (sizeof(T) == sizeof(float)) {
    alignas(64) T values[kChunk];
    map(values);
    if (inputs.prediction_type == DataType::kFloat16) {
      WriteNarrowed<Float16>(values, count, gradient, begin, streams);
    } else {
      WriteNarrowed<Bfloat16>(values, count, gradient, begin, streams);
    }
  }
}

// Calls body(first_row, number_of_rows) for groups of rows that fit a chunk.
template <typename Body>
void ForEachGroupOfShortRows(int64_t row_size, int64_t begin, int64_t end, Body&& body) {
  const int64_t rows_per_group = kChunk / row_size;
  for (int64_t row = begin; row < end; row += rows_per_group) {
    body(row, end - row < rows_per_group ? end - row : rows_per_group);
  }
}

template <typename T>
T MeanOrZero(double sum, int64_t count) {
  return count == 0 ? T{0} : static_cast<T>(sum / static_cast<double>(count));
}

// Sums of rows so short that adding them up lane by lane would waste most lanes: the element losses
// are computed across row borders, then each row is added up.
template <typename T, typename Loss, typename Body>
void SumShortRows(const Loss& loss, const MaskedLossInputs& inputs, int64_t row_size,
                  int64_t first_row, int64_t num_rows, Body&& body) {
  const int64_t begin = first_row * row_size;
  const int64_t size = num_rows * row_size;
  ChunkBuffers<T> buffers;
  alignas(64) T values[kChunk];
  const Validity<T> is_valid(inputs);
  const Chunk<T> chunk{MaskedLabels(inputs, begin, size, &buffers),
                       Predictions(inputs, begin, size, &buffers), nullptr, size};
  MapChunk([&](Vec<T> t, Vec<T> p) { return loss.Value(t, p); }, is_valid, chunk, Scale<T>(1.0),
           values);
  const T* weight = Weights(inputs, begin, size, &buffers);
  for (int64_t row = 0; row < num_rows; ++row) {
    Sums sums;
    // No branches: nobody could guess them. The values are 0 where not valid.
    for (int64_t i = row * row_size; i < (row + 1) * row_size; ++i) {
      const bool valid = is_valid(Read<T>(chunk.y_true, i));
      const double given = weight ? static_cast<double>(Read<T>(weight, i)) : 1.0;
      const double w = valid ? given : 0.0;
      sums.loss_sum += static_cast<double>(values[i]) * w;
      sums.weight_sum += w;
      sums.valid_count += valid;
    }
    body(first_row + row, sums);
  }
}

// Takes the elements as rows of `row_size` and calls body(row, sums) for the rows [begin, end).
template <typename T, typename Loss, typename Body>
void ForEachRow(const Loss& loss, const MaskedLossInputs& inputs, int64_t row_size, int64_t begin,
                int64_t end, Body&& body) {
  if (row_size <= kShortRow) {
    ForEachGroupOfShortRows(row_size, begin, end, [&](int64_t row, int64_t num_rows) {
      SumShortRows<T>(loss, inputs, row_size, row, num_rows, body);
    });
    return;
  }
  for (int64_t row = begin; row < end; ++row) {
    body(row, SumElements<T>(loss, inputs, row * row_size, (row + 1) * row_size));
  }
}

// The gradient of row means: first the valid elements of each row are counted, then the chunk runs
// with weights that carry the row's factor.
template <typename T, typename Loss>
void GradientOfShortRows(const Loss& loss, const MaskedLossInputs& inputs, int64_t first_row,
                         int64_t num_rows, double loss_gradient, const void* row_gradients,
                         void* gradient) {
  const int64_t row_size = inputs.row_size;
  const int64_t begin = first_row * row_size;
  const int64_t size = num_rows * row_size;
  ChunkBuffers<T> buffers;
  const T* y_true = MaskedLabels(inputs, begin, size, &buffers);
  const T* weight = Weights(inputs, begin, size, &buffers);
  const Validity<T> is_valid(inputs);
  for (int64_t row = 0; row < num_rows; ++row) {
    int64_t count = 0;
    for (int64_t i = row * row_size; i < (row + 1) * row_size; ++i) {
      count += is_valid(Read<T>(y_true, i));
    }
    const double mean_gradient =
        row_gradients ? Read<T>(row_gradients, first_row + row) : loss_gradient;
    const T factor = MeanOrZero<T>(mean_gradient, count);
    for (int64_t i = row * row_size; i < (row + 1) * row_size; ++i) {
      buffers.weight[i] = weight ? factor * Read<T>(weight, i) : factor;
    }
  }
  const Chunk<T> chunk{y_true, Predictions(inputs, begin, size, &buffers), buffers.weight, size};
  WriteGradient<T>(inputs, begin, size, false, gradient, [&](T* out) {
    MapChunk([&](Vec<T> t, Vec<T> p) { return loss.Derivative(t, p); }, is_valid, chunk,
             Scale<T>(1.0), out);
  });
}

// Calls body(loss, T{}) with the inputs' loss and computing type.
template <typename Body>
void Dispatch(const MaskedLossInputs& inputs, Body&& body) {
  AllLosses::Visit(inputs.loss, inputs.parameters, [&](const auto& loss) {
    if (inputs.computing_type() == DataType::kFloat64) {
      body(loss, double{});
    } else {
      body(loss, float{});
    }
  });
}

void SumBlock(const MaskedLossInputs& inputs, int64_t begin, int64_t end, Sums* sums) {
  Dispatch(inputs, [&](const auto& loss, auto type) {
    *sums = SumElements<decltype(type)>(loss, inputs, begin, end);
  });
}

void MeanRows(const MaskedLossInputs& inputs, int64_t begin, int64_t end, void* row_means,
              Sums* sums) {
  Dispatch(inputs, [&](const auto& loss, auto type) {
    using T = decltype(type);
    *sums = Sums{};
    ForEachRow<T>(loss, inputs, inputs.row_size, begin, end, [&](int64_t row, const Sums& of_row) {
      sums->loss_sum += MeanOrZero<double>(of_row.loss_sum, of_row.valid_count);
      sums->valid_count += of_row.valid_count;
      if (row_means == nullptr) return;
      const T mean = MeanOrZero<T>(of_row.loss_sum, of_row.valid_count);
      std::memcpy(static_cast<T*>(row_means) + row, &mean, sizeof(T));
    });
  });
}

void SumRows(const MaskedLossInputs& inputs, int64_t row_size, int64_t begin, int64_t end,
             int64_t num_groups, Sums* groups) {
  Dispatch(inputs, [&](const auto& loss, auto type) {
    ForEachRow<decltype(type)>(
        loss, inputs, row_size, begin, end,
        [&](int64_t row, const Sums& of_row) { groups[row % num_groups] += of_row; });
  });
}

int64_t SizeOf(DataType floating_type) {
  if (floating_type == DataType::kFloat64) return sizeof(double);
  return floating_type == DataType::kFloat32 ? sizeof(float) : sizeof(Float16);
}

// Whether the gradient from element `begin` on goes past the caches.
bool Streams(const MaskedLossInputs& inputs, int64_t begin, const void* gradient) {
  const int64_t size = SizeOf(inputs.prediction_type);
  const auto address = reinterpret_cast<uintptr_t>(Offset<char>(gradient, begin * size));
  return inputs.num_elements() * size >= kStreamedBytes && address % kVectorBytes == 0;
}

template <typename T, typename Loss>
void GradientOfElements(const Loss& loss, const MaskedLossInputs& inputs, int64_t begin,
                        int64_t end, double scale, void* gradient) {
  const bool streams = Streams(inputs, begin, gradient);
  const Validity<T> is_valid(inputs);
  const auto derivative = [&](Vec<T> t, Vec<T> p) { return loss.Derivative(t, p); };
  ForEachChunk<T>(inputs, begin, end, [&](const Chunk<T>& chunk, int64_t offset) {
    WriteGradient<T>(inputs, offset, chunk.size, streams, gradient, [&](T* out) {
      if (streams && Is<T>(inputs.prediction_type)) {
        MapChunk(derivative, is_valid, chunk, Scale<T>(scale), out, StreamStrip{});
      } else {
        MapChunk(derivative, is_valid, chunk, Scale<T>(scale), out);
      }
    });
  });
  if (streams) StreamFence();
}

void Gradient(const MaskedLossInputs& inputs, int64_t begin, int64_t end, double scale,
              void* gradient) {
  Dispatch(inputs, [&](const auto& loss, auto type) {
    GradientOfElements<decltype(type)>(loss, inputs, begin, end, scale, gradient);
  });
}

void GradientRows(const MaskedLossInputs& inputs, int64_t begin, int64_t end, double loss_gradient,
                  const void* row_gradients, void* gradient) {
  Dispatch(inputs, [&](const auto& loss, auto type) {
    using T = decltype(type);
    if (inputs.row_size <= kShortRow) {
      ForEachGroupOfShortRows(inputs.row_size, begin, end, [&](int64_t row, int64_t num_rows) {
        GradientOfShortRows<T>(loss, inputs, row, num_rows, loss_gradient, row_gradients, gradient);
      });
      return;
    }
    const Validity<T> is_valid(inputs);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t first = row * inputs.row_size;
      const int64_t last = first + inputs.row_size;
      int64_t count = 0;
      ForEachChunk<T>(inputs, first, last, [&](const Chunk<T>& chunk, int64_t) {
        count += CountValid(is_valid, chunk);
      });
      const double mean_gradient = row_gradients ? Read<T>(row_gradients, row) : loss_gradient;
      GradientOfElements<T>(loss, inputs, first, last, MeanOrZero<double>(mean_gradient, count),
                            gradient);
    }
  });
}

void Elements(const MaskedLossInputs& inputs, int64_t begin, int64_t end, ElementKind kind,
              void* elements) {
  Dispatch(inputs, [&](const auto& loss, auto type) {
    using T = decltype(type);
    using V = Vec<T>;
    const Validity<T> is_valid(inputs);
    const auto map = [&](const auto& formula) {
      ForEachChunk<T>(inputs, begin, end, [&](Chunk<T> chunk, int64_t offset) {
        chunk.weight = nullptr;
        MapChunk(formula, is_valid, chunk, Scale<T>(1.0), static_cast<T*>(elements) + offset);
      });
    };
    switch (kind) {
      case ElementKind::kValid:
        return map([&](V, V) { return V::Broadcast(1); });
      case ElementKind::kValue:
        return map([&](V t, V p) { return loss.Value(t, p); });
      case ElementKind::kDerivative:
        return map([&](V t, V p) { return loss.Derivative(t, p); });
      case ElementKind::kSecondDerivative:
        return map([&](V t, V p) { return loss.SecondDerivative(t, p); });
    }
  });
}

}  // namespace

extern const CpuKernels MASKLSTM_KERNEL_TABLE;
const CpuKernels MASKLSTM_KERNEL_TABLE = {SumBlock, MeanRows,     SumRows,
                                          Gradient, GradientRows, Elements};

}  // namespace masklstm
