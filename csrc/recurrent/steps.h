// Which steps of which rows are computed together.
//
// Design:
//   A. The kept steps of each row are numbered 0, 1, ... Rows are sorted by their number of kept
//      steps, the longest first, so that the rows that have a step s come first among them.
//   B. An entry is a step of a row. Entries lie one after the other, first all of step 0, then all
//      of step 1: the entry of step s of the r-th row is offsets[s] + r, and the one before it
//      offsets[s - 1] + r. A masked step has no entry.
#ifndef MASKLSTM_CSRC_RECURRENT_STEPS_H_
#define MASKLSTM_CSRC_RECURRENT_STEPS_H_

#include <cstdint>
#include <vector>

#include "csrc/recurrent/recurrent.h"

namespace masklstm {

// As plain data, for the kernels.
struct StepsView {
  int64_t num_steps;
  const int64_t* offsets;  // of each step, and the number of all entries
  const int64_t* rows;     // the row of the batch of each sorted row
  const int64_t* lengths;  // of the sorted rows
  const int64_t* places;   // of each entry, its place in the direction of time; null: s everywhere
};

class Steps {
 public:
  explicit Steps(const RecurrentInputs& inputs);

  int64_t num_entries() const { return offsets_.back(); }
  bool has_gaps() const { return !places_.empty(); }
  StepsView view() const {
    return {static_cast<int64_t>(offsets_.size()) - 1, offsets_.data(), rows_.data(),
            lengths_.data(), has_gaps() ? places_.data() : nullptr};
  }

 private:
  std::vector<int64_t> offsets_;
  std::vector<int64_t> rows_;
  std::vector<int64_t> lengths_;
  std::vector<int64_t> places_;
};

}  // namespace masklstm

#endif  // MASKLSTM_CSRC_RECURRENT_STEPS_H_
