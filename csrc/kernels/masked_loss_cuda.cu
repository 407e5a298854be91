// The CUDA kernels.
//
// Design:
//   A. Labels and predictions of one floating-point type, without mask and weights, take the fast
//      way; at addresses that are multiples of 16 each thread has eight loads of 16 bytes under
//      way before it computes. All else is read element by element (cuda_inputs.h).
//   B. A sum is split over a number of blocks that depends on the number of elements alone; each
//      block adds up in a fixed tree, a second launch of one block adds up the blocks' sums.
//   C. Contraction to fused multiply-add is off, as on the CPU: formulas without exp and log give
//      the same element losses and gradients, bit by bit.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "csrc/kernels/cuda_inputs.h"
#include "csrc/kernels/cuda_launch.h"
#include "csrc/kernels/cuda_math.h"
#include "csrc/kernels/cuda_sums.h"
#include "csrc/kernels/division.h"
#include "csrc/kernels/masked_loss.h"
#include "csrc/kernels/masked_loss_cuda.h"
#include "csrc/kernels/stored_types.h"
#include "csrc/losses/losses.h"

namespace masklstm {
namespace {

constexpr int kElementUnroll = 2;  // more of the general code would take nvcc too long
constexpr int kMinBlocks = 2;  // on a multiprocessor: up to 128 registers, so that none is spilled
constexpr int kVectorBytes = 16;
constexpr int64_t kSumBlocks = 2048;  // at most, of one sum: each leaves a partial one
constexpr int64_t kMapBlocks = 4096;  // at most, of a gradient: each computes its scale
constexpr int64_t kLongRow = 2048;    // a whole block adds up rows from here on

// --- what happens to one element ----------------------------------------------------------------

template <typename Loss, typename T>
__device__ void Add(const Loss& loss, const Element<T>& element, Sums* sums) {
  const T value = loss.Value(Scalar<T>{element.y_true}, Scalar<T>{element.y_pred}).value;
  // Exact for float: the product of two 24-bit numbers fits a double.
  const double weighted = static_cast<double>(value) * static_cast<double>(element.weight);
  sums->loss_sum += element.is_valid ? weighted : 0.0;
  sums->weight_sum += element.is_valid ? static_cast<double>(element.weight) : 0.0;
  sums->valid_count += element.is_valid;
}

// The same without weights. The sum of the weights is then the count: see WeighByCount.
template <typename Loss, typename T>
__device__ void AddUnweighted(const Loss& loss, const Element<T>& element, Sums* sums) {
  const T value = loss.Value(Scalar<T>{element.y_true}, Scalar<T>{element.y_pred}).value;
  sums->loss_sum += element.is_valid ? static_cast<double>(value) : 0.0;
  sums->valid_count += element.is_valid;
}

// One addition of doubles less for each element: many cards are slow at those.
__device__ inline void WeighByCount(Sums* sums) {
  sums->weight_sum = static_cast<double>(sums->valid_count);
}

template <typename Loss, typename T>
__device__ T GradientOf(const Loss& loss, const Element<T>& element, const Scale<T>& scale) {
  const T slope = loss.Derivative(Scalar<T>{element.y_true}, Scalar<T>{element.y_pred}).value;
  // Weight and first factor meet first, as on the CPU.
  return element.is_valid ? scale.first * element.weight * scale.second * slope : T{0};
}

// --- results ------------------------------------------------------------------------------------

// Where the sums of a reduction go: to the partial sums of the blocks, or, from the only block, to
// the outputs.
struct SumsOutput {
  Sums* partial;
  CudaLossOutputs outputs;
  Reduction reduction;

  __device__ void Finish(const Sums& sums) const {
    if (outputs.loss != nullptr) {
      const double loss = Divided(sums.loss_sum, sums, reduction);
      if (outputs.loss_is_double) {
        *static_cast<double*>(outputs.loss) = loss;
      } else {
        *static_cast<float*>(outputs.loss) = static_cast<float>(loss);
      }
    }
    if (outputs.weight_sum != nullptr) *outputs.weight_sum = sums.weight_sum;
    if (outputs.valid_count != nullptr) *outputs.valid_count = sums.valid_count;
  }

