/* Vector conversions from floats to integers that round towards zero.
 *
 * QEMU 7.1 and 7.2 stop with an assertion when one of them is the first floating-point instruction
 * after a vsetvli (target/riscv/translate.c: gen_set_rm twice in one instruction).  The kernel's
 * code is changed before it is loaded (rtz.py): funct6 010010 of these words becomes 010110, which
 * is reserved, traps, and is carried out here.
 */
#include <stdbool.h>
#include <string.h>

#include "emulate.h"

enum {
  OP_V = 0x57,
  OPFVV = 1,
  FUNCT6 = 0x16,
  NX = 1,
  NV = 16,
};

/* vs1 of vf[wn]cvt.rtz.x[u].f.[vw]: width in bits 4:3, then 11, then whether signed. */
enum width { SAME, WIDEN, NARROW };

static uint64_t carried_out;

static double read_float(const uint8_t *at, unsigned bytes) {
  _Float16 half;
  float single;
  double value;
  switch (bytes) {
  case 2:
    memcpy(&half, at, sizeof half);
    return half;
  case 4:
    memcpy(&single, at, sizeof single);
    return single;
  default:
    memcpy(&value, at, sizeof value);
    return value;
  }
}

/* x without its fraction, saturated to `bits` bits; a NaN becomes the largest number. */
static uint64_t to_integer(double x, unsigned bits, bool is_signed, uint32_t *flags) {
  const double beyond = is_signed ? (double)(1ull << (bits - 1)) : 2.0 * (double)(1ull << (bits - 1));
  const double least = is_signed ? -beyond : 0.0;
  const double whole = __builtin_trunc(x);
  if (!(whole < beyond)) {
    *flags |= NV;
    return is_signed ? (1ull << (bits - 1)) - 1 : ~0ull;
  }
  if (whole < least) {
    *flags |= NV;
    return is_signed ? 1ull << (bits - 1) : 0;
  }
  if (whole != x)
    *flags |= NX;
  return is_signed ? (uint64_t)(int64_t)whole : (uint64_t)whole;
}

/* Whether `number` may start a group of 2**log2_registers registers. */
static bool aligned(unsigned number, int log2_registers) {
  return log2_registers <= 0 || number % (1u << log2_registers) == 0;
}

static enum vertebra_emulation run(uint32_t word, struct vertebra_hart *hart) {
  unsigned vd = word >> 7 & 31, vs1 = word >> 15 & 31, vs2 = word >> 20 & 31;
  bool masked = !(word >> 25 & 1), is_signed = vs1 & 1;
  if ((word & 0x7F) != OP_V || (word >> 12 & 7) != OPFVV || word >> 26 != FUNCT6 || (vs1 & 6) != 6 || vs1 >> 3 == 3)
    return VERTEBRA_NOT_MINE;
  enum width width = vs1 >> 3;

  unsigned sew = 1u << (hart->vtype >> 3 & 7); /* in bytes */
  int lmul = (int)(hart->vtype & 7) << 29 >> 29;
  unsigned from = width == NARROW ? 2 * sew : sew, to = width == WIDEN ? 2 * sew : sew;
  int from_lmul = width == NARROW ? lmul + 1 : lmul, to_lmul = width == WIDEN ? lmul + 1 : lmul;
  if (hart->vtype >> 63 || from < 2 || from > 8 || to > 8 || from_lmul > 3 || to_lmul > 3 ||
      !aligned(vs2, from_lmul) || !aligned(vd, to_lmul) || (masked && vd == 0))
    return VERTEBRA_ILLEGAL;

  uint32_t flags = 0;
  const uint8_t *source = hart->v + vs2 * hart->vlenb;
  uint8_t *target = hart->v + vd * hart->vlenb;
  for (uint64_t i = hart->vstart; i < hart->vl; i++) {
    if (masked && !(hart->v[i / 8] >> i % 8 & 1))
      continue;
    uint64_t value = to_integer(read_float(source + i * from, from), 8 * to, is_signed, &flags);
    memcpy(target + i * to, &value, to);
  }
  *hart->fcsr |= flags;
  hart->vstart = 0;
  __atomic_fetch_add(&carried_out, 1, __ATOMIC_RELAXED);
  return VERTEBRA_DONE;
}

static void counts(void (*tell)(const char *mnemonic, uint64_t count)) {
  tell("vfcvt.rtz", __atomic_load_n(&carried_out, __ATOMIC_RELAXED));
}

const struct vertebra_emulator emulate_rtz = {.run = run, .counts = counts};
