// What each instruction set's object file provides to dispatch.cc. Only plain data crosses this
// border: see csrc/cpu/function_table.h.
#ifndef MASKLSTM_CSRC_RECURRENT_FUNCTION_TABLE_H_
#define MASKLSTM_CSRC_RECURRENT_FUNCTION_TABLE_H_

#include <cstdint>

#include "csrc/recurrent/recurrent.h"
#include "csrc/recurrent/steps.h"

namespace masklstm {

// Rows that go through time together: sorted rows first, first + stride, ...
struct Chunk {
  int64_t first;
  int64_t stride;
  int64_t count;  // at most kMaxChunkRows
};

inline constexpr int64_t kMaxChunkRows = 64;

// Entries that the gradients of the weights are summed over before they are added up.
inline constexpr int64_t kPieceEntries = 64;

// Units, padded to whole registers with zeros.
struct PaddedSizes {
  int64_t lanes;  // of a register
  int64_t units;  // a multiple of `lanes`
  int64_t entry;  // numbers of one entry: all its groups
};

// Weights in the order in which they are needed. For a register of units at a time, the gates of a
// tile side by side: [units / lanes][gates / gates of a tile][depth][gates of a tile][lanes].
template <typename T>
struct GatePanels {
  const T* input;       // depth: features
  const T* state;       // depth: units
  const T* input_bias;  // depth: 1
  const T* state_bias;
};

template <typename T>
struct Tape {
  T* groups;              // of each entry
  T* states[kMaxStates];  // after each entry
};

template <typename T>
struct ForwardWork {
  const RecurrentInputs* inputs;
  StepsView steps;
  PaddedSizes sizes;
  GatePanels<T> panels;
  Tape<T> tape;  // of null pointers: nothing is kept
  const RecurrentOutputs* outputs;
};

// A matrix whose columns are in panels of a few registers, the last one narrower:
// [panels][depth][registers * lanes].
template <typename T>
struct ColumnPanels {
  const T* data;
  int64_t depth;
  int64_t registers;  // that all columns take
};

template <typename T>
struct GradientWork {
  const RecurrentInputs* inputs;
  StepsView steps;
  PaddedSizes sizes;
  Tape<T> tape;
  ColumnPanels<T> state_weights;  // from the slopes to the state before
  const RecurrentGradients* gradients;
};

template <typename T>
struct InputWork {
  const RecurrentInputs* inputs;
  StepsView steps;
  PaddedSizes sizes;
  const T* slopes;
  ColumnPanels<T> input_weights;  // from the slopes to the inputs
  T* gradient;
};

template <typename T>
struct RecurrentFunctions {
  // Numbers of scratch memory that `forward` and `backward` need for a chunk.
  int64_t (*chunk_scratch)(Cell cell, const PaddedSizes& sizes, int64_t count);

  void (*forward)(const ForwardWork<T>& work, Chunk chunk, T* scratch);
  void (*backward)(const GradientWork<T>& work, Chunk chunk, T* scratch);

  // The gradients of the weights of the registers [begin, end) of all groups' units.
  int64_t (*weight_scratch)(const RecurrentInputs& inputs, const PaddedSizes& sizes,
                            int64_t registers);
  void (*weight_gradients)(const GradientWork<T>& work, int64_t begin, int64_t end, T* scratch);

  // The gradient by the inputs of the entries [begin, end).
  void (*input_gradient)(const InputWork<T>& work, int64_t begin, int64_t end);
};

struct RecurrentKernels {
  int vector_bytes;
  int gate_columns[kNumCells];  // gates of a tile
  int panel_registers;          // of ColumnPanels
  RecurrentFunctions<float> of_float;
  RecurrentFunctions<double> of_double;
};

// Of those that are built: MASKLSTM_HAS_AVX2 and the like say which, to dispatch.cc alone.
extern const RecurrentKernels kBaselineRecurrentKernels;
extern const RecurrentKernels kAvx2RecurrentKernels;
extern const RecurrentKernels kAvx512RecurrentKernels;

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_RECURRENT_FUNCTION_TABLE_H_