  // Called by all threads of the block with their sums.
  __device__ void Write(const Sums& of_thread) const {
    const Sums sums = SumOverBlock(of_thread);
    if (threadIdx.x != 0) return;
    if (gridDim.x == 1) {
      Finish(sums);
    } else {
      partial[blockIdx.x] = sums;
    }
  }
};

__global__ void __launch_bounds__(kThreads, kMinBlocks)
    FinishSums(SumsOutput output, int num_partial) {
  Sums sums;
  for (int i = threadIdx.x; i < num_partial; i += kThreads) sums += output.partial[i];
  const Sums total = SumOverBlock(sums);
  if (threadIdx.x == 0) output.Finish(total);
}

// The factor of a gradient, from the results of the forward pass.
__device__ inline double UpstreamOver(const CudaScale& scale, Reduction reduction) {
  double upstream = 1.0;
  if (scale.loss_gradient != nullptr) {
    upstream = scale.loss_gradient_is_double ? *static_cast<const double*>(scale.loss_gradient)
                                             : *static_cast<const float*>(scale.loss_gradient);
  }
  Sums sums;
  if (scale.weight_sum != nullptr) sums.weight_sum = *scale.weight_sum;
  if (scale.valid_count != nullptr) sums.valid_count = *scale.valid_count;
  return Divided(upstream, sums, reduction);
}

// --- the fast way: 16 bytes at a time -----------------------------------------------------------

template <typename Stored>
using ComputingTypeOf = std::conditional_t<std::is_same_v<Stored, double>, double, float>;

template <typename Stored>
struct Pack {
  static constexpr int kSize = kVectorBytes / sizeof(Stored);
  // How many a thread has under way at once, of each input. Twice as many elements of a half type
  // would not fit the registers.
  static constexpr int kUnroll = sizeof(Stored) == 2 ? 2 : 4;
  static constexpr int64_t kTile = kThreads * kUnroll;  // of a block
  Stored values[kSize];

  __device__ explicit Pack(uint4 bytes) { memcpy(values, &bytes, kVectorBytes); }
  __device__ uint4 Bytes() const {
    uint4 bytes;
    memcpy(&bytes, values, kVectorBytes);
    return bytes;
  }
};

template <typename Stored>
__device__ Element<ComputingTypeOf<Stored>> PlainElement(const MissingLabels& missing,
                                                         Stored y_true, Stored y_pred) {
  const auto label = Widen(y_true);
  return {label, Widen(y_pred), 1, missing.IsValid(label)};
}

// 16 bytes, in one access where kAligned.
template <bool kAligned, typename Stored>
__device__ uint4 LoadVector(const Stored* array, int64_t vector) {
  if constexpr (kAligned) {
    return reinterpret_cast<const uint4*>(array)[vector];
  } else {
    Pack<Stored> pack(uint4{0u, 0u, 0u, 0u});
#pragma unroll
    for (int i = 0; i < Pack<Stored>::kSize; ++i) {
      pack.values[i] = array[vector * Pack<Stored>::kSize + i];
    }
    return pack.Bytes();
  }
}

// Labels and predictions of `kUnroll` vectors, from vector `first` on, kThreads apart. Labels
// beyond the end are NaN.
template <bool kAligned, typename Stored>
struct Tile {
  static constexpr int kUnroll = Pack<Stored>::kUnroll;
  uint4 y_true[kUnroll];
  uint4 y_pred[kUnroll];

  __device__ Tile(const Stored* labels, const Stored* predictions, int64_t first, int64_t end) {
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const int64_t vector = first + k * kThreads;
      const bool is_inside = vector < end;
      y_true[k] = is_inside ? LoadVector<kAligned>(labels, vector) : uint4{~0u, ~0u, ~0u, ~0u};
      y_pred[k] = is_inside ? LoadVector<kAligned>(predictions, vector) : uint4{0u, 0u, 0u, 0u};
    }
  }
};

// The order of the sum does not depend on the alignment.
template <typename Loss, typename Stored, bool kAligned>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumVectors(Loss loss, MissingLabels missing, const Stored* y_true, const Stored* y_pred,
               int64_t size, SumsOutput output) {
  constexpr int kSize = Pack<Stored>::kSize;
  constexpr int kUnroll = Pack<Stored>::kUnroll;
  constexpr int64_t kTile = Pack<Stored>::kTile;
  const int64_t num_vectors = size / kSize;
  Sums sums;
  for (int64_t tile = blockIdx.x; tile * kTile < num_vectors; tile += gridDim.x) {
    const Tile<kAligned, Stored> loaded(y_true, y_pred, tile * kTile + threadIdx.x, num_vectors);
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const Pack<Stored> labels(loaded.y_true[k]);
      const Pack<Stored> predictions(loaded.y_pred[k]);
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        AddUnweighted(loss, PlainElement(missing, labels.values[i], predictions.values[i]), &sums);
      }
    }
  }
  const int64_t rest = num_vectors * kSize + threadIdx.x;
  if (blockIdx.x == 0 && rest < size) {
    AddUnweighted(loss, PlainElement(missing, y_true[rest], y_pred[rest]), &sums);
  }
  WeighByCount(&sums);
  output.Write(sums);
}

