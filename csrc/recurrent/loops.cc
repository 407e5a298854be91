// The loops through time and those of the weights' gradients, compiled once per instruction set.
//
// Design:
//   A. Rows of a batch do not know of each other: a chunk of rows goes through all steps at once,
//      and threads have chunks of their own.
//   B. The gates of a register of units are made side by side, by tiles of a few rows, and turned
//      into the new states while they are in the nearest cache. Matrices of gates are only stored
//      for the tape.
//   C. A cell whose last gate needs a product with something else than the state takes a second
//      round over all units for it, forwards and backwards.
//   D. Gradients of weights are sums over all entries. Threads share them out by columns, and each
//      adds the entries up in their order, in pieces of kPieceEntries, so that neither the chunks
//      nor the number of threads change a bit.
#include <cstdint>
#include <cstring>

#include "csrc/cpu/simd_math.h"
#include "csrc/recurrent/cells.h"
#include "csrc/recurrent/function_table.h"
#include "csrc/recurrent/tiles.h"

namespace masklstm {
namespace {

template <typename T>
void Fill(T* numbers, int64_t count, T value) {
  for (int64_t i = 0; i < count; ++i) numbers[i] = value;
}

template <typename T>
void Copy(const T* from, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

template <typename T>
void AddTo(const T* from, int64_t count, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

// The rows of a chunk: the first ones of them have a given step.
struct ChunkRows {
  const RecurrentInputs& inputs;
  const StepsView& steps;
  Chunk chunk;

  int64_t sorted(int64_t i) const { return chunk.first + i * chunk.stride; }
  int64_t row(int64_t i) const { return steps.rows[sorted(i)]; }
  int64_t length(int64_t i) const { return steps.lengths[sorted(i)]; }
  int64_t longest() const { return length(0); }
  int64_t entry(int64_t step, int64_t i) const { return steps.offsets[step] + sorted(i); }

  // How many of `most` rows have the step.
  int64_t WithStep(int64_t step, int64_t most) const {
    while (most > 0 && length(most - 1) <= step) --most;
    return most;
  }

  // Where the outputs of a step begin, in the direction of time; after the last step, the end.
  int64_t Place(int64_t step, int64_t i) const {
    if (step >= length(i)) return inputs.time;
    return steps.places == nullptr ? step : steps.places[entry(step, i)];
  }
  int64_t Time(int64_t step, int64_t i) const {
    const int64_t place = Place(step, i);
    return inputs.is_backwards ? inputs.time - 1 - place : place;
  }
};

// A row of an array that may not be there: zeros then, to the padded size in any case.
template <typename T>
void CopyPadded(const void* array, int64_t row, int64_t size, int64_t padded, T* to) {
  if (array == nullptr) return Fill(to, padded, T{0});
  Copy(static_cast<const T*>(array) + row * size, size, to);
  Fill(to + size, padded - size, T{0});
}

// Three states of each row (before the first step, and two that take turns where no tape is kept)
// and the gates of a register of units; all groups for a cell of two rounds.
template <typename T>
int64_t ChunkScratch(Cell cell, const PaddedSizes& sizes, int64_t count) {
  const int64_t groups = HasTwoRounds(LayoutOf(cell)) ? sizes.entry : 0;
  return count * (3 * kMaxStates * sizes.units + 3 * kMaxGroups * sizes.lanes + groups);
}

template <typename C>
inline constexpr bool kHasTwoRounds = HasTwoRounds(C::kLayout);

// Gates of a tile: a tile has gates of one round.
template <typename C>
inline constexpr int kGateColumns = kHasTwoRounds<C> ? 1 : GateColumns(C::kLayout.num_gates);

template <typename T, typename C>
struct Forward {
  static constexpr int kLanes = Vec<T>::kLanes;
  static constexpr int kGates = C::kLayout.num_gates;
  static constexpr int kGroups = C::kLayout.num_groups;
  static constexpr int kStates = C::kLayout.num_states;
  // An LSTM adds both products up in one tile; a GRU needs them apart.
  static constexpr bool kIsApart = C::kLayout.num_biases == 2;
  static constexpr int kTileColumns = kGateColumns<C>;
  static constexpr int kRows = kTileColumns == 3 && kNumRegisters == 16 ? 4 : kTileRows;

  const ForwardWork<T>& work;
  const ChunkRows rows;
  T* const initial;  // [state][row][units]
  T* const turns;    // [turn][state][row][units]
  T* const gates;    // [of input, of state][row][gate][lane], then [row][group][lane]
  T* const all;      // [row][group][units], of a cell of two rounds without a tape

  Forward(const ForwardWork<T>& work, Chunk chunk, T* scratch)
      : work(work),
        rows{*work.inputs, work.steps, chunk},
        initial(scratch),
        turns(scratch + kStates * chunk.count * work.sizes.units),
        gates(scratch + 3 * kMaxStates * chunk.count * work.sizes.units),
        all(gates + 3 * kMaxGroups * chunk.count * work.sizes.lanes) {}

  // A state after a step, or before the first one.
  T* State(int state, int64_t step, int64_t i) const {
    const int64_t units = work.sizes.units;
    const int64_t of_row = (state * rows.chunk.count + i) * units;
    if (step < 0) return initial + of_row;
    if (work.tape.groups) return work.tape.states[state] + rows.entry(step, i) * units;
    return turns + (step % 2) * kStates * rows.chunk.count * units + of_row;
  }

  void Run() const {
    const RecurrentInputs& inputs = *work.inputs;
    for (int64_t i = 0; i < rows.chunk.count; ++i) {
#pragma GCC unroll 8
      for (int state = 0; state < kStates; ++state) {
        CopyPadded(inputs.initial_states[state], rows.row(i), inputs.units, work.sizes.units,
                   State(state, -1, i));
      }
      if (rows.length(i) == 0) WriteStates(-1, i);
      WriteOutputs(nullptr, 0, rows.Place(0, i), i);
    }
    int64_t active = rows.chunk.count;
    for (int64_t step = 0; step < rows.longest(); ++step) {
      active = rows.WithStep(step, active);
      Step(step, active);
      for (int64_t i = 0; i < active; ++i) {
        WriteOutputs(State(0, step, i), rows.Place(step, i), rows.Place(step + 1, i), i);
        if (step + 1 == rows.length(i)) WriteStates(step, i);
      }
    }
  }

  // Where the numbers of each row lie, for one step.
  struct RowsOfStep {
    const T* input[kMaxChunkRows];
    const T* before[kStates][kMaxChunkRows];
    T* after[kStates][kMaxChunkRows];
    T* tape[kMaxChunkRows];
  };

  void Step(int64_t step, int64_t active) const {
    const RecurrentInputs& inputs = *work.inputs;
    RowsOfStep at;
    for (int64_t i = 0; i < active; ++i) {
      at.input[i] = static_cast<const T*>(inputs.sequences) +
                    (rows.row(i) * inputs.time + rows.Time(step, i)) * inputs.features;
#pragma GCC unroll 8
      for (int state = 0; state < kStates; ++state) {
        at.before[state][i] = State(state, step - 1, i);
        at.after[state][i] = State(state, step, i);
      }
      at.tape[i] = work.tape.groups ? work.tape.groups + rows.entry(step, i) * work.sizes.entry
                                    : all + i * work.sizes.entry;
    }
    for (int64_t unit = 0; unit < work.sizes.units; unit += kLanes) {
      for (int column = 0; column < kGates; column += kTileColumns) {
        // Columns before the panel's.
        const int64_t panel = unit * kGates + column * kLanes;
        const T* const input = work.panels.input + panel * inputs.features;
        const T* const state = work.panels.state + panel * inputs.units;
        T* const to = gates + column * kLanes;
        Products(active, at.input, inputs.features, input, work.panels.input_bias + panel, to);
        if (kIsApart) {
          Products(active, at.before[0], inputs.units, state, work.panels.state_bias + panel,
                   to + OfState());
        } else if (column < C::kLayout.num_gates_of_state) {
          Products(active, at.before[0], inputs.units, state, nullptr, to);
        }
      }
      for (int64_t i = 0; i < active; ++i) Begin(at, i, unit);
      if (kHasTwoRounds<C>) continue;
      for (int64_t i = 0; i < active; ++i) End(at, i, unit);
    }
    if constexpr (kHasTwoRounds<C>) SecondRound(at, active);
  }

  // The candidate's product with what the reset gate leaves of the state.
  void SecondRound(const RowsOfStep& at, int64_t active) const {
    const int64_t units = work.inputs->units;
    const T* left[kMaxChunkRows];
    for (int64_t i = 0; i < active; ++i) left[i] = at.tape[i] + 3 * work.sizes.units;
    for (int64_t unit = 0; unit < work.sizes.units; unit += kLanes) {
      for (int64_t i = 0; i < active; ++i) {
        Vec<T>::Load(at.tape[i] + unit).Store(gates + i * kGates * kLanes);
      }
      const int64_t panel = unit * kGates + C::kLayout.num_gates_of_state * kLanes;
      Products(active, left, units, work.panels.state + panel * units, nullptr, gates);
      for (int64_t i = 0; i < active; ++i) {
        Vec<T>::Load(gates + i * kGates * kLanes).Store(at.tape[i] + unit);
        End(at, i, unit);
      }
    }
  }

  int64_t OfState() const { return rows.chunk.count * kGates * kLanes; }
  // The groups of a register of units, `MadeStride()` apart.
  T* Made(const RowsOfStep& at, int64_t i, int64_t unit) const {
    return kHasTwoRounds<C> ? at.tape[i] + unit : gates + 2 * OfState() + i * kGroups * kLanes;
  }
  int64_t MadeStride() const { return kHasTwoRounds<C> ? work.sizes.units : kLanes; }

  // The rows times a panel, added to a bias or, if it is null, to what there is. A part of the
  // panel stays in the nearest cache while all rows are multiplied with it.
  void Products(int64_t active, const T* const* from, int64_t depth, const T* panel, const T* bias,
                T* to) const {
    constexpr int64_t kWidth = kTileColumns * kLanes;
    ForParts<kRows>(depth, active, [&](int64_t skipped, int64_t part, int64_t first, auto count) {
      constexpr int kCount = decltype(count)::value;
      Tile<T, kCount, kTileColumns> tile;
      const T* part_of[kCount];
      T* to_row[kCount];
#pragma GCC unroll 8
      for (int r = 0; r < kCount; ++r) {
        part_of[r] = from[first + r] + skipped;
        to_row[r] = to + (first + r) * kGates * kLanes;
        const T* start = skipped == 0 && bias ? bias : to_row[r];
#pragma GCC unroll 8
        for (int c = 0; c < kTileColumns; ++c) tile.sum[r][c] = Vec<T>::Load(start + c * kLanes);
      }
      tile.Add(part_of, part, panel + skipped * kWidth, kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < kCount; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < kTileColumns; ++c) tile.sum[r][c].Store(to_row[r] + c * kLanes);
      }
    });
  }

  void Begin(const RowsOfStep& at, int64_t i, int64_t unit) const {
    const T* const sums = gates + i * kGates * kLanes;
    Vec<T> of_input[kGates], of_state[kGates], before[kStates], groups[kGroups], after[kStates];
#pragma GCC unroll 8
    for (int gate = 0; gate < kGates; ++gate) {
      of_input[gate] = Vec<T>::Load(sums + gate * kLanes);
      if (kIsApart) of_state[gate] = Vec<T>::Load(sums + OfState() + gate * kLanes);
    }
#pragma GCC unroll 8
    for (int state = 0; state < kStates; ++state) {
      before[state] = Vec<T>::Load(at.before[state][i] + unit);
    }
    C::Begin(of_input, of_state, before, groups, after);
#pragma GCC unroll 8
    for (int group = 0; group < kGroups; ++group) {
      groups[group].Store(Made(at, i, unit) + group * MadeStride());
    }
#pragma GCC unroll 8
    for (int state = 1; state < kStates; ++state) after[state].Store(at.after[state][i] + unit);
  }

  void End(const RowsOfStep& at, int64_t i, int64_t unit) const {
    Vec<T> before[kStates], groups[kGroups], after[kStates];
#pragma GCC unroll 8
    for (int group = 0; group < kGroups; ++group) {
      groups[group] = Vec<T>::Load(Made(at, i, unit) + group * MadeStride());
    }
    before[0] = Vec<T>::Load(at.before[0][i] + unit);
#pragma GCC unroll 8
    for (int state = 1; state < kStates; ++state) {
      after[state] = Vec<T>::Load(at.after[state][i] + unit);
    }
    C::End(before, groups, after);
    after[0].Store(at.after[0][i] + unit);
    if (!work.tape.groups && !kHasTwoRounds<C>) return;
    T* tape = at.tape[i] + unit;
#pragma GCC unroll 8
    for (int group = 0; group < kGroups; ++group, tape += work.sizes.units) {
      groups[group].Store(tape);
    }
  }

  // The outputs of the places [begin, end): that of a step and of the masked ones after it.
  void WriteOutputs(const T* output, int64_t begin, int64_t end, int64_t i) const {
    if (!work.outputs->sequence) return;
    const int64_t units = work.inputs->units;
    T* to = static_cast<T*>(work.outputs->sequence) + rows.row(i) * work.inputs->time * units;
    for (int64_t place = begin; place < end; ++place) {
      if (output == nullptr || (place > begin && work.inputs->zero_output_for_mask)) {
        Fill(to + place * units, units, T{0});
      } else {
        Copy(output, units, to + place * units);
      }
    }
  }

  void WriteStates(int64_t step, int64_t i) const {
    const int64_t units = work.inputs->units;
#pragma GCC unroll 8
    for (int state = 0; state < kStates; ++state) {
      T* to = static_cast<T*>(work.outputs->states[state]) + rows.row(i) * units;
      Copy(State(state, step, i), units, to);
    }
  }
};

template <typename T, typename C>
struct Backward {
  static constexpr int kLanes = Vec<T>::kLanes;
  static constexpr int kGroups = C::kLayout.num_groups;
  static constexpr int kStates = C::kLayout.num_states;

  const GradientWork<T>& work;
  const ChunkRows rows;
  T* const initial;
  T* const slopes_by_state;  // [state][row][units]
  T* const slopes_by_left;   // [row][units], by the state as the reset gate leaves it

  Backward(const GradientWork<T>& work, Chunk chunk, T* scratch)
      : work(work),
        rows{*work.inputs, work.steps, chunk},
        initial(scratch),
        slopes_by_state(scratch + kStates * chunk.count * work.sizes.units),
        slopes_by_left(slopes_by_state + kStates * chunk.count * work.sizes.units) {}

  T* Slope(int state, int64_t i) const {
    return slopes_by_state + (state * rows.chunk.count + i) * work.sizes.units;
  }

  const T* State(int state, int64_t step, int64_t i) const {
    const int64_t units = work.sizes.units;
    if (step < 0) return initial + (state * rows.chunk.count + i) * units;
    return work.tape.states[state] + rows.entry(step, i) * units;
  }

  T* Slopes(int64_t step, int64_t i) const {
    return static_cast<T*>(work.gradients->slopes) + rows.entry(step, i) * work.sizes.entry;
  }

  void Run() const {
    const RecurrentInputs& inputs = *work.inputs;
    const RecurrentGradients& gradients = *work.gradients;
    const int64_t units = work.sizes.units;
    for (int64_t i = 0; i < rows.chunk.count; ++i) {
#pragma GCC unroll 8
      for (int state = 0; state < kStates; ++state) {
        CopyPadded(inputs.initial_states[state], rows.row(i), inputs.units, units,
                   initial + (state * rows.chunk.count + i) * units);
        CopyPadded(gradients.states[state], rows.row(i), inputs.units, units, Slope(state, i));
      }
    }
    for (int64_t step = rows.longest() - 1; step >= 0; --step) {
      const int64_t active = rows.WithStep(step, rows.chunk.count);
      for (int64_t i = 0; i < active; ++i) {
        AddUpstream(step, i);
        Derive(step, i);
      }
      if constexpr (kHasTwoRounds<C>) {
        const int64_t units = work.sizes.units;
        Fill(slopes_by_left, active * units, T{0});
        Products(step, active, 0, units, slopes_by_left);
        for (int64_t i = 0; i < active; ++i) DeriveReset(step, i);
        Products(step, active, units, 2 * units, slopes_by_state);
      } else {
        Products(step, active, 0, work.state_weights.depth, slopes_by_state);
      }
    }
    for (int64_t i = 0; i < rows.chunk.count; ++i) {
#pragma GCC unroll 8
      for (int state = 0; state < kStates; ++state) {
        Copy(Slope(state, i), inputs.units,
             static_cast<T*>(gradients.initial_states[state]) + rows.row(i) * inputs.units);
      }
    }
  }

  // The gradients of the outputs that a step has made.
  void AddUpstream(int64_t step, int64_t i) const {
    if (!work.gradients->sequence) return;
    const int64_t units = work.inputs->units;
    const T* upstream =
        static_cast<const T*>(work.gradients->sequence) + rows.row(i) * work.inputs->time * units;
    const int64_t begin = rows.Place(step, i);
    const int64_t end = work.inputs->zero_output_for_mask ? begin + 1 : rows.Place(step + 1, i);
    for (int64_t place = begin; place < end; ++place) {
      AddTo(upstream + place * units, units, Slope(0, i));
    }
  }

  void Derive(int64_t step, int64_t i) const {
    const int64_t units = work.sizes.units;
    const T* const tape = work.tape.groups + rows.entry(step, i) * work.sizes.entry;
    T* const to = Slopes(step, i);
    const T *before_at[kStates], *after_at[kStates];
    T* slope_at[kStates];
#pragma GCC unroll 8
    for (int state = 0; state < kStates; ++state) {
      before_at[state] = State(state, step - 1, i);
      after_at[state] = State(state, step, i);
      slope_at[state] = Slope(state, i);
    }
    for (int64_t unit = 0; unit < units; unit += kLanes) {
      Vec<T> groups[kGroups], before[kStates], after[kStates], slope[kStates], slopes[kGroups];
#pragma GCC unroll 8
      for (int group = 0; group < kGroups; ++group) {
        groups[group] = Vec<T>::Load(tape + group * units + unit);
      }
#pragma GCC unroll 8
      for (int state = 0; state < kStates; ++state) {
        before[state] = Vec<T>::Load(before_at[state] + unit);
        after[state] = Vec<T>::Load(after_at[state] + unit);
        slope[state] = Vec<T>::Load(slope_at[state] + unit);
      }
      C::Backward(groups, before, after, slope, slopes);
#pragma GCC unroll 8
      for (int group = 0; group < kGroups; ++group) {
        slopes[group].Store(to + group * units + unit);
      }
#pragma GCC unroll 8
      for (int state = 0; state < kStates; ++state) slope[state].Store(slope_at[state] + unit);
    }
  }

  void DeriveReset(int64_t step, int64_t i) const {
    const int64_t units = work.sizes.units;
    const T* const before = State(0, step - 1, i);
    const T* const by_left = slopes_by_left + i * units;
    T* const slope_at = Slope(0, i);
    T* const reset_at = Slopes(step, i) + 2 * units;
    for (int64_t unit = 0; unit < units; unit += kLanes) {
      Vec<T> slope = Vec<T>::Load(slope_at + unit), reset = Vec<T>::Load(reset_at + unit);
      C::BackwardOfReset(Vec<T>::Load(by_left + unit), Vec<T>::Load(before + unit), &slope, &reset);
      slope.Store(slope_at + unit);
      reset.Store(reset_at + unit);
    }
  }

  // Adds what goes through the state's weights to `by_rows`, [row][units]: the part of `whole` of
  // the slopes of an entry that has `before` others before it.
  void Products(int64_t step, int64_t active, int64_t before, int64_t whole, T* by_rows) const {
    const T* slopes[kMaxChunkRows];
    for (int64_t i = 0; i < active; ++i) {
      slopes[i] = Slopes(step, i) + C::kLayout.first_of_state * work.sizes.units + before;
    }
    const ColumnPanels<T>& weights = work.state_weights;
    ForPanels(weights.registers, [&](int64_t begin, auto columns) {
      constexpr int kColumns = decltype(columns)::value;
      ForParts<kTileRows>(
          whole, active, [&](int64_t skipped, int64_t depth, int64_t first, auto count) {
            constexpr int kCount = decltype(count)::value;
            Tile<T, kCount, kColumns> tile;
            T* to[kCount];
            const T* from[kCount];
#pragma GCC unroll 8
            for (int r = 0; r < kCount; ++r) {
              to[r] = by_rows + (first + r) * work.sizes.units + begin * kLanes;
              from[r] = slopes[first + r] + skipped;
#pragma GCC unroll 8
              for (int c = 0; c < kColumns; ++c) tile.sum[r][c] = Vec<T>::Load(to[r] + c * kLanes);
            }
            tile.Add(
                from, depth,
                weights.data + (begin * weights.depth + (before + skipped) * kColumns) * kLanes,
                kColumns * kLanes);
#pragma GCC unroll 8
            for (int r = 0; r < kCount; ++r) {
#pragma GCC unroll 8
              for (int c = 0; c < kColumns; ++c) tile.sum[r][c].Store(to[r] + c * kLanes);
            }
          });
    });
  }
};

// Walks over entries, as pairs of a step and a sorted row.
struct EntryWalk {
  const StepsView& steps;
  int64_t step = 0;

  // Of the next entries, in their order.
  int64_t SortedRow(int64_t entry) {
    while (steps.offsets[step + 1] <= entry) ++step;
    return entry - steps.offsets[step];
  }
};

template <typename T>
const T* SequenceRow(const RecurrentInputs& inputs, const StepsView& steps, int64_t entry,
                     int64_t step, int64_t sorted) {
  const int64_t place = steps.places == nullptr ? step : steps.places[entry];
  const int64_t time = inputs.is_backwards ? inputs.time - 1 - place : place;
  return static_cast<const T*>(inputs.sequences) +
         (steps.rows[sorted] * inputs.time + time) * inputs.features;
}

// The numbers that a column of slopes is multiplied with, so that those of each group of slopes are
// neighbours: the inputs, 1 for their bias, the state before, 1 for its bias. Where one gate has no
// product with the state: the state, the inputs, 1, and what that gate's product is with.
struct Factors {
  const CellLayout& layout;
  bool has_two_rounds;
  int64_t features;
  int64_t units;

  explicit Factors(const RecurrentInputs& inputs)
      : layout(LayoutOf(inputs.cell)),
        has_two_rounds(HasTwoRounds(layout)),
        features(inputs.features),
        units(inputs.units) {}

  int64_t all() const { return features + 1 + units + (has_two_rounds ? units : 1); }
  int64_t input() const { return has_two_rounds ? units : 0; }
  int64_t input_bias() const { return input() + features; }
  int64_t state_bias() const { return all() - 1; }
  int64_t state(int group) const { return has_two_rounds && group > 0 ? 0 : input_bias() + 1; }

  // Of those that a group has.
  int64_t First(int group) const {
    if (layout.input_gate[group] < 0) return state(group);
    return layout.state_gate[group] < 0 || input() < state(group) ? input() : state(group);
  }
  int64_t Last(int group) const {
    if (layout.state_gate[group] < 0 || state(group) < input()) return input_bias() + 1;
    return state(group) + units + (layout.num_biases - 1);
  }
};

template <typename T>
int64_t WeightScratch(const RecurrentInputs& inputs, const PaddedSizes& sizes, int64_t registers) {
  const int64_t factors = Factors(inputs).all();
  const int64_t sums = factors * LayoutOf(inputs.cell).num_groups * registers * sizes.lanes;
  return kPieceEntries * factors + kPieceEntries * kPanelRegisters * sizes.lanes + sums;
}

template <typename T, typename C>
struct Weights {
  static constexpr int kLanes = Vec<T>::kLanes;
  static constexpr const CellLayout& kLayout = C::kLayout;

  const GradientWork<T>& work;
  const RecurrentInputs& inputs;
  const Factors sizes;
  const int64_t begin;  // registers of each group
  const int64_t end;
  T* const factors;  // [entry of a piece][sizes.all()]
  T* const columns;  // [entry of a piece][registers of a panel][lane]
  T* const sums;     // [group][panel][factor][registers of the panel][lane]

  Weights(const GradientWork<T>& work, int64_t begin, int64_t end, T* scratch)
      : work(work),
        inputs(*work.inputs),
        sizes(inputs),
        begin(begin),
        end(end),
        factors(scratch),
        columns(factors + kPieceEntries * sizes.all()),
        sums(columns + kPieceEntries * kPanelRegisters * kLanes) {}

  static bool HasWeights(int group) {
    return kLayout.input_gate[group] >= 0 || kLayout.state_gate[group] >= 0;
  }

  T* Sums(int group, int64_t first) const {
    return sums + (group * (end - begin) + first) * sizes.all() * kLanes;
  }

  void Run() const {
    Fill(sums, kLayout.num_groups * (end - begin) * sizes.all() * kLanes, T{0});
    const int64_t num_entries = work.steps.offsets[work.steps.num_steps];
    EntryWalk walk{work.steps};
    for (int64_t entry = 0; entry < num_entries; entry += kPieceEntries) {
      const int64_t left = num_entries - entry;
      const int64_t count = left < kPieceEntries ? left : kPieceEntries;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t sorted = walk.SortedRow(entry + i);
        ReadFactors(entry + i, walk.step, sorted, factors + i * sizes.all());
      }
      for (int group = 0; group < kLayout.num_groups; ++group) {
        if (!HasWeights(group)) continue;
        ForPanels(end - begin, [&](int64_t first, auto width) {
          AddPiece<decltype(width)::value>(entry, count, group, first);
        });
      }
    }
    Write();
  }

  void ReadFactors(int64_t entry, int64_t step, int64_t sorted, T* to) const {
    const int64_t units = sizes.units;
    Copy(SequenceRow<T>(inputs, work.steps, entry, step, sorted), sizes.features,
         to + sizes.input());
    to[sizes.input_bias()] = T{1};
    T* const state = to + sizes.state(kLayout.num_groups - 1);
    if (step > 0) {
      const int64_t before = work.steps.offsets[step - 1] + sorted;
      Copy(work.tape.states[0] + before * work.sizes.units, units, state);
    } else {
      CopyPadded(inputs.initial_states[0], work.steps.rows[sorted], units, units, state);
    }
    if constexpr (kHasTwoRounds<C>) {
      const T* left = static_cast<const T*>(work.gradients->slopes) + entry * work.sizes.entry +
                      3 * work.sizes.units;
      Copy(left, units, to + sizes.state(0));
    } else {
      to[sizes.state_bias()] = T{1};
    }
  }

  template <int kWidth>
  void AddPiece(int64_t entry, int64_t count, int group, int64_t first) const {
    const T* slopes = static_cast<const T*>(work.gradients->slopes) + entry * work.sizes.entry +
                      group * work.sizes.units + (begin + first) * kLanes;
    for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 8
      for (int c = 0; c < kWidth; ++c) {
        Vec<T>::Load(slopes + i * work.sizes.entry + c * kLanes)
            .Store(columns + (i * kWidth + c) * kLanes);
      }
    }
    const int64_t first_factor = sizes.First(group);
    ForTiles<kTileRows>(sizes.Last(group) - first_factor, [&](int64_t factor, auto rows) {
      constexpr int kRows = decltype(rows)::value;
      Tile<T, kRows, kWidth> tile;
      tile.Clear();
      tile.AddTransposed(factors + first_factor + factor, sizes.all(), count, columns);
      T* to = Sums(group, first) + (first_factor + factor) * kWidth * kLanes;
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
        for (int c = 0; c < kWidth; ++c, to += kLanes) {
          (Vec<T>::Load(to) + tile.sum[r][c]).Store(to);
        }
      }
    });
  }

