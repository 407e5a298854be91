// The loops of losses with channels (csrc/losses/channels.h): like those of loops.cc, but always in
// doubles, and with an array for each channel.
//
// Design:
//   A. A chunk of the predictions is spread out into planes, an array for each channel, which stay
//      in the nearest cache; derivatives are made in planes too, and put together again.
//   B. Labels and weights become doubles beside them. The last strip is padded with NaN labels.
//   C. Sums are made in the lanes and the order of loops.cc.
#ifndef MASKLSTM_CSRC_CPU_CHANNEL_LOOPS_H_
#define MASKLSTM_CSRC_CPU_CHANNEL_LOOPS_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "csrc/core/division.h"
#include "csrc/core/masked_loss.h"
#include "csrc/core/stored_types.h"
#include "csrc/cpu/accumulator.h"
#include "csrc/cpu/chunks.h"
#include "csrc/cpu/simd.h"
#include "csrc/cpu/simd_arithmetic.h"
#include "csrc/cpu/stored_arrays.h"
#include "csrc/cpu/transpose.h"
#include "csrc/losses/channels.h"
#include "csrc/losses/dual.h"

namespace masklstm {
namespace {

constexpr int64_t kMinPlane = kShortRow;
constexpr int64_t kPlaneDoubles = 4096;                // of all planes of a chunk, about
constexpr int64_t kPlanes = kMaxChannels * kMinPlane;  // doubles that they can be at most
static_assert(kPlanes >= kPlaneDoubles);

// How many elements a chunk has.
inline int64_t PlaneSize(int64_t num_channels) {
  const int64_t size = kPlaneDoubles / num_channels / kStrip * kStrip;
  return std::min(kChunk, std::max(kMinPlane, size));
}

// Planes as the formulas take them: the registers that begin at one element.
struct PlanesAt {
  const double* first;
  int64_t size;
  Vec<double> operator[](int channel) const { return Vec<double>::Load(first + channel * size); }
};

struct DualPlanesAt {
  PlanesAt values;
  PlanesAt tangents;
  Dual<Vec<double>> operator[](int channel) const { return {values[channel], tangents[channel]}; }
};

// planes[c][i] = the number in channel c of element begin + i. Where the number of channels is a
// constant, the compiler can make shuffles of registers of it.
template <typename Stored, int kChannels>
void SpreadOut(const void* array, int64_t begin, int64_t count, int64_t num_channels,
               int64_t plane_size, double* __restrict planes) {
  const int64_t step = kChannels == 0 ? num_channels : kChannels;
  const char* const first = static_cast<const char*>(array) + begin * step * sizeof(Stored);
  if constexpr (kChannels > 0) {
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 8
      for (int c = 0; c < kChannels; ++c) {
        const auto number = Widen(Read<Stored>(first, i * kChannels + c));
        planes[c * plane_size + i] = static_cast<double>(number);
      }
    }
  } else {
    int64_t c = 0;
#if defined(__AVX2__)
    if constexpr (std::is_same_v<Stored, float>) {
      for (; c + kTransposed <= step; c += kTransposed) {
        const float* const channels = reinterpret_cast<const float*>(first) + c;
        double* const plane = planes + c * plane_size;
        const int64_t done = SpreadOutEight(channels, count, step, plane_size, plane);
        for (int64_t i = done; i < count; ++i) {
          for (int k = 0; k < kTransposed; ++k) {
            plane[k * plane_size + i] = Read<float>(channels, i * step + k);
          }
        }
      }
    }
#endif
    for (; c < step; ++c) {
      double* const plane = planes + c * plane_size;
      for (int64_t i = 0; i < count; ++i) {
        plane[i] = static_cast<double>(Widen(Read<Stored>(first, i * step + c)));
      }
    }
  }
}

template <typename Stored>
void SpreadOut(const void* array, int64_t begin, int64_t count, int64_t num_channels,
               int64_t plane_size, double* planes) {
  switch (num_channels) {
    case 2:
      return SpreadOut<Stored, 2>(array, begin, count, num_channels, plane_size, planes);
    case 3:
      return SpreadOut<Stored, 3>(array, begin, count, num_channels, plane_size, planes);
  }
  SpreadOut<Stored, 0>(array, begin, count, num_channels, plane_size, planes);
}

// The reverse of SpreadOut.
template <typename Stored, int kChannels>
void PutTogether(const double* planes, int64_t count, int64_t num_channels, int64_t plane_size,
                 void* __restrict array, int64_t begin) {
  const int64_t step = kChannels == 0 ? num_channels : kChannels;
  char* const first = static_cast<char*>(array) + begin * step * sizeof(Stored);
  const auto write = [&](int64_t index, double number) {
    const Stored stored = NarrowFromDouble<Stored>(number);
    std::memcpy(first + index * sizeof(Stored), &stored, sizeof(Stored));
  };
  if constexpr (kChannels > 0) {
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 8
      for (int c = 0; c < kChannels; ++c) write(i * kChannels + c, planes[c * plane_size + i]);
    }
  } else {
    int64_t c = 0;
#if defined(__AVX2__)
    if constexpr (std::is_same_v<Stored, float>) {
      for (; c + kTransposed <= step; c += kTransposed) {
        float* const channels = reinterpret_cast<float*>(first) + c;
        const double* const plane = planes + c * plane_size;
        const int64_t done = PutTogetherEight(plane, count, plane_size, step, channels);
        for (int64_t i = done; i < count; ++i) {
          for (int k = 0; k < kTransposed; ++k) write(i * step + c + k, plane[k * plane_size + i]);
        }
      }
    }
#endif
    for (; c < step; ++c) {
      for (int64_t i = 0; i < count; ++i) write(i * step + c, planes[c * plane_size + i]);
    }
  }
}