template <typename Stored, typename T>
__device__ Stored Rounded(T value) {
  if constexpr (std::is_same_v<Stored, T>) {
    return value;
  } else {
    return Narrow<Stored>(value);
  }
}

// `gradient` may be y_true or y_pred: a thread reads what it will overwrite before it writes.
template <typename Loss, typename Stored>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    GradientOfVectors(Loss loss, MissingLabels missing, const Stored* y_true, const Stored* y_pred,
                      int64_t size, CudaScale upstream, Reduction reduction, Stored* gradient) {
  constexpr int kSize = Pack<Stored>::kSize;
  constexpr int kUnroll = Pack<Stored>::kUnroll;
  constexpr int64_t kTile = Pack<Stored>::kTile;
  const Scale<ComputingTypeOf<Stored>> scale(UpstreamOver(upstream, reduction));
  const int64_t num_vectors = size / kSize;
  uint4* const to_gradient = reinterpret_cast<uint4*>(gradient);
  for (int64_t tile = blockIdx.x; tile * kTile < num_vectors; tile += gridDim.x) {
    const int64_t first = tile * kTile + threadIdx.x;
    const Tile</*kAligned=*/true, Stored> loaded(y_true, y_pred, first, num_vectors);
#pragma unroll
    for (int k = 0; k < kUnroll; ++k) {
      const Pack<Stored> labels(loaded.y_true[k]);
      Pack<Stored> predictions(loaded.y_pred[k]);
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        const auto element = PlainElement(missing, labels.values[i], predictions.values[i]);
        predictions.values[i] = Rounded<Stored>(GradientOf(loss, element, scale));
      }
      const int64_t vector = first + k * kThreads;
      if (vector < num_vectors) to_gradient[vector] = predictions.Bytes();
    }
  }
  const int64_t rest = num_vectors * kSize + threadIdx.x;
  if (blockIdx.x == 0 && rest < size) {
    const auto element = PlainElement(missing, y_true[rest], y_pred[rest]);
    gradient[rest] = Rounded<Stored>(GradientOf(loss, element, scale));
  }
}

// --- any types, mask and weights ----------------------------------------------------------------

constexpr int64_t kElementsOfTile = kThreads * kElementUnroll;

// Calls body(i) for the elements of the thread: kElementsOfTile consecutive ones make a tile.
template <typename Body>
__device__ void ForEachElement(int64_t size, Body&& body) {
  for (int64_t tile = blockIdx.x; tile * kElementsOfTile < size; tile += gridDim.x) {
#pragma unroll
    for (int k = 0; k < kElementUnroll; ++k) {
      const int64_t i = tile * kElementsOfTile + k * kThreads + threadIdx.x;
      if (i < size) body(i);
    }
  }
}

template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumElements(Loss loss, const __grid_constant__ CudaInputs inputs, SumsOutput output) {
  Sums sums;
  ForEachElement(inputs.size, [&](int64_t i) { Add(loss, ReadElement<T>(inputs, i), &sums); });
  output.Write(sums);
}

template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    GradientOfElements(Loss loss, const __grid_constant__ CudaInputs inputs, CudaScale upstream,
                       Reduction reduction, void* gradient) {
  const Scale<T> scale(UpstreamOver(upstream, reduction));
  ForEachElement(inputs.size, [&](int64_t i) {
    const T value = GradientOf(loss, ReadElement<T>(inputs, i), scale);
    WriteGradient(inputs.prediction_type, value, i, gradient);
  });
}

