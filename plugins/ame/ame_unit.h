/* The state of one hart's matrix unit, and where an operand's elements are. */
#ifndef VERTEBRA_AME_UNIT_H
#define VERTEBRA_AME_UNIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ame_numbers.h"

enum { MOST_M = 32, MOST_ACC = 16, UNSUPPORTED = 1 };

/* The parameters of the unit that the processor has. */
static struct {
  unsigned n, u, m, acc;
  unsigned area, register_bytes;
} geometry;

/* m: registers one after the other; those that belong together hold one string of bits, square after square and
 * row by row.  acc: the bits of elements.  work, more: for what an instruction computes; each has room for
 * the elements of the largest operand, in words of 64 bits. */
static _Thread_local struct {
  uint64_t owned; /* the number of the launch in which it was acquired, or 0 */
  uint32_t scalar_type, flags, saturated, status;
  uint32_t md[MOST_M], ad[MOST_ACC];
  uint32_t *acc;
  uint8_t *m, *staged;
  uint64_t *work, *more;
} unit;

static uint64_t launch = 1; /* those before have ended: what they acquired is free */

static inline bool owns(void) { return unit.owned == __atomic_load_n(&launch, __ATOMIC_RELAXED); }

/* Once per thread; not by malloc, since the thread may be anywhere. */
static bool make_unit(void) {
  if (unit.m)
    return true;
  size_t m = (size_t)geometry.m * geometry.register_bytes, acc = 4ul * geometry.acc * geometry.area;
  size_t elements = (size_t)geometry.area * (geometry.u / 4), words = 8 * elements;
  size_t staged = 2 * (elements + 4ul * geometry.area * geometry.u / 8);
  uint8_t *at = mmap(NULL, m + acc + 2 * words + staged, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED)
    return false;
  unit.work = (uint64_t *)at;
  unit.more = unit.work + elements;
  unit.acc = (uint32_t *)(at + 2 * words);
  unit.m = at + 2 * words + acc;
  unit.staged = unit.m + m;
  return true;
}

/* --- Types --- */

/* The type of a code, bits 0 where the profile does not have it.  widest: of integers, in bits. */
static inline struct type type_of(uint64_t given, unsigned widest) {
  uint32_t code = (uint32_t)given, bits = code & 0xFF;
  struct type type = {.code = code, .bits = (uint8_t)bits, .is_signed = true};
  if (code == FP32 || code == FP16 || code == BF16) {
    type.is_float = true;
    return type;
  }
  bool power = bits >= 4 && bits <= widest && !(bits & (bits - 1));
  if (code & TYPE_RESERVED || code & TYPE_FLOAT || !power)
    return (struct type){0};
  type.is_signed = code & TYPE_SIGNED;
  type.saturates = code & TYPE_SATURATE;
  type.rounding = code >> 27 & 3;
  return type;
}

static inline unsigned pack_of(const struct type *type) {
  return type->bits < geometry.u ? geometry.u / type->bits : 1;
}

static inline unsigned group_of(const struct type *type) {
  return type->bits > geometry.u ? type->bits / geometry.u : 1;
}

/* Whether `squares` squares of a type may begin at register `number`. */
static inline bool fits(unsigned number, const struct type *type, unsigned squares) {
  unsigned group = group_of(type), pack = pack_of(type);
  unsigned count = pack > 1 ? squares / pack : squares * group;
  return number % group == 0 && number + count <= geometry.m;
}

/* --- Elements --- */

static inline uint64_t field(const uint8_t *bytes, size_t i, unsigned bits) {
  uint64_t value = 0;
  switch (bits) {
  case 4:
    return bytes[i / 2] >> i % 2 * 4 & 15;
  case 8:
    return bytes[i];
  default:
    memcpy(&value, bytes + i * bits / 8, bits / 8);
    return value;
  }
}

static inline void set_field(uint8_t *bytes, size_t i, unsigned bits, uint64_t value) {
  if (bits == 4)
    bytes[i / 2] = (uint8_t)((bytes[i / 2] & 15 << (1 - i % 2) * 4) | (value & 15) << i % 2 * 4);
  else
    memcpy(bytes + i * bits / 8, &value, bits / 8);
}

static inline uint8_t *registers(unsigned number) { return unit.m + (size_t)number * geometry.register_bytes; }

static inline uint32_t *accumulator(unsigned number) { return unit.acc + (size_t)number * geometry.area; }

#endif