  // The sums to where they belong; the padding has no such place.
  void Write() const {
    for (int group = 0; group < kLayout.num_groups; ++group) {
      ForPanels(end - begin, [&](int64_t first, auto width) {
        const int64_t unit = (begin + first) * kLanes;
        const int64_t left = inputs.units - unit;
        const int64_t row = decltype(width)::value * kLanes;
        const int64_t count = left < row ? left : row;
        const T* from = Sums(group, first);
        const RecurrentGradients& gradients = *work.gradients;
        if (const int gate = kLayout.input_gate[group]; gate >= 0) {
          const T* const input = from + sizes.input() * row;
          WriteRows(input, row, sizes.features, gate, unit, count, gradients.kernel);
          if (gradients.bias) {
            WriteRows(from + sizes.input_bias() * row, row, 1, gate, unit, count, gradients.bias);
          }
        }
        if (const int gate = kLayout.state_gate[group]; gate >= 0) {
          const T* const state = from + sizes.state(group) * row;
          WriteRows(state, row, sizes.units, gate, unit, count, gradients.recurrent_kernel);
          if (gradients.bias && kLayout.num_biases == 2) {
            T* bias = static_cast<T*>(gradients.bias) + kLayout.num_gates * sizes.units;
            WriteRows(from + sizes.state_bias() * row, row, 1, gate, unit, count, bias);
          }
        }
      });
    }
  }

