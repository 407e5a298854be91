// Floats of eight neighbouring channels, side by side in memory, as eight arrays of doubles, and
// back.
#ifndef MASKLSTM_CSRC_CPU_TRANSPOSE_H_
#define MASKLSTM_CSRC_CPU_TRANSPOSE_H_

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>

namespace masklstm {
namespace {

constexpr int kTransposed = 8;

inline void Transpose(__m256 (&rows)[kTransposed]) {
  __m256 pairs[kTransposed], fours[kTransposed];
  for (int i = 0; i < kTransposed; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < kTransposed; i += 4) {
    fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
    rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
  }
}

// planes[c * plane_size + i] = first[i * step + c], for eight channels and as many elements as are
// whole groups of eight; returns their number.
inline int64_t SpreadOutEight(const float* first, int64_t count, int64_t step, int64_t plane_size,
                              double* planes) {
  int64_t i = 0;
  for (; i + kTransposed <= count; i += kTransposed) {
    __m256 rows[kTransposed];
    for (int k = 0; k < kTransposed; ++k) rows[k] = _mm256_loadu_ps(first + (i + k) * step);
    Transpose(rows);
    for (int c = 0; c < kTransposed; ++c) {
      double* const plane = planes + c * plane_size + i;
      _mm256_storeu_pd(plane, _mm256_cvtps_pd(_mm256_castps256_ps128(rows[c])));
      _mm256_storeu_pd(plane + 4, _mm256_cvtps_pd(_mm256_extractf128_ps(rows[c], 1)));
    }
  }
  return i;
}

// The reverse.
inline int64_t PutTogetherEight(const double* planes, int64_t count, int64_t plane_size,
                                int64_t step, float* first) {
  int64_t i = 0;
  for (; i + kTransposed <= count; i += kTransposed) {
    __m256 rows[kTransposed];
    for (int c = 0; c < kTransposed; ++c) {
      const double* const plane = planes + c * plane_size + i;
      rows[c] = _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(plane + 4)),
                                _mm256_cvtpd_ps(_mm256_loadu_pd(plane)));
    }
    Transpose(rows);
    for (int k = 0; k < kTransposed; ++k) _mm256_storeu_ps(first + (i + k) * step, rows[k]);
  }
  return i;
}

}  // namespace
}  // namespace masklstm
#endif

#endif  // MASKLSTM_CSRC_CPU_TRANSPOSE_H_