template <typename Stored>
void PutTogether(const double* planes, int64_t count, int64_t num_channels, int64_t plane_size,
                 void* array, int64_t begin) {
  switch (num_channels) {
    case 1:
      return PutTogether<Stored, 1>(planes, count, num_channels, plane_size, array, begin);
    case 2:
      return PutTogether<Stored, 2>(planes, count, num_channels, plane_size, array, begin);
    case 3:
      return PutTogether<Stored, 3>(planes, count, num_channels, plane_size, array, begin);
  }
  PutTogether<Stored, 0>(planes, count, num_channels, plane_size, array, begin);
}

// A part of the elements in doubles. All arrays can be read up to a whole strip.
class PlaneChunk {
 public:
  explicit PlaneChunk(const MaskedLossInputs& inputs)
      : inputs_(inputs),
        num_channels_(inputs.num_channels),
        plane_size_(PlaneSize(num_channels_)),
        label_size_(SizeOf(inputs.label_type)),
        prediction_size_(SizeOf(inputs.prediction_type)) {}

  int64_t plane_size() const { return plane_size_; }
  int64_t count() const { return count_; }
  int64_t padded() const { return (count_ + kStrip - 1) / kStrip * kStrip; }
  const double* y_true() const { return y_true_; }
  const double* weight() const { return has_weight_ ? weight_ : nullptr; }
  PlanesAt PredictionsAt(int64_t i) const { return {planes_ + i, plane_size_}; }

  void ReadElements(int64_t begin, int64_t count) {
    count_ = count;
    next_labels_ = static_cast<const char*>(inputs_.y_true) + (begin + count) * label_size_;
    next_predictions_ = static_cast<const char*>(inputs_.y_pred) +
                        (begin + count) * num_channels_ * prediction_size_;
    const double* labels = MaskedLabels<double>(inputs_, begin, count, &buffers_);
    if (labels != y_true_) std::memcpy(y_true_, labels, count * sizeof(double));
    std::fill(y_true_ + count, y_true_ + padded(), std::numeric_limits<double>::quiet_NaN());
    ReadPlanes(inputs_.y_pred, inputs_.prediction_type, begin, planes_);
    has_weight_ = IsWeighted(inputs_);
    if (!has_weight_) return;
    if (inputs_.computing_type() == DataType::kFloat64) {
      ReadWeights(&buffers_, begin);
    } else {
      ReadWeights(&float_buffers_, begin);
    }
  }