  void WriteRows(const T* from, int64_t stride, int64_t rows, int gate, int64_t unit, int64_t count,
                 void* matrix) const {
    T* to = static_cast<T*>(matrix) + gate * sizes.units + unit;
    for (int64_t row = 0; row < rows; ++row) {
      Copy(from + row * stride, count, to + row * kLayout.num_gates * sizes.units);
    }
  }
};

template <typename T>
void InputGradient(const InputWork<T>& work, int64_t begin, int64_t end) {
  constexpr int kLanes = Vec<T>::kLanes;
  const RecurrentInputs& inputs = *work.inputs;
  const int64_t first_group = LayoutOf(inputs.cell).first_of_input * work.sizes.units;
  EntryWalk walk{work.steps};
  for (int64_t entry = begin; entry < end; entry += kMaxChunkRows) {
    const int64_t count = end - entry < kMaxChunkRows ? end - entry : kMaxChunkRows;
    const T* slopes[kMaxChunkRows];
    T* gradient[kMaxChunkRows];
    for (int64_t i = 0; i < count; ++i) {
      const int64_t sorted = walk.SortedRow(entry + i);
      const T* row = SequenceRow<T>(inputs, work.steps, entry + i, walk.step, sorted);
      gradient[i] = work.gradient + (row - static_cast<const T*>(inputs.sequences));
      slopes[i] = work.slopes + (entry + i) * work.sizes.entry + first_group;
    }
    const ColumnPanels<T>& weights = work.input_weights;
    ForPanels(weights.registers, [&](int64_t first, auto columns) {
      constexpr int kColumns = decltype(columns)::value;
      const int64_t left = inputs.features - first * kLanes;
      const int64_t width = left < kColumns * kLanes ? left : kColumns * kLanes;
      ForTiles<kTileRows>(count, [&](int64_t row, auto rows) {
        constexpr int kCount = decltype(rows)::value;
        Tile<T, kCount, kColumns> tile;
        tile.Clear();
        tile.Add(slopes + row, weights.depth, weights.data + first * weights.depth * kLanes,
                 kColumns * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kCount; ++r) {
          T whole[kColumns * kLanes];
#pragma GCC unroll 8
          for (int c = 0; c < kColumns; ++c) tile.sum[r][c].Store(whole + c * kLanes);
          Copy(whole, width, gradient[row + r] + first * kLanes);
        }
      });
    });
  }
}

