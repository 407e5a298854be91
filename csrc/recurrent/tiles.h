// Products of small matrices that stay in registers: a few rows times a few registers of columns.
//
// Each number of a product is summed in the order of the depth, whatever the size of its tile: bits
// do not depend on which rows are computed together.
#ifndef MASKLSTM_CSRC_RECURRENT_TILES_H_
#define MASKLSTM_CSRC_RECURRENT_TILES_H_

#include <cstdint>
#include <type_traits>

#include "csrc/cpu/simd_arithmetic.h"

namespace masklstm {
namespace {

// Of a panel, so that a tile's sums, its columns and one number of its rows fit the registers.
#if defined(__AVX512F__)
constexpr int kNumRegisters = 32;
constexpr int kPanelRegisters = 4;
#else
constexpr int kNumRegisters = 16;
constexpr int kPanelRegisters = 2;
#endif

constexpr int kTileRows = 6;

// Gates of a register of units that a tile has.
constexpr int GateColumns(int gates) {
  return gates <= kPanelRegisters ? gates : gates % 2 == 1 ? 3 : 2;
}

template <typename T, int kRows, int kColumns>
struct Tile {
  Vec<T> sum[kRows][kColumns];

  void Clear() {
    for (auto& row : sum) {
      for (Vec<T>& part : row) part = Vec<T>::Broadcast(0);
    }
  }

  // += the rows times a panel, whose rows of columns are `stride` apart.
  void Add(const T* const* rows, int64_t depth, const T* panel, int64_t stride) {
    const T* row[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) row[r] = rows[r];
    for (int64_t k = 0; k < depth; ++k) {
      Vec<T> columns[kColumns];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        columns[c] = Vec<T>::Load(panel + k * stride + c * Vec<T>::kLanes);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Vec<T> factor = Vec<T>::Broadcast(row[r][k]);
#pragma GCC unroll 8
        for (int c = 0; c < kColumns; ++c) sum[r][c] = sum[r][c] + factor * columns[c];
      }
    }
  }

  // += the transposed rows of a matrix, of which each gives its numbers 0, ..., kRows - 1, times a
  // dense panel.
  void AddTransposed(const T* matrix, int64_t stride, int64_t depth, const T* panel) {
    for (int64_t k = 0; k < depth; ++k) {
      Vec<T> columns[kColumns];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        columns[c] = Vec<T>::Load(panel + (k * kColumns + c) * Vec<T>::kLanes);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Vec<T> factor = Vec<T>::Broadcast(matrix[k * stride + r]);
#pragma GCC unroll 8
        for (int c = 0; c < kColumns; ++c) sum[r][c] = sum[r][c] + factor * columns[c];
      }
    }
  }
};

template <int kValue>
using Constant = std::integral_constant<int, kValue>;

// Calls f with a number known to the compiler, 1 <= number <= kMost.
template <int kMost, typename F>
void WithConstant(int64_t number, const F& f) {
  if constexpr (kMost == 1) {
    f(Constant<1>{});
  } else if (number == kMost) {
    f(Constant<kMost>{});
  } else {
    WithConstant<kMost - 1>(number, f);
  }
}

// Cuts `count` rows into tiles of like size: f(begin, number of rows as a constant).
template <int kMost, typename F>
void ForTiles(int64_t count, const F& f) {
  const int64_t tiles = (count + kMost - 1) / kMost;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t begin = count * tile / tiles;
    WithConstant<kMost>(count * (tile + 1) / tiles - begin, [&](auto rows) { f(begin, rows); });
  }
}

// Cuts a product of large depth into parts whose panels stay in the nearest cache while all tiles
// of rows are multiplied with them: f(depth before, depth, begin, number of rows as a constant).
constexpr int64_t kPartDepth = 256;

template <int kMost, typename F>
void ForParts(int64_t depth, int64_t count, const F& f) {
  int64_t skipped = 0;
  do {  // once even without any depth: a bias has to be read
    const int64_t part = depth - skipped < kPartDepth ? depth - skipped : kPartDepth;
    ForTiles<kMost>(count, [&](int64_t begin, auto rows) { f(skipped, part, begin, rows); });
    skipped += kPartDepth;
  } while (skipped < depth);
}

// Cuts `registers` into panels: f(first register, number of registers as a constant).
template <typename F>
void ForPanels(int64_t registers, const F& f) {
  for (int64_t begin = 0; begin < registers; begin += kPanelRegisters) {
    const int64_t width = registers - begin < kPanelRegisters ? registers - begin : kPanelRegisters;
    WithConstant<kPanelRegisters>(width, [&](auto columns) { f(begin, columns); });
  }
}

}  // namespace
}  // namespace masklstm

#endif  // MASKLSTM_CSRC_RECURRENT_TILES_H_