  // The lines of the cache that the next chunk's elements from i on are in, up to a register's
  // worth.
  void PrefetchNext(int64_t i) const {
    const int64_t label_bytes = Vec<double>::kLanes * label_size_;
    const int64_t prediction_bytes = Vec<double>::kLanes * num_channels_ * prediction_size_;
    const char* const labels = next_labels_ + i * label_size_;
    const char* const predictions = next_predictions_ + i * num_channels_ * prediction_size_;
    for (int64_t byte = 0; byte < label_bytes; byte += 64) __builtin_prefetch(labels + byte);
    for (int64_t byte = 0; byte < prediction_bytes; byte += 64) {
      __builtin_prefetch(predictions + byte);
    }
  }

  // Any array of the predictions' shape, as planes.
  void ReadPlanes(const void* array, DataType type, int64_t begin, double* planes) const {
    VisitPredictionType(type, [&](auto stored) {
      SpreadOut<decltype(stored)>(array, begin, count_, num_channels_, plane_size_, planes);
    });
    for (int64_t c = 0; c < num_channels_; ++c) {
      std::fill(planes + c * plane_size_ + count_, planes + c * plane_size_ + padded(), 0.0);
    }
  }

  void WritePlanes(const double* planes, DataType type, int64_t begin, void* array) const {
    VisitPredictionType(type, [&](auto stored) {
      PutTogether<decltype(stored)>(planes, count_, num_channels_, plane_size_, array, begin);
    });
  }

 private:
  // Weights are of the computing type.
  template <typename T>
  void ReadWeights(ChunkBuffers<T>* buffers, int64_t begin) {
    const T* const weights = Weights(inputs_, begin, count_, buffers).values;
    for (int64_t i = 0; i < count_; ++i) weight_[i] = static_cast<double>(Read<T>(weights, i));
    std::fill(weight_ + count_, weight_ + padded(), 0.0);
  }

  const MaskedLossInputs& inputs_;
  int64_t num_channels_;
  int64_t plane_size_;
  int64_t label_size_;
  int64_t prediction_size_;
  const char* next_labels_ = nullptr;
  const char* next_predictions_ = nullptr;
  int64_t count_ = 0;
  bool has_weight_ = false;
  ChunkBuffers<double> buffers_;
  ChunkBuffers<float> float_buffers_;
  alignas(64) double y_true_[kChunk];
  alignas(64) double weight_[kChunk];
  alignas(64) double planes_[kPlanes];
};

// Calls body(i) for the registers of the chunk. Meanwhile the next chunk comes from memory: what is
// only read, without any arithmetic, would wait for it.
template <typename Body>
inline __attribute__((always_inline)) void ForEachRegister(const PlaneChunk& chunk, Body&& body) {
  for (int64_t i = 0; i < chunk.padded(); i += Vec<double>::kLanes) {
    chunk.PrefetchNext(i);
    body(i);
  }
}

// Reads the elements [begin, end) chunk by chunk, and calls body(first element) for each.
template <typename Body>
void ForEachPlaneChunk(PlaneChunk* chunk, int64_t begin, int64_t end, Body&& body) {
  for (int64_t offset = begin; offset < end; offset += chunk->plane_size()) {
    chunk->ReadElements(offset, std::min(end - offset, chunk->plane_size()));
    body(offset);
  }
}

