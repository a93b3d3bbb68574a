/* SpacemiT's matrix instructions on vector registers.
 *
 * The table of instructions is made of the records in instructions.py, and the arithmetic is that of
 * semantics.py.  Whole registers are read and written: vl and SEW matter to layout instructions alone.
 */
#include <stdbool.h>
#include <string.h>

#include "emulate.h"
#include "form.h"
#include "half.h"
#include "ime_products.h"

enum operand { VD, VS1, VS2, SELECTOR, IMMEDIATE };
enum { LMUL = 7 };

struct ime_form;
typedef bool operation(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart);
static operation dot, sparse_dot, scaled_dot, float_dot, pack, unpack, narrow;

struct ime_form {
  struct vertebra_form form;
  operation *run;
  struct integers kind; /* of integer products; its `bits` also of results of layout instructions */
  uint8_t slide, saturating;
};

static const struct ime_form forms[] = {
#include "emulate_ime_table.h"
};
enum { FORMS = sizeof forms / sizeof *forms };
static bool served[FORMS], has_mcpm;
static uint64_t carried_out[FORMS];

/* MCPM.BF16, one per hart: whether 16-bit floats are bfloat16. */
static _Thread_local uint64_t mcpm;
enum { MCPM_BF16 = 1, SYSTEM = 0x73 };

static uint8_t *operand_bytes(const struct ime_form *form, int which, uint32_t word,
                              struct vertebra_hart *hart) {
  return hart->v + form_operand(&form->form, which, word) * hart->vlenb;
}

/* side 0: no implementation has registers of this width. */
static struct geometry geometry(uint64_t vlenb) {
  static const struct geometry known[] = {GEOMETRIES};
  for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
    if (known[i].vlenb == vlenb)
      return known[i];
  return (struct geometry){0};
}

/* --- Integers --- */

static void accumulate(uint8_t *c, const int32_t *sum, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    uint32_t value;
    memcpy(&value, c + 4 * i, sizeof value);
    value += (uint32_t)sum[i];
    memcpy(c + 4 * i, &value, sizeof value);
  }
}

static bool dot(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart) {
  int32_t sum[SIDE_MAX * SIDE_MAX];
  struct geometry tile = geometry(hart->vlenb);
  const uint8_t *a = operand_bytes(form, VS1, word, hart) + form->slide * tile.row;
  product(tile, form->kind, a, operand_bytes(form, VS2, word, hart), sum);
  accumulate(operand_bytes(form, VD, word, hart), sum, tile.side * tile.side);
  return true;
}

static bool sparse_dot(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart) {
  int32_t sum[SIDE_MAX * SIDE_MAX];
  struct geometry tile = geometry(hart->vlenb);
  unsigned mask_bytes = tile.side * sparse_k(tile, form->kind) / 8;
  const uint8_t *masks = operand_bytes(form, SELECTOR, word, hart);
  sparse_product(tile, form->kind, operand_bytes(form, VS1, word, hart), operand_bytes(form, VS2, word, hart),
                 masks + form_operand(&form->form, IMMEDIATE, word) * mask_bytes, sum);
  accumulate(operand_bytes(form, VD, word, hart), sum, tile.side * tile.side);
  return true;
}

/* --- 16-bit floats --- */

static uint16_t half_at(const uint8_t *bytes, unsigned i) {
  uint16_t value;
  memcpy(&value, bytes + 2 * i, sizeof value);
  return value;
}

static bool scaled_dot(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart) {
  int32_t sum[SIDE_MAX * SIDE_MAX];
  const bool bf16 = mcpm & MCPM_BF16;
  struct geometry tile = geometry(hart->vlenb);
  uint8_t *c = operand_bytes(form, VD, word, hart);
  const uint8_t *scales = operand_bytes(form, SELECTOR, word, hart) +
                          2 * tile.side * form_operand(&form->form, IMMEDIATE, word);
  float scale[SIDE_MAX];
  product(tile, form->kind, operand_bytes(form, VS1, word, hart), operand_bytes(form, VS2, word, hart), sum);
  for (unsigned j = 0; j < tile.side; j++)
    scale[j] = half_to_float(half_at(scales, j), bf16);
  for (unsigned i = 0; i < tile.side * tile.side; i++) {
    /* Rounded once each: sums of products have less than 24 bits, so has an integer of 16-bit format times a
     * scale, and where the last sum has more, the smaller operand is too small to matter. */
    float whole = half_to_float(float_to_half((float)sum[i], bf16), bf16);
    float part = half_to_float(float_to_half(whole * scale[i % tile.side], bf16), bf16);
    uint16_t total = float_to_half(half_to_float(half_at(c, i), bf16) + part, bf16);
    memcpy(c + 2 * i, &total, sizeof total);
  }
  return true;
}