// Calls f with the cell as a type.
template <typename F>
void WithCell(Cell cell, const F& f) {
  if (cell == Cell::kLstm) {
    f(Lstm{});
  } else if (cell == Cell::kGru) {
    f(Gru{});
  } else {
    f(GruResetBefore{});
  }
}

template <typename T>
void RunForward(const ForwardWork<T>& work, Chunk chunk, T* scratch) {
  WithCell(work.inputs->cell,
           [&](auto cell) { Forward<T, decltype(cell)>(work, chunk, scratch).Run(); });
}

template <typename T>
void RunBackward(const GradientWork<T>& work, Chunk chunk, T* scratch) {
  WithCell(work.inputs->cell,
           [&](auto cell) { Backward<T, decltype(cell)>(work, chunk, scratch).Run(); });
}

template <typename T>
void RunWeights(const GradientWork<T>& work, int64_t begin, int64_t end, T* scratch) {
  WithCell(work.inputs->cell,
           [&](auto cell) { Weights<T, decltype(cell)>(work, begin, end, scratch).Run(); });
}

template <typename T>
constexpr RecurrentFunctions<T> kFunctions = {ChunkScratch<T>,  RunForward<T>, RunBackward<T>,
                                              WeightScratch<T>, RunWeights<T>, InputGradient<T>};

}  // namespace

const RecurrentKernels MASKLSTM_KERNEL_TABLE = {
    kVectorBytes,
    {kGateColumns<Lstm>, kGateColumns<Gru>, kGateColumns<GruResetBefore>},
    kPanelRegisters,
    kFunctions<float>,
    kFunctions<double>};

}  // namespace masklstm