template <bool kWeighted, typename Loss>
Sums SumOfChannels(const Loss& loss, const Validity<double>& is_valid, int64_t begin, int64_t end,
                   PlaneChunk* chunk) {
  using V = Vec<double>;
  constexpr int kVectors = kStrip / V::kLanes;
  Accumulator<double, kWeighted> accumulator;
  ForEachPlaneChunk(chunk, begin, end, [&](int64_t) {
    ForEachRegister(*chunk, [&](int64_t i) {
      const V t = V::Load(chunk->y_true() + i);
      const Mask<double> valid = is_valid(t);
      const V w = kWeighted ? Select(valid, V::Load(chunk->weight() + i), V{}) : V{};
      const V value = Select(valid, loss.Value(t, chunk->PredictionsAt(i)), V{});
      accumulator.Add(i / V::kLanes % kVectors, valid, value, w);
    });
  });
  return accumulator.Total();
}

template <typename Loss>
Sums SumOfChannels(const Loss& loss, const MaskedLossInputs& inputs, int64_t begin, int64_t end,
                   PlaneChunk* chunk) {
  const Validity<double> is_valid(inputs);
  return IsWeighted(inputs) ? SumOfChannels<true>(loss, is_valid, begin, end, chunk)
                            : SumOfChannels<false>(loss, is_valid, begin, end, chunk);
}

template <typename Loss>
Sums SumOfChannels(const Loss& loss, const MaskedLossInputs& inputs, int64_t begin, int64_t end) {
  PlaneChunk chunk(inputs);
  return SumOfChannels(loss, inputs, begin, end, &chunk);
}

// values[i] = the loss of element i, 0 where not valid.
template <typename Loss>
void ValuesOfChannels(const Loss& loss, const Validity<double>& is_valid, const PlaneChunk& chunk,
                      double* values) {
  using V = Vec<double>;
  ForEachRegister(chunk, [&](int64_t i) {
    const V t = V::Load(chunk.y_true() + i);
    Select(is_valid(t), loss.Value(t, chunk.PredictionsAt(i)), V{}).Store(values + i);
  });
}

// As ForEachRow: calls body(row, sums) for the rows [begin, end) of `row_size` elements.
template <typename Loss, typename Body>
void ForEachRowOfChannels(const Loss& loss, const MaskedLossInputs& inputs, int64_t row_size,
                          int64_t begin, int64_t end, Body&& body) {
  PlaneChunk chunk(inputs);
  if (row_size > kShortRow) {
    for (int64_t row = begin; row < end; ++row) {
      body(row, SumOfChannels(loss, inputs, row * row_size, (row + 1) * row_size, &chunk));
    }
    return;
  }
  const Validity<double> is_valid(inputs);
  alignas(64) double values[kChunk];
  const int64_t rows_per_group = chunk.plane_size() / row_size;
  ForEachGroupOfRows(rows_per_group, begin, end, [&](int64_t first, int64_t num_rows) {
    chunk.ReadElements(first * row_size, num_rows * row_size);
    ValuesOfChannels(loss, is_valid, chunk, values);
    for (int64_t row = 0; row < num_rows; ++row) {
      Sums sums;
      for (int64_t i = row * row_size; i < (row + 1) * row_size; ++i) {
        const bool valid = is_valid(chunk.y_true()[i]);
        const double w = !valid ? 0.0 : chunk.weight() ? chunk.weight()[i] : 1.0;
        sums.loss_sum += values[i] * w;
        sums.weight_sum += w;
        sums.valid_count += valid;
      }
      body(first + row, sums);
    }
  });
}

