/* 16-bit floats in software: IEEE half precision, and bfloat16. */
#ifndef VERTEBRA_HALF_H
#define VERTEBRA_HALF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { HALF_NAN = 0x7E00, HALF_INFINITY = 0x7C00, BF16_NAN = 0x7FC0, SIGN_16 = 0x8000 };

static inline float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* The number that `bits` stand for, exactly. */
static inline float half_to_float(uint16_t bits, bool bf16) {
  if (bf16)
    return float_of((uint32_t)bits << 16);
  uint32_t sign = (uint32_t)(bits & SIGN_16) << 16, rest = bits & 0x7FFFu;
  if (rest >= HALF_INFINITY)
    return float_of(sign | 0x7F800000 | (rest & 0x3FF) << 13);
  if (rest >= 0x400)
    return float_of(sign | ((rest << 13) + (112u << 23)));
  return float_of(sign | bits_of((float)rest * 0x1p-24f));
}

/* `x` rounded once, to nearest even while that is the rounding mode; a NaN becomes the canonical one. */
static inline uint16_t float_to_half(float x, bool bf16) {
  uint32_t bits = bits_of(x), magnitude = bits & 0x7FFFFFFF;
  uint16_t sign = (uint16_t)(bits >> 16 & SIGN_16);
  if (magnitude > 0x7F800000)
    return bf16 ? BF16_NAN : HALF_NAN;
  if (bf16)
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
  if (magnitude >= 0x477FF000) /* 65520, halfway to the number after the largest */
    return sign | HALF_INFINITY;
  if (magnitude < 0x38800000) /* subnormal: the addition rounds, as 0.5 has the same last place */
    return sign | (uint16_t)(bits_of(float_of(magnitude) + 0.5f) - 0x3F000000);
  return sign | (uint16_t)((magnitude - (112u << 23) + 0xFFF + (magnitude >> 13 & 1)) >> 13);
}

#endif