template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    MapElements(Loss loss, const __grid_constant__ CudaInputs inputs, ElementKind kind,
                T* elements) {
  ForEachElement(inputs.size, [&](int64_t i) {
    const Element<T> element = ReadElement<T>(inputs, i);
    const Scalar<T> t{element.y_true};
    const Scalar<T> p{element.y_pred};
    Scalar<T> value{1};
    if (kind == ElementKind::kValue) value = loss.Value(t, p);
    if (kind == ElementKind::kDerivative) value = loss.Derivative(t, p);
    if (kind == ElementKind::kSecondDerivative) value = loss.SecondDerivative(t, p);
    elements[i] = element.is_valid ? value.value : T{0};
  });
}

// --- rows ---------------------------------------------------------------------------------------

// Rows of `size` elements, each shared by `width` threads: a power of two up to a warp, or a block.
struct Rows {
  int64_t count;
  int64_t size;
  int width;

  Rows(int64_t count, int64_t size) : count(count), size(size), width(1) {
    while (width < kWarp && width < size) width *= 2;
    if (size >= kLongRow) width = kThreads;
  }

  MASKLSTM_HOST_DEVICE int64_t PerBlock() const { return kThreads / width; }
};

// Calls body(row) in all threads of the block, as often in each; `row` may lie beyond the last one.
template <typename Body>
__device__ void ForEachRow(const Rows& rows, Body&& body) {
  for (int64_t first = blockIdx.x * rows.PerBlock(); first < rows.count;
       first += gridDim.x * rows.PerBlock()) {
    body(first + threadIdx.x / rows.width);
  }
}

template <typename Body>
__device__ void ForEachOfRow(const Rows& rows, int64_t row, Body&& body) {
  if (row >= rows.count) return;
  for (int64_t k = threadIdx.x % rows.width; k < rows.size; k += rows.width) {
    body(row * rows.size + k);
  }
}

// The means of the rows and their sum; or, where `groups` has arrays, the sums of each row.
template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumRows(Loss loss, const __grid_constant__ CudaInputs inputs, Rows rows, T* row_means,
            CudaGroupSums groups, SumsOutput output) {
  Sums of_means;
  ForEachRow(rows, [&](int64_t row) {
    Sums sums;
    ForEachOfRow(rows, row, [&](int64_t i) { Add(loss, ReadElement<T>(inputs, i), &sums); });
    sums = SumOverThreads(sums, rows.width);
    if (threadIdx.x % rows.width != 0 || row >= rows.count) return;
    if (groups.loss_sum != nullptr) {
      groups.loss_sum[row] = sums.loss_sum;
      groups.weight_sum[row] = sums.weight_sum;
      groups.valid_count[row] = sums.valid_count;
    } else {
      of_means.loss_sum += MeanOrZero<double>(sums.loss_sum, sums.valid_count);
      of_means.valid_count += sums.valid_count;
      if (row_means != nullptr) row_means[row] = MeanOrZero<T>(sums.loss_sum, sums.valid_count);
    }
  });
  if (groups.loss_sum == nullptr) output.Write(of_means);
}

// `row_gradients`: of each row's mean; null for the sum of the means, whose gradient is upstream's.
template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    GradientOfRows(Loss loss, const __grid_constant__ CudaInputs inputs, Rows rows,
                   CudaScale upstream, const T* row_gradients, void* gradient) {
  __shared__ int64_t counts[kThreads];  // of the rows of this block
  ForEachRow(rows, [&](int64_t row) {
    Sums sums;
    ForEachOfRow(rows, row, [&](int64_t i) {
      T ignored;
      sums.valid_count += ReadLabel(inputs, i, &ignored);
    });
    sums = SumOverThreads(sums, rows.width);
    __syncthreads();  // the counts of the rows before may still be read
    const int place = threadIdx.x / rows.width;
    if (threadIdx.x % rows.width == 0) counts[place] = sums.valid_count;
    __syncthreads();
    if (row >= rows.count) return;
    const double of_mean = row_gradients ? static_cast<double>(row_gradients[row])
                                         : UpstreamOver(upstream, Reduction::kSumOfRows);
    const Scale<T> scale(MeanOrZero<double>(of_mean, counts[place]));
    ForEachOfRow(rows, row, [&](int64_t i) {
      const T value = GradientOf(loss, ReadElement<T>(inputs, i), scale);
      WriteGradient(inputs.prediction_type, value, i, gradient);
    });
  });
}

// --- groups -------------------------------------------------------------------------------------

