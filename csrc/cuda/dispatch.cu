// The CUDA kernels' launches.
//
// Design:
//   A. Labels and predictions of one floating-point type, without mask and weights, take the fast
//      way (vectors.h): each thread has several loads of 16 bytes under way before it
//      computes. All else is read a few elements at a time (inputs.h), by general.h, rows.h and
//      groups.h: those of one type by kernels of their own, which need not ask for the types.
//   B. A sum is split over a number of blocks that depends on the number of elements alone; each
//      block adds up in a fixed tree, a second launch of one block adds up the blocks' sums.
//   C. Losses with channels have kernels of their own (channels.h), which write element losses and
//      factors down where rows or groups are asked for, as predictions of the loss kIdentity.
//   D. Contraction to fused multiply-add is off, as on the CPU: formulas without exp and log give
//      the same element losses and gradients, bit by bit.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "csrc/core/masked_loss.h"
#include "csrc/cuda/channels.h"
#include "csrc/cuda/dispatch.h"
#include "csrc/cuda/general.h"
#include "csrc/cuda/groups.h"
#include "csrc/cuda/launch.h"
#include "csrc/cuda/rows.h"
#include "csrc/cuda/vectors.h"
#include "csrc/losses/losses.h"

namespace masklstm {
namespace {

constexpr int64_t kSumBlocks = 2048;  // at most, of one sum: each leaves a partial one
constexpr int64_t kMapBlocks = 4096;  // at most, of a gradient: each computes its scale
constexpr int kIdentity = -1;         // MaskedLossInputs::loss of what is written down in between

bool IsAligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % kVectorBytes == 0;
}

bool HasSameTypes(const MaskedLossInputs& inputs) {
  return inputs.label_type == inputs.prediction_type;
}

// Whether there are only labels and predictions, of one type.
bool IsPlain(const MaskedLossInputs& inputs) {
  return inputs.loss != kIdentity && HasSameTypes(inputs) && !inputs.mask.IsPresent() &&
         !inputs.weights[0].IsPresent() && !inputs.weights[1].IsPresent();
}

// As many blocks as there are parts, and at least one, which writes the results.
unsigned NumBlocks(int64_t total, int64_t of_block, int64_t most) {
  return static_cast<unsigned>(
      std::max<int64_t>(1, std::min(most, (total + of_block - 1) / of_block)));
}

// Calls body(loss) with the loss of the inputs, if it has no channels.
template <typename Body>
void VisitLoss(const MaskedLossInputs& inputs, Body&& body) {
  AllLosses::Visit(inputs.loss, inputs.parameters, [&](const auto& loss) {
    if constexpr (!kHasChannels<std::decay_t<decltype(loss)>>) body(loss);
  });
}

// The same if it has channels.
template <typename Body>
void VisitLossWithChannels(const MaskedLossInputs& inputs, Body&& body) {
  AllLosses::Visit(inputs.loss, inputs.parameters, [&](const auto& loss) {
    if constexpr (kHasChannels<std::decay_t<decltype(loss)>>) body(loss);
  });
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
    VisitPredictionType(inputs.prediction_type, [&](auto stored) { body(loss, stored); });
  });
}

// Calls body(loss, Types{}) with SameTypes or AnyTypes.
template <typename Body>
void VisitLossAndTypes(const MaskedLossInputs& inputs, Body&& body) {
  if (inputs.loss == kIdentity && inputs.computing_type() == DataType::kFloat64) {
    body(Identity{}, AnyTypes<double>{});
  } else if (inputs.loss == kIdentity) {
    body(Identity{}, AnyTypes<float>{});
  } else if (HasSameTypes(inputs)) {
    VisitLossAndStoredType(
        inputs, [&](const auto& loss, auto stored) { body(loss, SameTypes<decltype(stored)>{}); });
  } else {
    VisitLossAndComputingType(
        inputs, [&](const auto& loss, auto type) { body(loss, AnyTypes<decltype(type)>{}); });
  }
}

// How many elements a thread reads at once.
int BatchOf(const MaskedLossInputs& inputs) {
  if (inputs.num_channels > 0) return 1;
  int batch = AnyTypes<float>::kBatch;
  if (inputs.loss == kIdentity || !HasSameTypes(inputs)) return batch;
  VisitPredictionType(inputs.prediction_type,
                      [&](auto stored) { batch = SameTypes<decltype(stored)>::kBatch; });
  return batch;
}

Rows RowsOf(const MaskedLossInputs& inputs) {
  return Rows(inputs.num_rows, inputs.row_size, BatchOf(inputs));
}

int64_t ElementsOfBlock(const MaskedLossInputs& inputs) {
  int64_t elements = kThreads * BatchOf(inputs);
  if (inputs.num_channels > 0 || !IsPlain(inputs)) return elements;
  VisitPredictionType(inputs.prediction_type, [&](auto stored) {
    using Vector = Pack<decltype(stored)>;
    elements = Vector::kTile * Vector::kSize;
  });
  return elements;
}