/* Vector registers that float_dot computes in; the sums of the whole tile are one operand. */
enum { SCRATCH = 0x3F000000 };

static bool float_dot(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart) {
  const bool bf16 = mcpm & MCPM_BF16;
  struct geometry tile = geometry(hart->vlenb);
  const unsigned side = tile.side, count = side * side;
  const uint8_t *a = operand_bytes(form, VS1, word, hart) + form->slide * tile.row;
  const uint8_t *b = operand_bytes(form, VS2, word, hart);
  /* For each k the factors from A of all sums, and then those from B. */
  float factors[ROW_MAX / 2 * 2 * SIDE_MAX * SIDE_MAX];
  const float *at = factors;
  unsigned steps = tile.row / 2;
  for (unsigned i = 0; i < side; i++)
    for (unsigned e = 0; e < steps; e++) {
      float of_a = half_to_float(half_at(a, i * steps + e), bf16);
      float of_b = half_to_float(half_at(b, i * steps + e), bf16);
      float *to = factors + 2 * e * count;
      for (unsigned j = 0; j < side; j++) {
        to[i * side + j] = of_a;
        to[count + j * side + i] = of_b;
      }
    }
  __asm__ volatile( /* loads by 64 bits, since QEMU moves element by element */
      ".option push\n"
      ".option arch, +v\n"
      "vsetvli zero, %[count], e32, m2, ta, ma\n"
      "vle32.v v28, (%[c])\n"
      "1:\n"
      "vsetvli zero, %[count], e64, m4, ta, ma\n"
      "vle64.v v24, (%[at])\n"
      "addi %[steps], %[steps], -1\n"
      "add %[at], %[at], %[bytes]\n"
      "vsetvli zero, %[count], e32, m2, ta, ma\n"
      "vfmacc.vv v28, v24, v26\n"
      "bnez %[steps], 1b\n"
      "vse32.v v28, (%[c])\n"
      ".option pop\n"
      : [at] "+r"(at), [steps] "+r"(steps)
      : [c] "r"(operand_bytes(form, VD, word, hart)), [count] "r"(count), [bytes] "r"(8ul * count)
      : "memory");
  return true;
}

/* --- Layout --- */

/* Bytes of one element, by vtype; 0 where SEW is reserved. */
static unsigned element_bytes(const struct vertebra_hart *hart) {
  unsigned log2 = hart->vtype >> 3 & 7;
  return log2 < 4 ? 1u << log2 : 0;
}

/* Bytes of a block of pack and unpack. */
static unsigned block_bytes(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart) {
  static const uint8_t fixed[] = {0, 16, 32, 64};
  unsigned which = form_operand(&form->form, IMMEDIATE, word);
  return which ? fixed[which] : element_bytes(hart);
}

static bool pack(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart) {
  unsigned size = block_bytes(form, word, hart);
  uint8_t *to = operand_bytes(form, VD, word, hart);
  const uint8_t *first = operand_bytes(form, VS1, word, hart), *second = operand_bytes(form, VS2, word, hart);
  if (!size || !element_bytes(hart) || size > hart->vlenb)
    return false;
  for (unsigned at = 0; at < hart->vlenb; at += size) {
    memcpy(to + 2 * at, first + at, size);
    memcpy(to + 2 * at + size, second + at, size);
  }
  return true;
}

static bool unpack(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart) {
  unsigned size = block_bytes(form, word, hart), half = (unsigned)hart->vlenb / 2;
  uint8_t *to = operand_bytes(form, VD, word, hart);
  const uint8_t *sources[] = {operand_bytes(form, VS1, word, hart), operand_bytes(form, VS2, word, hart)};
  if (!size || !element_bytes(hart) || 2 * size > hart->vlenb)
    return false;
  for (unsigned at = 0; at < half; at += size)
    for (unsigned source = 0; source < 2; source++) {
      memcpy(to + source * half + at, sources[source] + 2 * at, size);
      memcpy(to + hart->vlenb + source * half + at, sources[source] + 2 * at + size, size);
    }
  return true;
}

