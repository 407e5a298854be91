// Picks the instruction set, lays weights out in the order in which they are needed, and shares the
// work out.
#include "csrc/recurrent/dispatch.h"

#include <algorithm>
#include <string>
#include <vector>

#include "csrc/recurrent/function_table.h"

namespace masklstm {
namespace {

// Estimate for ParallelFor: multiplications with additions that a cycle does.
constexpr int64_t kProductsPerCycle = 16;

const RecurrentKernels& Kernels() {
  static const RecurrentKernels& kernels = []() -> const RecurrentKernels& {
    std::string ignored;
    const std::string name = InstructionSet(&ignored);
#ifdef MASKLSTM_HAS_AVX512
    if (name == "avx512") return kAvx512RecurrentKernels;
#endif
#ifdef MASKLSTM_HAS_AVX2
    if (name == "avx2") return kAvx2RecurrentKernels;
#endif
    return kBaselineRecurrentKernels;
  }();
  return kernels;
}

template <typename T>
const RecurrentFunctions<T>& Functions() {
  if constexpr (sizeof(T) == sizeof(float)) {
    return Kernels().of_float;
  } else {
    return Kernels().of_double;
  }
}

int64_t SizeOf(DataType type) {
  return type == DataType::kFloat64 ? sizeof(double) : sizeof(float);
}

PaddedSizes PaddedSizesOf(const RecurrentInputs& inputs) {
  const int64_t lanes = Kernels().vector_bytes / SizeOf(inputs.type);
  const int64_t units = (inputs.units + lanes - 1) / lanes * lanes;
  return {lanes, units, LayoutOf(inputs.cell).num_groups * units};
}

// GatePanels of one matrix, which may be null: zeros.
template <typename T>
std::vector<T> PackGates(const void* matrix, int64_t depth, const RecurrentInputs& inputs,
                         const PaddedSizes& sizes) {
  const int gates = LayoutOf(inputs.cell).num_gates;
  const int columns = Kernels().gate_columns[static_cast<int>(inputs.cell)];
  std::vector<T> packed(depth * gates * sizes.units);
  if (matrix == nullptr) return packed;
  T* to = packed.data();
  for (int64_t unit = 0; unit < sizes.units; unit += sizes.lanes) {
    const int64_t count = std::min(sizes.lanes, inputs.units - unit);
    for (int column = 0; column < gates; column += columns) {
      const T* from = static_cast<const T*>(matrix) + column * inputs.units + unit;
      for (int64_t row = 0; row < depth; ++row, from += gates * inputs.units) {
        for (int gate = 0; gate < columns; ++gate, to += sizes.lanes) {
          std::copy_n(from + gate * inputs.units, count, to);
        }
      }
    }
  }
  return packed;
}

// The transposed weights: a row for each unit of each of the groups that `gates` has a gate for, in
// panels of columns.
template <typename T>
std::vector<T> PackTransposed(const void* matrix, int64_t columns, const RecurrentInputs& inputs,
                              const PaddedSizes& sizes, const int* gates, ColumnPanels<T>* panels) {
  const CellLayout& layout = LayoutOf(inputs.cell);
  const int64_t stride = layout.num_gates * inputs.units;  // of the weights
  const int64_t registers = (columns + sizes.lanes - 1) / sizes.lanes;
  const int64_t depth = layout.num_gates * sizes.units;
  std::vector<T> packed(depth * registers * sizes.lanes);
  for (int64_t begin = 0; begin < registers; begin += Kernels().panel_registers) {
    const int64_t width =
        std::min<int64_t>(Kernels().panel_registers, registers - begin) * sizes.lanes;
    const int64_t count = std::min(width, columns - begin * sizes.lanes);
    T* to = packed.data() + begin * depth * sizes.lanes;
    const T* from = static_cast<const T*>(matrix) + begin * sizes.lanes * stride;
    for (int group = 0; group < layout.num_groups; ++group) {
      if (gates[group] < 0) continue;
      for (int64_t unit = 0; unit < inputs.units; ++unit) {
        for (int64_t column = 0; column < count; ++column) {
          to[unit * width + column] = from[column * stride + gates[group] * inputs.units + unit];
        }
      }
      to += sizes.units * width;
    }
  }
  *panels = {packed.data(), depth, registers};
  return packed;
}

// The tape in its parts.
template <typename T>
Tape<T> TapeAt(void* tape, const RecurrentInputs& inputs, const Steps& steps,
               const PaddedSizes& sizes) {
  Tape<T> parts = {};
  if (tape == nullptr) return parts;
  parts.groups = static_cast<T*>(tape);
  parts.states[0] = parts.groups + steps.num_entries() * sizes.entry;
  for (int state = 1; state < LayoutOf(inputs.cell).num_states; ++state) {
    parts.states[state] = parts.states[state - 1] + steps.num_entries() * sizes.units;
  }
  return parts;
}

int64_t WeightNumbers(const RecurrentInputs& inputs) {
  return LayoutOf(inputs.cell).num_gates * inputs.units * (inputs.features + inputs.units);
}

int64_t Cycles(const RecurrentInputs& inputs, int64_t entries) {
  return 1 + entries * WeightNumbers(inputs) / kProductsPerCycle;
}

// Chunks of rows: many rows where weights do not stay in the nearest caches, few else, and as many
// chunks for each thread as for any other. Where lengths differ, each chunk has rows of all of
// them.
std::vector<Chunk> ChunksOf(const RecurrentInputs& inputs, const Steps& steps,
                            const Threads& threads) {
  std::vector<Chunk> chunks;
  if (inputs.batch == 0) return chunks;
  const int64_t bytes = WeightNumbers(inputs) * SizeOf(inputs.type);
  const int64_t most = bytes <= (1 << 15) ? 12 : bytes <= (1 << 18) ? 24 : kMaxChunkRows;
  const int64_t turns = (inputs.batch + threads.number * most - 1) / (threads.number * most);
  const int64_t number = std::min(inputs.batch, turns * threads.number);
  for (int64_t i = 0; i < number; ++i) {
    const int64_t begin = inputs.batch * i / number;
    if (steps.has_gaps()) {
      chunks.push_back({i, number, (inputs.batch - i + number - 1) / number});
    } else {
      chunks.push_back({begin, 1, inputs.batch * (i + 1) / number - begin});
    }
  }
  return chunks;
}

// Runs each chunk with scratch memory of its own, of run(chunk, scratch).
template <typename T, typename Run>
void ForChunks(const RecurrentInputs& inputs, const Steps& steps, const Threads& threads,
               const PaddedSizes& sizes, const Run& run) {
  const std::vector<Chunk> chunks = ChunksOf(inputs, steps, threads);
  const int64_t number = chunks.size();
  if (number == 0) return;
  int64_t rows = 0;
  for (const Chunk& chunk : chunks) rows = std::max(rows, chunk.count);
  const int64_t size = Functions<T>().chunk_scratch(inputs.cell, sizes, rows);
  std::vector<T> scratch(number * size);
  threads.parallel_for(number, Cycles(inputs, steps.num_entries()) / number,
                       [&](int64_t begin, int64_t end) {
                         for (int64_t i = begin; i < end; ++i) {
                           run(chunks[i], scratch.data() + i * size);
                         }
                       });
}

template <typename T>
void Forward(const RecurrentInputs& inputs, const Steps& steps, const Threads& threads,
             const RecurrentOutputs& outputs) {
  const PaddedSizes sizes = PaddedSizesOf(inputs);
  const CellLayout& layout = LayoutOf(inputs.cell);
  const auto input = PackGates<T>(inputs.kernel, inputs.features, inputs, sizes);
  const auto state = PackGates<T>(inputs.recurrent_kernel, inputs.units, inputs, sizes);
  const T* bias = static_cast<const T*>(inputs.bias);
  const auto input_bias = PackGates<T>(bias, 1, inputs, sizes);
  const T* second =
      bias && layout.num_biases == 2 ? bias + layout.num_gates * inputs.units : nullptr;
  const auto state_bias = PackGates<T>(second, 1, inputs, sizes);
  const ForwardWork<T> work = {&inputs,
                               steps.view(),
                               sizes,
                               {input.data(), state.data(), input_bias.data(), state_bias.data()},
                               TapeAt<T>(outputs.tape, inputs, steps, sizes),
                               &outputs};
  ForChunks<T>(inputs, steps, threads, sizes,
               [&](Chunk chunk, T* scratch) { Functions<T>().forward(work, chunk, scratch); });
}

template <typename T>
void Gradients(const RecurrentInputs& inputs, const Steps& steps, const void* tape,
               const Threads& threads, const RecurrentGradients& gradients) {
  const PaddedSizes sizes = PaddedSizesOf(inputs);
  const Tape<T> parts = TapeAt<T>(const_cast<void*>(tape), inputs, steps, sizes);
  ColumnPanels<T> panels;
  const auto packed = PackTransposed<T>(inputs.recurrent_kernel, inputs.units, inputs, sizes,
                                        LayoutOf(inputs.cell).state_gate, &panels);
  const GradientWork<T> work = {&inputs, steps.view(), sizes, parts, panels, &gradients};
  ForChunks<T>(inputs, steps, threads, sizes,
               [&](Chunk chunk, T* scratch) { Functions<T>().backward(work, chunk, scratch); });

  const int64_t registers = sizes.units / sizes.lanes;
  const int64_t parts_of_work = std::min(registers, threads.number);
  if (parts_of_work == 0) return;
  const int64_t size =
      Functions<T>().weight_scratch(inputs, sizes, (registers + parts_of_work - 1) / parts_of_work);
  std::vector<T> scratch(parts_of_work * size);
  threads.parallel_for(parts_of_work, Cycles(inputs, steps.num_entries()) / parts_of_work,
                       [&](int64_t begin, int64_t end) {
                         for (int64_t i = begin; i < end; ++i) {
                           Functions<T>().weight_gradients(work, registers * i / parts_of_work,
                                                           registers * (i + 1) / parts_of_work,
                                                           scratch.data() + i * size);
                         }
                       });
}

template <typename T>
void SequencesGradient(const RecurrentInputs& inputs, const Steps& steps, const void* slopes,
                       const Threads& threads, T* gradient) {
  const PaddedSizes sizes = PaddedSizesOf(inputs);
  ColumnPanels<T> panels;
  const auto packed = PackTransposed<T>(inputs.kernel, inputs.features, inputs, sizes,
                                        LayoutOf(inputs.cell).input_gate, &panels);
  const int64_t num_entries = steps.num_entries();
  if (num_entries < inputs.batch * inputs.time) {
    std::fill_n(gradient, inputs.batch * inputs.time * inputs.features, T{0});
  }
  const InputWork<T> work = {&inputs, steps.view(), sizes, static_cast<const T*>(slopes),
                             panels,  gradient};
  const int64_t pieces = (num_entries + kPieceEntries - 1) / kPieceEntries;
  if (pieces == 0) return;
  threads.parallel_for(pieces, Cycles(inputs, kPieceEntries), [&](int64_t begin, int64_t end) {
    Functions<T>().input_gradient(work, begin * kPieceEntries,
                                  std::min(num_entries, end * kPieceEntries));
  });
}

}  // namespace

int64_t TapeSize(const RecurrentInputs& inputs, const Steps& steps) {
  const PaddedSizes sizes = PaddedSizesOf(inputs);
  const int64_t states = LayoutOf(inputs.cell).num_states * sizes.units;
  return steps.num_entries() * (sizes.entry + states);
}

void ComputeRecurrent(const RecurrentInputs& inputs, const Steps& steps, const Threads& threads,
                      const RecurrentOutputs& outputs) {
  if (inputs.type == DataType::kFloat64) {
    Forward<double>(inputs, steps, threads, outputs);
  } else {
    Forward<float>(inputs, steps, threads, outputs);
  }
}

void ComputeRecurrentGradients(const RecurrentInputs& inputs, const Steps& steps, const void* tape,
                               const Threads& threads, const RecurrentGradients& gradients) {
  if (inputs.type == DataType::kFloat64) {
    Gradients<double>(inputs, steps, tape, threads, gradients);
  } else {
    Gradients<float>(inputs, steps, tape, threads, gradients);
  }
}

void ComputeSequencesGradient(const RecurrentInputs& inputs, const Steps& steps, const void* slopes,
                              const Threads& threads, void* gradient) {
  if (inputs.type == DataType::kFloat64) {
    SequencesGradient(inputs, steps, slopes, threads, static_cast<double*>(gradient));
  } else {
    SequencesGradient(inputs, steps, slopes, threads, static_cast<float*>(gradient));
  }
}

}  // namespace masklstm