unsigned BlocksOfSum(const MaskedLossInputs& inputs, Reduction reduction) {
  if (IsRowwise(inputs, reduction) && !IsOneRow(inputs, reduction)) {
    const Rows rows = RowsOf(inputs);
    return NumBlocks(rows.count, rows.PerBlock(), kSumBlocks);
  }
  return NumBlocks(inputs.num_elements(), ElementsOfBlock(inputs), kSumBlocks);
}

int64_t BytesOfElements(const MaskedLossInputs& inputs) {
  const int64_t size =
      inputs.computing_type() == DataType::kFloat64 ? sizeof(double) : sizeof(float);
  return (inputs.num_elements() * size + kVectorBytes - 1) / kVectorBytes * kVectorBytes;
}

// The elements as a loss without channels: what is written down at `elements` is their loss.
MaskedLossInputs Reduced(MaskedLossInputs inputs, const void* elements) {
  inputs.loss = kIdentity;
  inputs.num_channels = 0;
  inputs.prediction_type = inputs.computing_type();
  inputs.y_pred = elements;
  return inputs;
}

unsigned BlocksOfMap(const MaskedLossInputs& inputs) {
  return NumBlocks(inputs.num_elements(), kThreads, kMapBlocks);
}

// Writes the element losses down, and returns what they are reduced as.
MaskedLossInputs WriteElements(const MaskedLossInputs& inputs, void* elements, Launches* launches) {
  if (inputs.num_elements() > 0) {
    VisitLossWithChannels(inputs, [&](const auto& loss) {
      launches->Add(MapChannels<std::decay_t<decltype(loss)>>, BlocksOfMap(inputs), loss,
                    ChannelInputs(inputs), static_cast<const void*>(nullptr), elements);
    });
  }
  return Reduced(inputs, elements);
}

bool NeedsElements(const MaskedLossInputs& inputs, Reduction reduction) {
  return inputs.num_channels > 0 && IsRowwise(inputs, reduction) && !IsOneRow(inputs, reduction);
}

}  // namespace