// What the derivatives of a chunk are multiplied with: a scale for each row, and weights.
class ChunkFactors {
 public:
  // `scales`: one for each `row_size` elements.
  ChunkFactors(const PlaneChunk& chunk, const double* scales, int64_t row_size)
      : chunk_(chunk), scales_(scales), row_size_(row_size) {
    const double* const weight = chunk.weight();
    if (weight == nullptr && row_size >= chunk.count()) {  // one factor for all
      const Scale<double> scale(scales[0]);
      are_held_ = scale.is_held;
      std::fill(values_, values_ + chunk.padded(), scale.is_held ? scale.rounded : 1.0);
      return;
    }
    for (int64_t row = 0; row * row_size < chunk.count(); ++row) {
      const Scale<double> scale(scales[row]);
      const bool has_digits = IsNormal<double>(scale.rounded);  // else 0, or NaN, or out of range
      are_held_ &= scale.is_held;
      const int64_t end = std::min(chunk.count(), (row + 1) * row_size);
      for (int64_t i = row * row_size; i < end; ++i) {
        const double w = weight ? weight[i] : 1.0;
        values_[i] = scale.rounded * w;
        are_held_ &= !has_digits | IsNormal<double>(values_[i]) | (w == 0);
      }
    }
    std::fill(values_ + chunk.count(), values_ + chunk.padded(), 0.0);
    if (!are_held_) std::fill(values_, values_ + chunk.padded(), 1.0);
  }

  const double* values() const { return values_; }

  // Where a product leaves the range of double, the slopes were multiplied with 1, and now are with
  // all three factors, in an order that loses nothing.
  void Finish(const Validity<double>& is_valid, int64_t num_channels, double* planes) const {
    if (are_held_) return;
    for (int64_t c = 0; c < num_channels; ++c) {
      double* const plane = planes + c * chunk_.plane_size();
      for (int64_t i = 0; i < chunk_.count(); ++i) {
        if (!is_valid(chunk_.y_true()[i])) continue;
        const double w = chunk_.weight() ? chunk_.weight()[i] : 1.0;
        plane[i] = Scaled(Scale<double>(scales_[i / row_size_]), w, plane[i]);
      }
    }
  }

 private:
  const PlaneChunk& chunk_;
  const double* scales_;
  int64_t row_size_;
  bool are_held_ = true;
  alignas(64) double values_[kChunk];
};

// planes = the derivatives by each channel times the factors, +0.0 where not valid.
template <typename Loss>
void DerivativesOfChannels(const Loss& loss, const Validity<double>& is_valid,
                           const PlaneChunk& chunk, const double* factors, double* planes) {
  using V = Vec<double>;
  const int64_t size = chunk.plane_size();
  ForEachRegister(chunk, [&](int64_t i) {
    const V t = V::Load(chunk.y_true() + i);
    const V factor = V::Load(factors + i);
    const Mask<double> valid = is_valid(t);
    double* const first = planes + i;
    loss.Derivative(t, chunk.PredictionsAt(i), [&](int c, V slope) {
      Select(valid, factor * slope, V{}).Store(first + c * size);
    });
  });
}

template <typename Loss>
void WriteGradientOfChannels(const Loss& loss, const MaskedLossInputs& inputs,
                             const Validity<double>& is_valid, const PlaneChunk& chunk,
                             const double* scales, int64_t row_size, int64_t begin,
                             void* gradient) {
  alignas(64) double planes[kPlanes];
  const ChunkFactors factors(chunk, scales, row_size);
  DerivativesOfChannels(loss, is_valid, chunk, factors.values(), planes);
  factors.Finish(is_valid, inputs.num_channels, planes);
  chunk.WritePlanes(planes, inputs.prediction_type, begin, gradient);
}

template <typename Loss>
void GradientOfChannels(const Loss& loss, const MaskedLossInputs& inputs, int64_t begin,
                        int64_t end, double scale, void* gradient) {
  const Validity<double> is_valid(inputs);
  PlaneChunk chunk(inputs);
  ForEachPlaneChunk(&chunk, begin, end, [&](int64_t offset) {
    WriteGradientOfChannels(loss, inputs, is_valid, chunk, &scale, kChunk, offset, gradient);
  });
}