// Groups that come back: the elements as a matrix whose columns each belong to one group. Blocks of
// its rows are added up column by column, then everything of one group.
struct Columns {
  static constexpr int64_t kPartial = int64_t{1} << 17;  // about so many partial sums
  static constexpr int64_t kMaxChunks = 65535;           // what a grid's second axis takes

  int64_t count;
  int64_t num_rows;
  int64_t rows_of_chunk;
  int64_t num_chunks;

  Columns(const Groups& groups, int64_t size) {
    const int64_t period = groups.num_groups * groups.group_size;
    count = period;
    if (period < kThreads) count *= (kThreads + period - 1) / period;  // several periods in a row
    num_rows = (size + count - 1) / count;
    const int64_t most = std::min(kMaxChunks, std::max<int64_t>(1, kPartial / count));
    rows_of_chunk = (num_rows + most - 1) / most;
    num_chunks = (num_rows + rows_of_chunk - 1) / rows_of_chunk;
  }
};

template <typename Loss, typename T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumColumns(Loss loss, const __grid_constant__ CudaInputs inputs, Columns columns,
               Sums* partial) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= columns.count) return;
  const int64_t chunk = blockIdx.y;
  const int64_t begin = chunk * columns.rows_of_chunk;
  Sums sums;
  for (int64_t row = begin; row < begin + columns.rows_of_chunk; ++row) {
    const int64_t i = row * columns.count + column;
    if (i < inputs.size) Add(loss, ReadElement<T>(inputs, i), &sums);
  }
  partial[chunk * columns.count + column] = sums;
}

__global__ void __launch_bounds__(kThreads, kMinBlocks)
    SumGroups(Columns columns, Groups groups, const Sums* partial, CudaGroupSums output) {
  const int64_t periods = columns.count / (groups.num_groups * groups.group_size);
  const int64_t of_group = columns.num_chunks * periods * groups.group_size;
  for (int64_t group = blockIdx.x; group < groups.num_groups; group += gridDim.x) {
    Sums sums;
    for (int64_t k = threadIdx.x; k < of_group; k += kThreads) {
      const int64_t period = k / groups.group_size;  // counted through all chunks
      const int64_t first = (period * groups.num_groups + group) * groups.group_size;
      sums += partial[first + k % groups.group_size];
    }
    const Sums total = SumOverBlock(sums);
    if (threadIdx.x == 0) {
      output.loss_sum[group] = total.loss_sum;
      output.weight_sum[group] = total.weight_sum;
      output.valid_count[group] = total.valid_count;
    }
  }
}

// --- launches -----------------------------------------------------------------------------------

bool IsAligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % kVectorBytes == 0;
}

// Whether there are only labels and predictions, of one type.
bool IsPlain(const MaskedLossInputs& inputs) {
  return inputs.label_type == inputs.prediction_type && !inputs.mask.IsPresent() &&
         !inputs.weights[0].IsPresent() && !inputs.weights[1].IsPresent();
}

// As many blocks as there are parts, and at least one, which writes the results.
unsigned NumBlocks(int64_t total, int64_t of_block, int64_t most) {
  return static_cast<unsigned>(
      std::max<int64_t>(1, std::min(most, (total + of_block - 1) / of_block)));
}

// Calls body(loss) with the loss of the inputs.
template <typename Body>
void VisitLoss(const MaskedLossInputs& inputs, Body&& body) {
  AllLosses::Visit(inputs.loss, inputs.parameters, body);
}

// Calls body(loss, T{}) with the computing type as well.
template <typename Body>
void VisitLossAndComputingType(const MaskedLossInputs& inputs, Body&& body) {
  VisitLoss(inputs, [&](const auto& loss) {
    if (inputs.computing_type() == DataType::kFloat64) {
      body(loss, double{});
    } else {
      body(loss, float{});
    }
  });
}

// Calls body(loss, Stored{}) with the type of the predictions.
template <typename Body>
void VisitLossAndStoredType(const MaskedLossInputs& inputs, Body&& body) {
  VisitLoss(inputs, [&](const auto& loss) {
    VisitType(inputs.prediction_type, [&](auto stored) {
      if constexpr (kIsFloatingPoint<decltype(stored)>) body(loss, stored);
    });
  });
}