int64_t CudaScratchBytes(const MaskedLossInputs& inputs, Reduction reduction) {
  if (NeedsElements(inputs, reduction)) {
    return BytesOfElements(inputs) + CudaScratchBytes(Reduced(inputs, nullptr), reduction);
  }
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
  if (NeedsElements(inputs, reduction)) {
    const MaskedLossInputs reduced = WriteElements(inputs, scratch, &launches);
    if (!launches.error().empty()) return launches.error();
    return CudaMaskedLoss(reduced, reduction, static_cast<char*>(scratch) + BytesOfElements(inputs),
                          outputs, stream);
  }
  const unsigned num_blocks = BlocksOfSum(inputs, reduction);
  SumsOutput output{static_cast<Sums*>(scratch), outputs, reduction};
  if (inputs.num_channels > 0) {
    VisitLossWithChannels(inputs, [&](const auto& loss) {
      launches.Add(SumChannels<std::decay_t<decltype(loss)>>, num_blocks, loss,
                   ChannelInputs(inputs), output);
    });
  } else if (IsRowwise(inputs, reduction)) {
    void* row_means = nullptr;
    if (reduction == Reduction::kNone) std::swap(row_means, output.outputs.loss);
    VisitLossAndTypes(inputs, [&](const auto& loss, auto types) {
      launches.Add(SumRows<std::decay_t<decltype(loss)>, decltype(types)>, num_blocks, loss,
                   CudaInputs(inputs), RowsOf(inputs), row_means, CudaGroupSums{}, output);
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
    VisitLossAndTypes(inputs, [&](const auto& loss, auto types) {
      launches.Add(SumElements<std::decay_t<decltype(loss)>, decltype(types)>, num_blocks, loss,
                   CudaInputs(inputs), output);
    });
  }
  if (num_blocks > 1) launches.Add(FinishSums, 1u, output, static_cast<int>(num_blocks));
  return launches.error();
}

int64_t CudaGradientScratchBytes(const MaskedLossInputs& inputs, Reduction reduction) {
  return NeedsElements(inputs, reduction) ? BytesOfElements(inputs) : 0;
}

std::string CudaMaskedLossGradient(const MaskedLossInputs& inputs, Reduction reduction,
                                   const CudaScale& scale, void* scratch, void* gradient,
                                   void* stream) {
  if (inputs.num_elements() == 0) return "";
  const bool is_rowwise = IsRowwise(inputs, reduction);
  if (IsOneRow(inputs, reduction)) {
    CudaScale of_row = scale;
    if (reduction == Reduction::kNone) {
      of_row.loss_gradient_is_double = inputs.computing_type() == DataType::kFloat64;
    }
    return CudaMaskedLossGradient(inputs, Reduction::kMean, of_row, scratch, gradient, stream);
  }
  Launches launches(stream);
  if (inputs.num_channels > 0) {
    if (is_rowwise) {
      const std::string error = CudaMaskedLossGradient(Reduced(inputs, scratch), reduction, scale,
                                                       nullptr, scratch, stream);
      if (!error.empty()) return error;
    }
    VisitLossWithChannels(inputs, [&](const auto& loss) {
      launches.Add(GradientOfChannels<std::decay_t<decltype(loss)>>, BlocksOfMap(inputs), loss,
                   ChannelInputs(inputs), scale, reduction,
                   is_rowwise ? Slopes::kByElement : Slopes::kOfLoss,
                   static_cast<const void*>(scratch), gradient);
    });
    return launches.error();
  }
  const unsigned num_blocks = NumBlocks(inputs.num_elements(), ElementsOfBlock(inputs), kMapBlocks);
  if (is_rowwise) {
    const Rows rows = RowsOf(inputs);
    const unsigned blocks = NumBlocks(rows.count, rows.PerBlock(), kMapBlocks);
    const void* row_gradients = reduction == Reduction::kNone ? scale.loss_gradient : nullptr;
    VisitLossAndTypes(inputs, [&](const auto& loss, auto types) {
      launches.Add(GradientOfRows<std::decay_t<decltype(loss)>, decltype(types)>, blocks, loss,
                   CudaInputs(inputs), rows, scale, row_gradients, gradient);
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
    VisitLossAndTypes(inputs, [&](const auto& loss, auto types) {
      launches.Add(GradientOfElements<std::decay_t<decltype(loss)>, decltype(types)>, num_blocks,
                   loss, CudaInputs(inputs), scale, reduction, gradient);
    });
  }
  return launches.error();
}

int64_t CudaGroupScratchBytes(const MaskedLossInputs& inputs, const Groups& groups) {
  const int64_t size = inputs.num_elements();
  if (groups.num_groups == 1) return CudaScratchBytes(inputs, Reduction::kSumOfElements);
  if (inputs.num_channels > 0) {
    return BytesOfElements(inputs) + CudaGroupScratchBytes(Reduced(inputs, nullptr), groups);
  }
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
  if (inputs.num_channels > 0) {
    const MaskedLossInputs reduced = WriteElements(inputs, scratch, &launches);
    if (!launches.error().empty()) return launches.error();
    return CudaMaskedGroupSums(reduced, groups,
                               static_cast<char*>(scratch) + BytesOfElements(inputs), sums, stream);
  }
  const int64_t size = inputs.num_elements();
  if (size == 0 || size == groups.num_groups * groups.group_size) {  // one row each
    const Rows rows(groups.num_groups, size == 0 ? 0 : groups.group_size, BatchOf(inputs));
    VisitLossAndTypes(inputs, [&](const auto& loss, auto types) {
      launches.Add(SumRows<std::decay_t<decltype(loss)>, decltype(types)>,
                   NumBlocks(rows.count, rows.PerBlock(), kMapBlocks), loss, CudaInputs(inputs),
                   rows, static_cast<void*>(nullptr), sums, SumsOutput{});
    });
    return launches.error();
  }
  const Columns columns(groups, size);
  const dim3 grid(static_cast<unsigned>((columns.count + kThreads - 1) / kThreads),
                  static_cast<unsigned>(columns.num_chunks));
  Sums* const partial = static_cast<Sums*>(scratch);
  VisitLossAndTypes(inputs, [&](const auto& loss, auto types) {
    launches.Add(SumColumns<std::decay_t<decltype(loss)>, decltype(types)>, grid, loss,
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
  if (inputs.num_channels > 0) {
    const ChannelInputs arguments(inputs);
    const unsigned num_blocks = BlocksOfMap(inputs);
    if (kind == ElementKind::kValid) {
      launches.Add(MapValid, num_blocks, arguments, elements);
      return launches.error();
    }
    VisitLossWithChannels(inputs, [&](const auto& loss) {
      using Loss = std::decay_t<decltype(loss)>;
      if (kind == ElementKind::kDerivative) {
        launches.Add(GradientOfChannels<Loss>, num_blocks, loss, arguments, CudaScale{},
                     Reduction::kSumOfElements, Slopes::kOfElements,
                     static_cast<const void*>(nullptr), elements);
      } else {
        launches.Add(MapChannels<Loss>, num_blocks, loss, arguments,
                     kind == ElementKind::kValue ? nullptr : inputs.direction, elements);
      }
    });
    return launches.error();
  }
  VisitLossAndComputingType(inputs, [&](const auto& loss, auto type) {
    using T = decltype(type);
    launches.Add(MapElements<std::decay_t<decltype(loss)>, T>,
                 NumBlocks(inputs.num_elements(), kThreads * AnyTypes<T>::kBatch, kMapBlocks), loss,
                 CudaInputs(inputs), kind, static_cast<T*>(elements));
  });
  return launches.error();
}

}  // namespace masklstm