/* The element of 2 * `bits` bits at number `i`, made half as wide. */
static uint64_t narrowed(const uint8_t *bytes, unsigned i, unsigned bits, bool saturating) {
  int64_t value = 0;
  memcpy(&value, bytes + i * bits / 4, bits / 4);
  if (!saturating)
    return (uint64_t)value;
  value = (int64_t)((uint64_t)value << (64 - 2 * bits)) >> (64 - 2 * bits);
  int64_t most = (1ll << (bits - 1)) - 1;
  return (uint64_t)(value > most ? most : value < ~most ? ~most : value);
}

static bool narrow(const struct ime_form *form, uint32_t word, struct vertebra_hart *hart) {
  unsigned bits = form->kind.bits ? form->kind.bits : 8 * element_bytes(hart);
  unsigned block = 4u << form_operand(&form->form, IMMEDIATE, word);
  const uint8_t *sources[] = {operand_bytes(form, VS1, word, hart), operand_bytes(form, VS2, word, hart)};
  uint8_t *to = operand_bytes(form, VD, word, hart);
  if (!element_bytes(hart) || bits < 4 || bits > 32)
    return false;
  for (unsigned source = 0; source < 2; source++)
    for (unsigned i = 0; i < hart->vlenb * 4 / bits; i++) {
      uint64_t value = narrowed(sources[source], i, bits, form->saturating);
      unsigned at = i * bits / 8; /* among the bytes of this source */
      uint8_t *byte = to + at / block * 2 * block + source * block + at % block;
      if (bits == 4)
        *byte = i % 2 ? (uint8_t)(*byte | value << 4) : (uint8_t)(value & 15);
      else
        memcpy(byte, &value, bits / 8);
    }
  return true;
}

/* --- The emulator --- */

static const struct ime_form *find(uint32_t word) {
  if ((word & 0x7F) == 0x2B)
    for (int i = 0; i < FORMS; i++)
      if ((word & forms[i].form.mask) == forms[i].form.match)
        return &forms[i];
  return NULL;
}

static void configure(const char *extensions) {
  for (int i = 0; i < FORMS; i++)
    if ((served[i] = form_is_served(&forms[i].form, extensions)))
      has_mcpm |= forms[i].run == scaled_dot || forms[i].run == float_dot;
}

static enum vertebra_emulation access_mcpm(uint32_t word, struct vertebra_hart *hart) {
  int writes;
  if (!(word >> 12 & 3) || !has_mcpm)
    return VERTEBRA_ILLEGAL;
  mcpm = vertebra_csr(word, hart, mcpm, &writes) & MCPM_BF16;
  return VERTEBRA_DONE;
}

static enum vertebra_emulation run(uint32_t word, struct vertebra_hart *hart) {
  if ((word & 0x7F) == SYSTEM && word >> 20 == MCPM)
    return access_mcpm(word, hart);
  const struct ime_form *form = find(word);
  if (!form)
    return VERTEBRA_NOT_MINE;
  if (!served[form - forms] || hart->vtype >> 63 || hart->vtype & LMUL || hart->vstart ||
      !geometry(hart->vlenb).side || !form_is_legal(&form->form, word) || !form->run(form, word, hart))
    return VERTEBRA_ILLEGAL;
  __atomic_fetch_add(&carried_out[form - forms], 1, __ATOMIC_RELAXED);
  return VERTEBRA_DONE;
}

static int touches(uint32_t word, struct vertebra_touched *touched) {
  const struct ime_form *form = find(word);
  if (!form || !served[form - forms] || !form_is_legal(&form->form, word))
    return 0;
  touched->read = form_registers(&form->form, word, FORM_READ);
  touched->written = form_registers(&form->form, word, FORM_WRITTEN);
  touched->floats = form->run == scaled_dot || form->run == float_dot;
  touched->scratch = form->run == float_dot ? SCRATCH : 0;
  return 1;
}

static void counts(void (*tell)(const char *mnemonic, uint64_t count)) {
  for (int i = 0; i < FORMS; i++)
    tell(forms[i].form.name, __atomic_load_n(&carried_out[i], __ATOMIC_RELAXED));
}

const struct vertebra_emulator emulate_ime = {configure, run, touches, counts};
