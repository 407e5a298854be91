// The speed of memory, after J. McCalpin's STREAM: what a loop reaches that computes next to
// nothing. Built and called by _stream.py. One thread a core, fixed shares.
#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// The sum of the words, which keeps the loads from being dropped.
uint64_t stream_read(const uint64_t* words, ptrdiff_t count) {
  uint64_t total = 0;
#pragma omp parallel for simd schedule(static) reduction(+ : total)
  for (ptrdiff_t i = 0; i < count; ++i) total += words[i];
  return total;
}

// out = a + factor b, past the caches where the processor has instructions for that: otherwise it
// would read `out` from memory before it is overwritten. `out` is aligned to 64 bytes.
void stream_triad(const float* a, const float* b, float factor, float* out, ptrdiff_t count) {
#if defined(__AVX512F__)
  const ptrdiff_t strips = count / 16;
#pragma omp parallel for schedule(static)
  for (ptrdiff_t i = 0; i < strips; ++i) {
    const __m512 product = _mm512_mul_ps(_mm512_set1_ps(factor), _mm512_loadu_ps(b + 16 * i));
    _mm512_stream_ps(out + 16 * i, _mm512_add_ps(_mm512_loadu_ps(a + 16 * i), product));
  }
  for (ptrdiff_t i = 16 * strips; i < count; ++i) out[i] = a[i] + factor * b[i];
  _mm_sfence();
#elif defined(__AVX2__)
  const ptrdiff_t strips = count / 8;
#pragma omp parallel for schedule(static)
  for (ptrdiff_t i = 0; i < strips; ++i) {
    const __m256 product = _mm256_mul_ps(_mm256_set1_ps(factor), _mm256_loadu_ps(b + 8 * i));
    _mm256_stream_ps(out + 8 * i, _mm256_add_ps(_mm256_loadu_ps(a + 8 * i), product));
  }
  for (ptrdiff_t i = 8 * strips; i < count; ++i) out[i] = a[i] + factor * b[i];
  _mm_sfence();
#else
#pragma omp parallel for simd schedule(static)
  for (ptrdiff_t i = 0; i < count; ++i) out[i] = a[i] + factor * b[i];
#endif
}
