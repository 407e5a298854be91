#include "csrc/recurrent/steps.h"

#include <algorithm>
#include <numeric>

namespace masklstm {

Steps::Steps(const RecurrentInputs& inputs) : rows_(inputs.batch), lengths_(inputs.batch) {
  const int64_t batch = inputs.batch;
  const int64_t time = inputs.time;
  std::iota(rows_.begin(), rows_.end(), 0);
  const bool* mask = inputs.mask;
  const int64_t size = mask == nullptr ? 0 : batch * time;
  if (std::all_of(mask, mask + size, [](bool kept) { return kept; })) {
    std::fill(lengths_.begin(), lengths_.end(), time);
    const int64_t num_steps = batch == 0 ? 0 : time;
    for (int64_t step = 0; step <= num_steps; ++step) offsets_.push_back(step * batch);
    return;
  }
  std::vector<int64_t> length_of_row(batch);
  for (int64_t row = 0; row < batch; ++row) {
    length_of_row[row] = std::count(mask + row * time, mask + (row + 1) * time, true);
  }
  std::stable_sort(rows_.begin(), rows_.end(),
                   [&](int64_t a, int64_t b) { return length_of_row[a] > length_of_row[b]; });
  for (int64_t r = 0; r < batch; ++r) lengths_[r] = length_of_row[rows_[r]];

  const int64_t num_steps = batch == 0 ? 0 : lengths_[0];
  offsets_.assign(num_steps + 1, 0);
  int64_t active = batch;
  for (int64_t step = 0; step < num_steps; ++step) {
    while (lengths_[active - 1] <= step) --active;
    offsets_[step + 1] = offsets_[step] + active;
  }
  places_.resize(std::max<int64_t>(1, offsets_.back()));  // has_gaps() even if no step is kept
  for (int64_t r = 0; r < batch; ++r) {
    const bool* kept = mask + rows_[r] * time;
    int64_t step = 0;
    for (int64_t place = 0; place < time; ++place) {
      if (kept[inputs.is_backwards ? time - 1 - place : place]) {
        places_[offsets_[step++] + r] = place;
      }
    }
  }
}

}  // namespace masklstm