template <typename Loss>
void GradientOfRowsOfChannels(const Loss& loss, const MaskedLossInputs& inputs, int64_t begin,
                              int64_t end, double loss_gradient, const void* row_gradients,
                              void* gradient) {
  const Validity<double> is_valid(inputs);
  const int64_t row_size = inputs.row_size;
  PlaneChunk chunk(inputs);
  const auto gradient_of = [&](int64_t row) {
    if (row_gradients == nullptr) return loss_gradient;
    if (inputs.computing_type() == DataType::kFloat64) return Read<double>(row_gradients, row);
    return static_cast<double>(Read<float>(row_gradients, row));
  };
  const auto count_valid = [&](int64_t first, int64_t last) {
    int64_t count = 0;
    for (int64_t i = first; i < last; ++i) count += is_valid(chunk.y_true()[i]);
    return count;
  };
  if (row_size > kShortRow) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t first = row * row_size;
      int64_t count = 0;
      ForEachPlaneChunk(&chunk, first, first + row_size,
                        [&](int64_t) { count += count_valid(0, chunk.count()); });
      const double scale = MeanOrZero<double>(gradient_of(row), count);
      GradientOfChannels(loss, inputs, first, first + row_size, scale, gradient);
    }
    return;
  }
  double scales[kChunk];
  const int64_t rows_per_group = chunk.plane_size() / row_size;
  ForEachGroupOfRows(rows_per_group, begin, end, [&](int64_t first, int64_t num_rows) {
    chunk.ReadElements(first * row_size, num_rows * row_size);
    for (int64_t row = 0; row < num_rows; ++row) {
      const int64_t count = count_valid(row * row_size, (row + 1) * row_size);
      scales[row] = MeanOrZero<double>(gradient_of(first + row), count);
    }
    WriteGradientOfChannels(loss, inputs, is_valid, chunk, scales, row_size, first * row_size,
                            gradient);
  });
}

// planes = the derivatives of the derivatives along a direction.
template <typename Loss>
void DirectionalDerivatives(const Loss& loss, const Validity<double>& is_valid,
                            const PlaneChunk& chunk, const double* direction, double* planes) {
  using V = Vec<double>;
  const int64_t size = chunk.plane_size();
  ForEachRegister(chunk, [&](int64_t i) {
    const V t = V::Load(chunk.y_true() + i);
    const Mask<double> valid = is_valid(t);
    const DualPlanesAt predictions{chunk.PredictionsAt(i), {direction + i, size}};
    double* const first = planes + i;
    loss.Derivative(Dual<V>{t, V{}}, predictions, [&](int c, Dual<V> slope) {
      Select(valid, slope.tangent, V{}).Store(first + c * size);
    });
  });
}

template <typename Loss>
void ElementsOfChannels(const Loss& loss, const MaskedLossInputs& inputs, int64_t begin,
                        int64_t end, ElementKind kind, void* elements) {
  const Validity<double> is_valid(inputs);
  const DataType type = inputs.computing_type();
  PlaneChunk chunk(inputs);
  alignas(64) double planes[kPlanes];
  ForEachPlaneChunk(&chunk, begin, end, [&](int64_t offset) {
    if (IsByPrediction(kind)) {
      if (kind == ElementKind::kDerivative) {
        alignas(64) double ones[kChunk];
        std::fill(ones, ones + kChunk, 1.0);
        DerivativesOfChannels(loss, is_valid, chunk, ones, planes);
      } else {
        alignas(64) double direction[kPlanes];
        chunk.ReadPlanes(inputs.direction, type, offset, direction);
        DirectionalDerivatives(loss, is_valid, chunk, direction, planes);
      }
      return chunk.WritePlanes(planes, type, offset, elements);
    }
    if (kind == ElementKind::kValid) {
      for (int64_t i = 0; i < chunk.count(); ++i) planes[i] = is_valid(chunk.y_true()[i]);
    } else {
      ValuesOfChannels(loss, is_valid, chunk, planes);
    }
    if (type == DataType::kFloat64) {
      PutTogether<double>(planes, chunk.count(), 1, kChunk, elements, offset);
    } else {
      PutTogether<float>(planes, chunk.count(), 1, kChunk, elements, offset);
    }
  });
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_CPU_CHANNEL_LOOPS_H_
