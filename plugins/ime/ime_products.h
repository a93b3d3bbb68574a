/* Integer products of register tiles. */
#ifndef VERTEBRA_IME_PRODUCTS_H
#define VERTEBRA_IME_PRODUCTS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Registers of `vlenb` bytes hold `side` rows of A, or columns of B, of `row` bytes each. */
struct geometry {
  unsigned vlenb, side, row;
};
enum { SIDE_MAX = 8, ROW_MAX = 16, K_MAX = 64 };

/* The elements of A and B. */
struct integers {
  uint8_t bits, a_signed, b_signed;
};

#define INLINE static inline __attribute__((always_inline))

/* Elements that are widened, so that one 64-bit multiplication makes two products: those of two
 * neighbouring columns of B, 32 bits apart.  Their sums stay below 2**31. */
struct widened {
  int64_t a[SIDE_MAX][K_MAX], b[SIDE_MAX / 2][K_MAX];
};

INLINE int64_t element(const uint8_t *bytes, unsigned i, unsigned bits, bool is_signed) {
  if (bits == 8)
    return is_signed ? (int64_t)(int8_t)bytes[i] : (int64_t)bytes[i];
  int64_t nibble = bytes[i / 2] >> i % 2 * 4 & 15;
  return is_signed ? (nibble ^ 8) - 8 : nibble;
}

INLINE void widen_a(struct widened *wide, const uint8_t *a, unsigned side, unsigned k, unsigned bits,
                    bool is_signed) {
  for (unsigned i = 0; i < side; i++)
    for (unsigned e = 0; e < k; e++)
      wide->a[i][e] = element(a, i * k + e, bits, is_signed);
}

INLINE void widen_b(struct widened *wide, const uint8_t *b, unsigned side, unsigned k, unsigned bits,
                    bool is_signed) {
  for (unsigned j = 0; j < side; j += 2)
    for (unsigned e = 0; e < k; e++)
      wide->b[j / 2][e] = element(b, j * k + e, bits, is_signed) +
                          (element(b, (j + 1) * k + e, bits, is_signed) << 32);
}

/* Blocks of four rows and four columns, so that six loads serve sixteen products. */
INLINE void sums(const struct widened *wide, int32_t *out, unsigned side, unsigned k) {
  for (unsigned row = 0; row < side; row += 4)
    for (unsigned pair = 0; pair < side / 2; pair += 2) {
      int64_t both[4][2] = {0};
#pragma clang loop unroll_count(8)
      for (unsigned e = 0; e < k; e++)
        for (unsigned i = 0; i < 4; i++)
          for (unsigned j = 0; j < 2; j++)
            both[i][j] += wide->a[row + i][e] * wide->b[pair + j][e];
      for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 2; j++) {
          int32_t low = (int32_t)both[i][j], *to = out + (row + i) * side + 2 * (pair + j);
          to[0] = low;
          to[1] = (int32_t)((both[i][j] - low) >> 32);
        }
    }
}

/* B from a column that holds two of every four elements; a nibble of the mask says which. */
INLINE void expand_b(struct widened *wide, const uint8_t *stored, const uint8_t *mask, unsigned side,
                     unsigned k, unsigned bits, bool is_signed) {
  memset(wide->b, 0, sizeof wide->b);
  for (unsigned group = 0; group < side * k / 4; group++) {
    unsigned nibble = mask[group / 2] >> group % 2 * 4 & 15, column = group / (k / 4);
    if (__builtin_popcount(nibble) != 2)
      continue;
    unsigned first = __builtin_ctz(nibble), second = 31 - __builtin_clz(nibble);
    int64_t *at = wide->b[column / 2] + group % (k / 4) * 4;
    at[first] += element(stored, 2 * group, bits, is_signed) << column % 2 * 32;
    at[second] += element(stored, 2 * group + 1, bits, is_signed) << column % 2 * 32;
  }
}

/* A @ B; with a mask, of a sparse B. */
INLINE void multiply(unsigned side, unsigned k, unsigned bits, struct integers kind, const uint8_t *a,
                     const uint8_t *b, const uint8_t *mask, int32_t *out) {
  struct widened wide;
  if (kind.a_signed)
    widen_a(&wide, a, side, k, bits, true);
  else
    widen_a(&wide, a, side, k, bits, false);
  if (mask)
    expand_b(&wide, b, mask, side, k, bits, kind.b_signed);
  else if (kind.b_signed)
    widen_b(&wide, b, side, k, bits, true);
  else
    widen_b(&wide, b, side, k, bits, false);
  sums(&wide, out, side, k);
}

/* The sizes that exist get code of their own, with constants in it; any other runs all the same. */
#define WITH_CONSTANTS(s, d, w)                   \
  if (side == s && k == d && kind.bits == w) {    \
    multiply(s, d, w, kind, a, b, mask, out);     \
    return;                                       \
  }

static inline void product(struct geometry tile, struct integers kind, const uint8_t *a, const uint8_t *b,
                           int32_t *out) {
  const unsigned side = tile.side, k = tile.row * 8 / kind.bits;
  const uint8_t *const mask = NULL;
  WITH_CONSTANTS(4, 8, 8)
  WITH_CONSTANTS(8, 16, 8)
  WITH_CONSTANTS(8, 32, 4)
  multiply(side, k, kind.bits, kind, a, b, mask, out);
}

/* K of a product with a sparse B, in elements of A. */
static inline unsigned sparse_k(struct geometry tile, struct integers kind) {
  return 2 * tile.row * 8 / kind.bits;
}

static inline void sparse_product(struct geometry tile, struct integers kind, const uint8_t *a,
                                  const uint8_t *b, const uint8_t *mask, int32_t *out) {
  const unsigned side = tile.side, k = sparse_k(tile, kind);
  WITH_CONSTANTS(8, 32, 8)
  WITH_CONSTANTS(8, 64, 4)
  multiply(side, k, kind.bits, kind, a, b, mask, out);
}

#endif