int64_t ElementsOfBlock(const MaskedLossInputs& inputs) {
  int64_t elements = kElementsOfTile;
  if (!IsPlain(inputs)) return elements;
  VisitType(inputs.prediction_type, [&](auto stored) {
    using Vector = Pack<decltype(stored)>;
    elements = Vector::kTile * Vector::kSize;
  });
  return elements;
}

unsigned BlocksOfSum(const MaskedLossInputs& inputs, Reduction reduction) {
  if (IsRowwise(inputs, reduction) && !IsOneRow(inputs, reduction)) {
    const Rows rows(inputs.num_rows, inputs.row_size);
    return NumBlocks(rows.count, rows.PerBlock(), kSumBlocks);
  }
  return NumBlocks(inputs.num_elements(), ElementsOfBlock(inputs), kSumBlocks);
}

}  // namespace

int64_t CudaScratchBytes(const MaskedLossInputs& inputs, Reduction reduction) {
  const int64_t num_blocks = BlocksOfSum(inputs, reduction);
  return num_blocks == 1 ? 0 : num_blocks * sizeof(Sums);
}

std::string CudaMaskedLoss(const MaskedLossInputs& inputs, Reduction reduction, void* scratch,
                           const CudaLossOutputs& outputs, void* stream) {
  if (IsOneRow(inputs, reduction)) {
    CudaLossOutputs of_row = outputs;
    if (reduction == Reduction::kNone) {
      of_row.loss_is_double = inputs.computing_type() == DataType::kFloat64;
    }
    return CudaMaskedLoss(inputs, Reduction::kMean, scratch, of_row, stream);
  }
  Launches launches(stream);
  const unsigned num_blocks = BlocksOfSum(inputs, reduction);
  SumsOutput output{static_cast<Sums*>(scratch), outputs, reduction};
  if (IsRowwise(inputs, reduction)) {
    const Rows rows(inputs.num_rows, inputs.row_size);
    VisitLossAndComputingType(inputs, [&](const auto& loss, auto type) {
      using T = decltype(type);
      T* row_means = nullptr;
      if (reduction == Reduction::kNone) {
        row_means = static_cast<T*>(outputs.loss);
        output.outputs.loss = nullptr;
      }
      launches.Add(SumRows<std::decay_t<decltype(loss)>, T>, num_blocks, loss, CudaInputs(inputs),
                   rows, row_means, CudaGroupSums{}, output);
    });
  } else if (IsPlain(inputs)) {
    VisitLossAndStoredType(inputs, [&](const auto& loss, auto type) {
      using Stored = decltype(type);
      using Loss = std::decay_t<decltype(loss)>;
      const bool is_aligned = IsAligned(inputs.y_true) && IsAligned(inputs.y_pred);
      launches.Add(is_aligned ? SumVectors<Loss, Stored, true> : SumVectors<Loss, Stored, false>,
                   num_blocks, loss, MissingLabels(inputs.missing, inputs.label_type),
                   static_cast<const Stored*>(inputs.y_true),
                   static_cast<const Stored*>(inputs.y_pred), inputs.num_elements(), output);
    });
  } else {
    VisitLossAndComputingType(inputs, [&](const auto& loss, auto type) {
      launches.Add(SumElements<std::decay_t<decltype(loss)>, decltype(type)>, num_blocks, loss,
                   CudaInputs(inputs), output);
    });
  }
  if (num_blocks > 1) launches.Add(FinishSums, 1u, output, static_cast<int>(num_blocks));
  return launches.error();
}

