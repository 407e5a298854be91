// The CPU kernels. This file is compiled once per instruction set, into an object whose only
// visible symbol is the table at its end.
//
// The arithmetic runs on strips of kStrip elements (chunks.h): whole registers on every instruction
// set, and one accumulator lane for each element of the strip, so that the order of additions is
// the same everywhere. Contraction to fused multiply-add is off for the same reason.
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "csrc/core/division.h"
#include "csrc/cpu/accumulator.h"
#include "csrc/cpu/channel_loops.h"
#include "csrc/cpu/chunks.h"
#include "csrc/cpu/function_table.h"
#include "csrc/cpu/simd.h"
#include "csrc/cpu/simd_arithmetic.h"
#include "csrc/cpu/simd_math.h"
#include "csrc/cpu/stored_arrays.h"
#include "csrc/losses/losses.h"

namespace masklstm {
namespace {

// A gradient larger than a last-level cache is written past the caches: its first reader comes too
// late to find it there, and the memory need not be read before it is overwritten.
constexpr int64_t kStreamedBytes = int64_t{32} << 20;
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

// Where the numbers are 0, or too small or too large to have all their digits.
template <typename T>
Mask<T> OutOfRange(Vec<T> x) {
  const Vec<T> magnitude = Abs(x);
  return Lt(magnitude, Vec<T>::Broadcast(std::numeric_limits<T>::min())) |
         Gt(magnitude, Vec<T>::Broadcast(std::numeric_limits<T>::max()));
}

// A strip whose products leave the type's range on the way: element by element. Everything comes by
// value, see MapChunk.
template <typename T, typename Formula>
__attribute__((noinline)) void MapStripByElement(Formula formula, Validity<T> is_valid,
                                                 const T* y_true, const T* y_pred, const T* weight,
                                                 Scale<T> scale, T* out, int64_t count) {
  alignas(64) T values[kStrip];
  ForEachVector<T>([&](int, int lane) {
    formula(Vec<T>::Load(y_true + lane), Vec<T>::Load(y_pred + lane)).Store(values + lane);
  });
  for (int64_t i = 0; i < count; ++i) {
    const T w = weight ? Read<T>(weight, i) : T{1};
    values[i] = is_valid(Read<T>(y_true, i)) ? Scaled(scale, w, values[i]) : T{0};
  }
  std::memcpy(out, values, count * sizeof(T));
}

// Which products of scale and weight may leave the type's range, and have to be looked at.
enum class Range { kKept, kToBeChecked };

// out[i] = valid ? scale * w_i * formula(t_i, p_i) : +0.0
//
// What the loop needs comes by value: it stores through `out`, which for all that the compiler
// knows could change whatever is behind a reference, and that would be loaded again for each strip.
template <bool kWeighted, Range kRange, typename T, typename Formula, typename Write>
void MapChunk(Formula formula, Validity<T> is_valid, Chunk<T> chunk, Scale<T> scale, T* out,
              Write write) {
  using V = Vec<T>;
  constexpr int kVectors = kStrip / V::kLanes;
  const V factor = V::Broadcast(scale.rounded);
  ForEachStrip(
      chunk, [&](const T* y_true, const T* y_pred, const T* weight, int64_t offset, int64_t count) {
        V factors[kVectors];
        ForEachVector<T>([&](int vector, int lane) {
          factors[vector] = kWeighted ? factor * V::Load(weight + lane) : factor;
        });
        if constexpr (kRange == Range::kToBeChecked) {
          bool by_element = !scale.is_held;
          Mask<T> lost{};
          ForEachVector<T>([&](int vector, int) { lost = lost | OutOfRange(factors[vector]); });
          if (__builtin_expect(kWeighted && Any(lost), 0)) {  // weights of 0 are as good as others
            Mask<T> at_weights{};
            ForEachVector<T>([&](int vector, int lane) {
              const V w = V::Load(weight + lane);
              at_weights = at_weights | (OutOfRange(factors[vector]) & (Lt(w, V{}) | Gt(w, V{})));
            });
            by_element |= Any(at_weights);
          }
          if (__builtin_expect(by_element, 0)) {
            return MapStripByElement(formula, is_valid, y_true, y_pred,
                                     kWeighted ? weight : nullptr, scale, out + offset, count);
          }
        }
        alignas(64) T padded[kStrip];
        T* const target = count == kStrip ? out + offset : padded;
        ForEachVector<T>([&](int vector, int lane) {
          const V t = V::Load(y_true + lane);
          const V p = V::Load(y_pred + lane);
          const V scaled = factors[vector] * formula(t, p);
          write(Select(is_valid(t), scaled, V{}), target + lane);
        });
        if (count < kStrip) std::memcpy(out + offset, padded, count * sizeof(T));
      });
}

template <typename T, typename Formula, typename Write = StoreStrip>
void MapChunk(const Formula& formula, const Validity<T>& is_valid, const Chunk<T>& chunk,
              Scale<T> scale, T* out, Write write = {}) {
  const bool is_kept = chunk.weight.is_ordinary && IsOrdinary(scale.rounded) && scale.is_held;
  if (chunk.weight.values && is_kept) {
    MapChunk<true, Range::kKept>(formula, is_valid, chunk, scale, out, write);
  } else if (chunk.weight.values) {
    MapChunk<true, Range::kToBeChecked>(formula, is_valid, chunk, scale, out, write);
  } else if (scale.is_held) {
    MapChunk<false, Range::kKept>(formula, is_valid, chunk, scale, out, write);
  } else {
    MapChunk<false, Range::kToBeChecked>(formula, is_valid, chunk, scale, out, write);
  }
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
    VisitPredictionType(inputs.prediction_type, [&](auto stored) {
      using Stored = decltype(stored);
      if constexpr (kIsConverted<Stored, T>) {
        NarrowArray<Stored>(values, count, streams, gradient, begin);
      }
    });
  }
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
                       Predictions(inputs, begin, size, &buffers),
                       {nullptr, true},
                       size};
  MapChunk([&](Vec<T> t, Vec<T> p) { return loss.Value(t, p); }, is_valid, chunk, Scale<T>(1.0),
           values);
  const T* weight = Weights(inputs, begin, size, &buffers).values;
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
    ForEachGroupOfRows(kChunk / row_size, begin, end, [&](int64_t row, int64_t num_rows) {
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
  Weighing<T> weight = Weights(inputs, begin, size, &buffers);
  const Validity<T> is_valid(inputs);
  double scales[kChunk];  // of the rows
  bool fits = true;
  for (int64_t row = 0; row < num_rows; ++row) {
    int64_t count = 0;
    for (int64_t i = row * row_size; i < (row + 1) * row_size; ++i) {
      count += is_valid(Read<T>(y_true, i));
    }
    const double mean_gradient =
        row_gradients ? Read<T>(row_gradients, first_row + row) : loss_gradient;
    scales[row] = MeanOrZero<double>(mean_gradient, count);
    const Scale<T> scale(scales[row]);
    fits &= scale.is_held;
    const bool is_kept = !weight.values || (weight.is_ordinary && IsOrdinary(scale.rounded));
    for (int64_t i = row * row_size; i < (row + 1) * row_size; ++i) {
      const T w = weight.values ? Read<T>(weight.values, i) : T{1};
      buffers.weight[i] = scale.rounded * w;
      if (!is_kept) fits &= IsNormal<T>(buffers.weight[i]) | (w == 0) | (scale.rounded == 0);
    }
  }
  const T* y_pred = Predictions(inputs, begin, size, &buffers);
  const auto derivative = [loss](Vec<T> t, Vec<T> p) { return loss.Derivative(t, p); };
  WriteGradient<T>(inputs, begin, size, false, gradient, [&](T* out) {
    const Chunk<T> chunk{y_true, y_pred, {buffers.weight, fits}, size};
    if (fits) return MapChunk(derivative, is_valid, chunk, Scale<T>(1.0), out);
    weight = Weights(inputs, begin, size, &buffers);  // as they were
    for (int64_t row = 0; row < num_rows; ++row) {
      const int64_t first = row * row_size;
      const Weighing<T> of_weights{weight.values ? weight.values + first : nullptr,
                                   weight.is_ordinary};
      const Chunk<T> of_row{y_true + first, y_pred + first, of_weights, row_size};
      MapChunk(derivative, is_valid, of_row, Scale<T>(scales[row]), out + first);
    }
  });
}

// Calls body(loss, T{}) with the inputs' loss and computing type; of a loss with channels
// body_of_channels(loss).
template <typename Body, typename BodyOfChannels>
void Dispatch(const MaskedLossInputs& inputs, Body&& body, BodyOfChannels&& body_of_channels) {
  AllLosses::Visit(inputs.loss, inputs.parameters, [&](const auto& loss) {
    if constexpr (kHasChannels<std::decay_t<decltype(loss)>>) {
      body_of_channels(loss);
    } else if (inputs.computing_type() == DataType::kFloat64) {
      body(loss, double{});
    } else {
      body(loss, float{});
    }
  });
}

void SumBlock(const MaskedLossInputs& inputs, int64_t begin, int64_t end, Sums* sums) {
  Dispatch(
      inputs,
      [&](const auto& loss, auto type) {
        *sums = SumElements<decltype(type)>(loss, inputs, begin, end);
      },
      [&](const auto& loss) { *sums = SumOfChannels(loss, inputs, begin, end); });
}

// One mean of row means: of T where they are written.
template <typename T>
void AddMean(const Sums& of_row, int64_t row, void* row_means, Sums* sums) {
  sums->loss_sum += MeanOrZero<double>(of_row.loss_sum, of_row.valid_count);
  sums->valid_count += of_row.valid_count;
  if (row_means == nullptr) return;
  const T mean = MeanOrZero<T>(of_row.loss_sum, of_row.valid_count);
  std::memcpy(static_cast<T*>(row_means) + row, &mean, sizeof(T));
}

void MeanRows(const MaskedLossInputs& inputs, int64_t begin, int64_t end, void* row_means,
              Sums* sums) {
  *sums = Sums{};
  Dispatch(
      inputs,
      [&](const auto& loss, auto type) {
        using T = decltype(type);
        ForEachRow<T>(
            loss, inputs, inputs.row_size, begin, end,
            [&](int64_t row, const Sums& of_row) { AddMean<T>(of_row, row, row_means, sums); });
      },
      [&](const auto& loss) {
        const bool is_double = inputs.computing_type() == DataType::kFloat64;
        ForEachRowOfChannels(loss, inputs, inputs.row_size, begin, end,
                             [&](int64_t row, const Sums& of_row) {
                               if (is_double) return AddMean<double>(of_row, row, row_means, sums);
                               AddMean<float>(of_row, row, row_means, sums);
                             });
      });
}

void SumRows(const MaskedLossInputs& inputs, int64_t row_size, int64_t begin, int64_t end,
             int64_t num_groups, Sums* groups) {
  const auto add = [&](int64_t row, const Sums& of_row) { groups[row % num_groups] += of_row; };
  Dispatch(
      inputs,
      [&](const auto& loss, auto type) {
        ForEachRow<decltype(type)>(loss, inputs, row_size, begin, end, add);
      },
      [&](const auto& loss) { ForEachRowOfChannels(loss, inputs, row_size, begin, end, add); });
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
  const auto derivative = [loss](Vec<T> t, Vec<T> p) { return loss.Derivative(t, p); };
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
  Dispatch(
      inputs,
      [&](const auto& loss, auto type) {
        GradientOfElements<decltype(type)>(loss, inputs, begin, end, scale, gradient);
      },
      [&](const auto& loss) { GradientOfChannels(loss, inputs, begin, end, scale, gradient); });
}

void GradientRows(const MaskedLossInputs& inputs, int64_t begin, int64_t end, double loss_gradient,
                  const void* row_gradients, void* gradient) {
  Dispatch(
      inputs,
      [&](const auto& loss, auto type) {
        using T = decltype(type);
        if (inputs.row_size <= kShortRow) {
          ForEachGroupOfRows(kChunk / inputs.row_size, begin, end,
                             [&](int64_t row, int64_t num_rows) {
                               GradientOfShortRows<T>(loss, inputs, row, num_rows, loss_gradient,
                                                      row_gradients, gradient);
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
      },
      [&](const auto& loss) {
        GradientOfRowsOfChannels(loss, inputs, begin, end, loss_gradient, row_gradients, gradient);
      });
}

void Elements(const MaskedLossInputs& inputs, int64_t begin, int64_t end, ElementKind kind,
              void* elements) {
  Dispatch(
      inputs,
      [&](const auto& loss, auto type) {
        using T = decltype(type);
        using V = Vec<T>;
        const Validity<T> is_valid(inputs);
        const auto map = [&](const auto& formula) {
          ForEachChunk<T>(inputs, begin, end, [&](Chunk<T> chunk, int64_t offset) {
            chunk.weight.values = nullptr;
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
          case ElementKind::kDirectionalDerivative:
            return;  // without channels there is none
        }
      },
      [&](const auto& loss) { ElementsOfChannels(loss, inputs, begin, end, kind, elements); });
}

}  // namespace

extern const CpuKernels MASKLSTM_KERNEL_TABLE;
const CpuKernels MASKLSTM_KERNEL_TABLE = {SumBlock, MeanRows,     SumRows,
                                          Gradient, GradientRows, Elements};

}  // namespace masklstm
