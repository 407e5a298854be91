// What a recurrent layer computes, framework-free, as plain pointers and sizes.
//
// Design:
//   A. A step that the mask leaves out is not computed: state and output stay as they were. What is
//      computed are the kept steps of each row, one after the other (steps.h).
//   B. Weights have the layout of Keras: a matrix for the inputs, one for the state, with the
//      columns of one gate after those of another. Gates of an LSTM: input, forget, candidate,
//      output. Of a GRU: update, reset, candidate. The reset gate acts on the product of state and
//      weights, with biases for inputs and state ("reset_after"), or on the state before that
//      product, with one bias.
//   C. A training keeps the gates and states of each step for the backward pass, on a tape.
#ifndef MASKLSTM_CSRC_RECURRENT_RECURRENT_H_
#define MASKLSTM_CSRC_RECURRENT_RECURRENT_H_

#include <cstdint>

#include "csrc/core/data_types.h"

namespace masklstm {

enum class Cell { kLstm, kGru, kGruResetBefore };
inline constexpr int kNumCells = 3;

struct CellName {
  const char* name;
  Cell cell;
};

inline constexpr CellName kCells[kNumCells] = {
    {"lstm", Cell::kLstm}, {"gru", Cell::kGru}, {"gru_reset_before", Cell::kGruResetBefore}};

inline constexpr int kMaxStates = 2;
inline constexpr int kMaxGroups = 4;

// How the columns of the weights become the groups that the kernels keep of each step. The slopes
// by what goes into the gates are the groups that the weights' gradients are made of: those of the
// inputs' weights and those of the state's are neighbours each, and may overlap.
struct CellLayout {
  int num_states;
  int num_biases;          // rows of the bias
  int num_gates;           // of the weights
  int num_gates_of_state;  // the first ones: their products are with the state itself
  int num_groups;          // of the tape and of the slopes
  int first_of_input;
  int first_of_state;
  int input_gate[kMaxGroups];  // the gate of each group of slopes, of the inputs' weights
  int state_gate[kMaxGroups];  // and of the state's
};

// Not shared between objects of different instruction sets.
namespace {

constexpr CellLayout kLstmLayout = {2, 1, 4, 4, 4, 0, 0, {0, 1, 2, 3}, {0, 1, 2, 3}};

// The candidate's inputs and its part of the state are apart: the reset gate is between them.
constexpr CellLayout kGruLayout = {1, 2, 3, 3, 4, 0, 1, {2, 0, 1, -1}, {-1, 0, 1, 2}};

// Three groups of slopes: those of the candidate, of the update and of the reset gate. The fourth
// group is the state as the reset gate leaves it, which the candidate's weights are multiplied
// with.
constexpr CellLayout kGruResetBeforeLayout = {1, 1, 3, 2, 4, 0, 0, {2, 0, 1, -1}, {2, 0, 1, -1}};

constexpr const CellLayout& LayoutOf(Cell cell) {
  if (cell == Cell::kLstm) return kLstmLayout;
  return cell == Cell::kGru ? kGruLayout : kGruResetBeforeLayout;
}

// The gates that are left take a second round over all units.
constexpr bool HasTwoRounds(const CellLayout& layout) {
  return layout.num_gates_of_state < layout.num_gates;
}

}  // namespace

// Arrays are dense and of `type`, which is float32 or float64.
struct RecurrentInputs {
  Cell cell;
  DataType type;
  int64_t batch;
  int64_t time;
  int64_t features;
  int64_t units;
  bool is_backwards;             // from the last step to the first one; so are the outputs
  bool zero_output_for_mask;     // else the output of a masked step is that of the step before
  const void* sequences;         // batch x time x features
  const bool* mask;              // batch x time, true: kept; null: all are
  const void* kernel;            // features x gates * units
  const void* recurrent_kernel;  // units x gates * units
  const void* bias;              // biases x gates * units; null: none
  const void* initial_states[kMaxStates];  // batch x units; null: zeros
};

struct RecurrentOutputs {
  void* sequence;            // batch x time x units; null: not wanted
  void* states[kMaxStates];  // batch x units
  void* tape;                // TapeSize() numbers; null: nothing is kept
};

struct RecurrentGradients {
  // Of the outputs; null: zeros.
  const void* sequence;
  const void* states[kMaxStates];
  // Of the inputs.
  void* kernel;
  void* recurrent_kernel;
  void* bias;  // null if there is none
  void* initial_states[kMaxStates];
  void* slopes;  // TapeSize() numbers, for the gradient by the sequences; may be the tape itself
};

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_RECURRENT_RECURRENT_H_
