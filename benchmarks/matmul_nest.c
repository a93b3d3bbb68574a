/* c (240 x 240) = a (240 x 256) @ b (256 x 240), float, row-major, as a loop nest that clang vectorises.
 *
 * ROWS x STEPS elements of A are held in scalar registers while j runs.  LANES_PER_64_BITS steers the
 * vectoriser to longer groups of registers; without it clang chooses for itself.  Of the orders tried
 * (ikj, register tiles of 4 x 16 to 8 x 16 that clang keeps in memory, this one with 1 to 4 rows and 4
 * to 32 steps) it executes the fewest instructions: 4 x 8 with groups of four registers, 2 x 16 with eight.
 */
#include <stdint.h>

enum { M = 240, N = 240, K = 256 };

#ifndef ROWS
#define ROWS 4
#define STEPS 8
#endif

const int64_t nest_scratch_bytes = 0;

static void product(const float *restrict a, const float *restrict b, float *restrict c) {
  for (int i = 0; i < M; i += ROWS) {
    for (int j = 0; j < ROWS * N; j++)
      c[i * N + j] = 0;
    for (int k = 0; k < K; k += STEPS) {
#ifdef LANES_PER_64_BITS
#pragma clang loop vectorize_width(LANES_PER_64_BITS, scalable) interleave_count(1)
#endif
      for (int j = 0; j < N; j++) {
        float sum[ROWS];
#pragma clang loop unroll(full)
        for (int r = 0; r < ROWS; r++)
          sum[r] = c[(i + r) * N + j];
#pragma clang loop unroll(full)
        for (int u = 0; u < STEPS; u++)
#pragma clang loop unroll(full)
          for (int r = 0; r < ROWS; r++)
            sum[r] += a[(i + r) * K + k + u] * b[(k + u) * N + j];
#pragma clang loop unroll(full)
        for (int r = 0; r < ROWS; r++)
          c[(i + r) * N + j] = sum[r];
      }
    }
  }
}

void nest(const uint64_t *args, void *scratch, int64_t begin, int64_t end, int32_t x, int32_t y, int32_t z) {
  product((const float *)args[0], (const float *)args[1], (float *)args[2]);
}
