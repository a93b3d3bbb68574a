/* Matrix instructions on vector registers whose sizes and types say everything: C += A @ B.
 *
 * The table holds one line for each instruction and width of registers (dots.py), with numbers in it, so
 * that every line becomes a function of constant sizes.  Whole registers are read and written.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "emulate.h"
#include "form.h"
#include "half.h"

#define INLINE static inline __attribute__((always_inline))

enum { VD, VS1, VS2 };
enum { F16, BF16, F32 };

INLINE int64_t integer(const uint8_t *bytes, unsigned i, unsigned bits, bool is_signed) {
  uint32_t value = 0;
  if (bits < 8)
    value = bytes[i / 2] >> i % 2 * 4 & 15;
  else
    memcpy(&value, bytes + i * (bits / 8), bits / 8);
  return is_signed ? (int64_t)((uint64_t)value << (64 - bits)) >> (64 - bits) : (int64_t)value;
}

INLINE float real(const uint8_t *bytes, unsigned i, unsigned type) {
  float value;
  uint16_t half;
  if (type == F32) {
    memcpy(&value, bytes + 4 * i, sizeof value);
    return value;
  }
  memcpy(&half, bytes + 2 * i, sizeof half);
  return half_to_float(half, type == BF16);
}

/* Sums wrap at 64 bits, and are cut to what C holds. */
INLINE void integers(unsigned m, unsigned n, unsigned k, unsigned a_bits, bool a_signed, unsigned b_bits,
                     bool b_signed, unsigned c_bytes, const uint8_t *a, const uint8_t *b, uint8_t *c) {
  int64_t wide_a[m * k], wide_b[n * k];
  for (unsigned i = 0; i < m * k; i++)
    wide_a[i] = integer(a, i, a_bits, a_signed);
  for (unsigned i = 0; i < n * k; i++)
    wide_b[i] = integer(b, i, b_bits, b_signed);
  for (unsigned i = 0; i < m; i++)
    for (unsigned j = 0; j < n; j++) {
      uint64_t sum = 0;
      uint8_t *at = c + (i * n + j) * c_bytes;
      memcpy(&sum, at, c_bytes);
      for (unsigned e = 0; e < k; e++)
        sum += (uint64_t)(wide_a[i * k + e] * wide_b[j * k + e]);
      memcpy(at, &sum, c_bytes);
    }
}

/* Rounded to float32 at every step of K. */
INLINE void floats(unsigned m, unsigned n, unsigned k, unsigned a_type, unsigned b_type, const uint8_t *a,
                   const uint8_t *b, uint8_t *c) {
  float wide_a[m * k], wide_b[n * k];
  for (unsigned i = 0; i < m * k; i++)
    wide_a[i] = real(a, i, a_type);
  for (unsigned i = 0; i < n * k; i++)
    wide_b[i] = real(b, i, b_type);
  for (unsigned i = 0; i < m; i++)
    for (unsigned j = 0; j < n; j++) {
      float sum;
      uint8_t *at = c + (i * n + j) * sizeof sum;
      memcpy(&sum, at, sizeof sum);
      for (unsigned e = 0; e < k; e++)
        sum = __builtin_fmaf(wide_a[i * k + e], wide_b[j * k + e], sum);
      memcpy(at, &sum, sizeof sum);
    }
}

#define INTEGERS(id, width, m, n, k, a_bits, a_signed, b_bits, b_signed, c_bytes, ...)         \
  static void dot_##id(const uint8_t *a, const uint8_t *b, uint8_t *c) {                       \
    integers(m, n, k, a_bits, a_signed, b_bits, b_signed, c_bytes, a, b, c);                   \
  }
#define FLOATS(id, width, m, n, k, a_type, b_type, ...)                  \
  static void dot_##id(const uint8_t *a, const uint8_t *b, uint8_t *c) { \
    floats(m, n, k, a_type, b_type, a, b, c);                            \
  }
#include "emulate_dot_table.h"
#undef INTEGERS
#undef FLOATS

struct dot {
  struct vertebra_form form;
  uint64_t vlenb;
  void (*run)(const uint8_t *a, const uint8_t *b, uint8_t *c);
  bool floats;
};

static const struct dot dots[] = {
#define INTEGERS(id, width, m, n, k, a_bits, a_signed, b_bits, b_signed, c_bytes, ...) \
  {{__VA_ARGS__}, width, dot_##id, false},
#define FLOATS(id, width, m, n, k, a_type, b_type, ...) {{__VA_ARGS__}, width, dot_##id, true},
#include "emulate_dot_table.h"
};
enum { DOTS = sizeof dots / sizeof *dots };
static bool served[DOTS];
static uint64_t carried_out[DOTS];

static void configure(const char *extensions) {
  for (int i = 0; i < DOTS; i++)
    served[i] = form_is_served(&dots[i].form, extensions);
}

/* The line for `word` on registers of `vlenb` bytes, or, if there is none, for any; NULL without one. */
static const struct dot *find(uint32_t word, uint64_t vlenb) {
  const struct dot *found = NULL;
  for (int i = 0; i < DOTS; i++)
    if (served[i] && (word & dots[i].form.mask) == dots[i].form.match) {
      if (dots[i].vlenb == vlenb)
        return &dots[i];
      found = &dots[i];
    }
  return found;
}

static enum vertebra_emulation run(uint32_t word, struct vertebra_hart *hart) {
  const struct dot *dot = find(word, hart->vlenb);
  if (!dot)
    return VERTEBRA_NOT_MINE;
  if (dot->vlenb != hart->vlenb || hart->vtype >> 63 || hart->vstart || !form_is_legal(&dot->form, word))
    return VERTEBRA_ILLEGAL;
  dot->run(hart->v + form_operand(&dot->form, VS1, word) * hart->vlenb,
           hart->v + form_operand(&dot->form, VS2, word) * hart->vlenb,
           hart->v + form_operand(&dot->form, VD, word) * hart->vlenb);
  __atomic_fetch_add(&carried_out[dot - dots], 1, __ATOMIC_RELAXED);
  return VERTEBRA_DONE;
}

static int touches(uint32_t word, struct vertebra_touched *touched) {
  const struct dot *dot = find(word, 0);
  if (!dot || !form_is_legal(&dot->form, word))
    return 0;
  touched->read = form_registers(&dot->form, word, FORM_READ);
  touched->written = form_registers(&dot->form, word, FORM_WRITTEN);
  touched->floats = dot->floats;
  touched->scratch = 0;
  return 1;
}

static void counts(void (*tell)(const char *mnemonic, uint64_t count)) {
  for (int i = 0; i < DOTS; i++)
    tell(dots[i].form.name, __atomic_load_n(&carried_out[i], __ATOMIC_RELAXED));
}

const struct vertebra_emulator emulate_dot = {configure, run, touches, counts};