std::string CudaMaskedLossGradient(const MaskedLossInputs& inputs, Reduction reduction,
                                   const CudaScale& scale, void* gradient, void* stream) {
  if (inputs.num_elements() == 0) return "";
  const bool is_rowwise = IsRowwise(inputs, reduction);
  if (IsOneRow(inputs, reduction)) {
    CudaScale of_row = scale;
    if (reduction == Reduction::kNone) {
      of_row.loss_gradient_is_double = inputs.computing_type() == DataType::kFloat64;
    }
    return CudaMaskedLossGradient(inputs, Reduction::kMean, of_row, gradient, stream);
  }
  Launches launches(stream);
  const unsigned num_blocks = NumBlocks(inputs.num_elements(), ElementsOfBlock(inputs), kMapBlocks);
  if (is_rowwise) {
    const Rows rows(inputs.num_rows, inputs.row_size);
    const unsigned blocks = NumBlocks(rows.count, rows.PerBlock(), kMapBlocks);
    VisitLossAndComputingType(inputs, [&](const auto& loss, auto type) {
      using T = decltype(type);
      const void* row_gradients = reduction == Reduction::kNone ? scale.loss_gradient : nullptr;
      launches.Add(GradientOfRows<std::decay_t<decltype(loss)>, T>, blocks, loss,
                   CudaInputs(inputs), rows, scale, static_cast<const T*>(row_gradients), gradient);
    });
  } else if (IsPlain(inputs) && IsAligned(inputs.y_true) && IsAligned(inputs.y_pred) &&
             IsAligned(gradient)) {
    VisitLossAndStoredType(inputs, [&](const auto& loss, auto type) {
      using Stored = decltype(type);
      launches.Add(GradientOfVectors<std::decay_t<decltype(loss)>, Stored>, num_blocks, loss,
                   MissingLabels(inputs.missing, inputs.label_type),
                   static_cast<const Stored*>(inputs.y_true),
                   static_cast<const Stored*>(inputs.y_pred), inputs.num_elements(), scale,
                   reduction, static_cast<Stored*>(gradient));
    });
  } else {
    VisitLossAndComputingType(inputs, [&](const auto& loss, auto type) {
      launches.Add(GradientOfElements<std::decay_t<decltype(loss)>, decltype(type)>, num_blocks,
                   loss, CudaInputs(inputs), scale, reduction, gradient);
    });
  }
  return launches.error();
}

int64_t CudaGroupScratchBytes(const MaskedLossInputs& inputs, const Groups& groups) {
  const int64_t size = inputs.num_elements();
  if (groups.num_groups == 1) return CudaScratchBytes(inputs, Reduction::kSumOfElements);
  if (size == 0 || size == groups.num_groups * groups.group_size) return 0;
  const Columns columns(groups, size);
  return columns.num_chunks * columns.count * sizeof(Sums);
}

std::string CudaMaskedGroupSums(const MaskedLossInputs& inputs, const Groups& groups, void* scratch,
                                const CudaGroupSums& sums, void* stream) {
  if (groups.num_groups == 0) return "";
  if (groups.num_groups == 1) {
    const CudaLossOutputs outputs{sums.loss_sum, true, sums.weight_sum, sums.valid_count};
    return CudaMaskedLoss(inputs, Reduction::kSumOfElements, scratch, outputs, stream);
  }
  Launches launches(stream);
  const int64_t size = inputs.num_elements();
  if (size == 0 || size == groups.num_groups * groups.group_size) {  // one row each
    const Rows rows(groups.num_groups, size == 0 ? 0 : groups.group_size);
    VisitLossAndComputingType(inputs, [&](const auto& loss, auto type) {
      using T = decltype(type);
      launches.Add(SumRows<std::decay_t<decltype(loss)>, T>,
                   NumBlocks(rows.count, rows.PerBlock(), kMapBlocks), loss, CudaInputs(inputs),
                   rows, static_cast<T*>(nullptr), sums, SumsOutput{});
    });
    return launches.error();
  }
  const Columns columns(groups, size);
  const dim3 grid(static_cast<unsigned>((columns.count + kThreads - 1) / kThreads),
                  static_cast<unsigned>(columns.num_chunks));
  Sums* const partial = static_cast<Sums*>(scratch);
  VisitLossAndComputingType(inputs, [&](const auto& loss, auto type) {
    launches.Add(SumColumns<std::decay_t<decltype(loss)>, decltype(type)>, grid, loss,
                 CudaInputs(inputs), columns, partial);
  });
  launches.Add(SumGroups, NumBlocks(groups.num_groups, 1, kMapBlocks), columns, groups,
               static_cast<const Sums*>(partial), sums);
  return launches.error();
}

std::string CudaMaskedLossElements(const MaskedLossInputs& inputs, ElementKind kind, void* elements,
                                   void* stream) {
  if (inputs.num_elements() == 0) return "";
  Launches launches(stream);
  VisitLossAndComputingType(inputs, [&](const auto& loss, auto type) {
    using T = decltype(type);
    launches.Add(MapElements<std::decay_t<decltype(loss)>, T>,
                 NumBlocks(inputs.num_elements(), kElementsOfTile, kMapBlocks), loss,
                 CudaInputs(inputs), kind, static_cast<T*>(elements));
  });
  return launches.error();
}

}  // namespace masklstm
