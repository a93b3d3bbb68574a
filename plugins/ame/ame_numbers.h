/* Numbers of the matrix unit's types, as numbers.py has them: exact values, and one rounding. */
#ifndef VERTEBRA_AME_NUMBERS_H
#define VERTEBRA_AME_NUMBERS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "half.h"

enum { NX = 1, UF = 2, OF = 4, DZ = 8, NV = 16 };
enum rounding { RNU, RNE, RDN, ROD };
enum { FAR_AWAY = 600, WIDE = 64 }; /* powers of two beyond which nothing is left */

/* A type by its code: see types.py. */
struct type {
  uint32_t code;
  uint8_t bits, rounding;
  bool is_float, is_signed, saturates;
};

/* What an instruction adds to amefflags and amexsat. */
struct flags {
  uint32_t floats;
  bool saturated;
};

typedef __int128 whole;

/* value: a float's, exact, or odd in its last bit where `inexact`.  integer: an integer's. */
struct number {
  double value;
  whole integer;
  bool is_float, inexact, signalling;
};

static inline uint64_t low_mask(unsigned bits) { return bits < 64 ? (1ull << bits) - 1 : ~0ull; }

static inline struct number number_of(uint64_t bits, const struct type *type) {
  struct number n = {.is_float = type->is_float};
  if (!type->is_float) {
    n.integer = bits;
    if (type->is_signed && bits >> (type->bits - 1))
      n.integer -= (whole)1 << type->bits;
    return n;
  }
  uint32_t quiet = type->code == FP32 ? 1u << 22 : type->code == BF16 ? 1u << 6 : 1u << 9;
  float value = type->code == FP32 ? float_of((uint32_t)bits) : half_to_float((uint16_t)bits, type->code == BF16);
  n.value = value;
  n.signalling = value != value && !(bits & quiet);
  return n;
}

/* The last bit of an exact sum's nearest double tells, where it is odd, that something was lost. */
static inline double made_odd(double total, double lost) {
  uint64_t bits;
  memcpy(&bits, &total, sizeof bits);
  if (lost == 0 || !isfinite(total) || bits & 1)
    return total;
  return nextafter(total, lost > 0 ? INFINITY : -INFINITY);
}

static inline double double_of(whole integer, bool *inexact) {
  unsigned __int128 magnitude = integer < 0 ? -(unsigned __int128)integer : (unsigned __int128)integer;
  int extra = 0;
  bool lost = false;
  while (magnitude >> extra >> 53)
    lost |= magnitude >> extra++ & 1;
  double value = ldexp((double)((uint64_t)(magnitude >> extra) | lost), extra);
  *inexact = lost;
  return integer < 0 ? -value : value;
}

static inline uint64_t canonical_nan(const struct type *type) {
  return type->code == FP32 ? 0x7FC00000 : type->code == BF16 ? BF16_NAN : HALF_NAN;
}

static inline uint64_t round_float(double value, bool inexact, const struct type *type, struct flags *flags) {
  if (isnan(value))
    return canonical_nan(type);
  const int exponent_bits = type->code == FP16 ? 5 : 8, precision = type->bits - exponent_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  double rounded = value;
  if (isfinite(value) && value != 0) {
    int exponent;
    frexp(value, &exponent);
    int freely = exponent - precision, place = freely > 2 - bias - precision ? freely : 2 - bias - precision;
    rounded = ldexp(rint(ldexp(value, -place)), place);
    bool lost = inexact || rounded != value;
    if (fabs(rounded) >= ldexp(1, bias + 1)) {
      flags->floats |= OF | NX;
      rounded = copysign(INFINITY, value);
    } else if (lost) {
      flags->floats |= NX;
      if (fabs(ldexp(rint(ldexp(value, -freely)), freely)) < ldexp(1, 1 - bias))
        flags->floats |= UF;
    }
  }
  if (type->code == FP32)
    return bits_of((float)rounded);
  return float_to_half((float)rounded, type->code == BF16);
}

/* integer * 2^power, rounded; sticky: a bit more was there. */
static inline whole shifted(whole integer, int64_t power, enum rounding how, bool sticky) {
  if (power >= 0)
    return (whole)((unsigned __int128)integer << power);
  if (power < -126)
    power = -126;
  int right = (int)-power;
  whole floor = integer >> right, rest = integer - (floor << right), half = (whole)1 << (right - 1);
  switch (how) {
  case RNU:
    return floor + (rest >= half);
  case RNE:
    return floor + (rest > half || (rest == half && (sticky || floor & 1)));
  case RDN:
    return floor;
  default:
    return floor | (rest != 0 || sticky);
  }
}

static inline whole least(const struct type *type) { return type->is_signed ? -((whole)1 << (type->bits - 1)) : 0; }
static inline whole most(const struct type *type) {
  return ((whole)1 << (type->bits - type->is_signed)) - 1;
}

static inline uint64_t integer_of_float(const struct number *n, const struct type *type, struct flags *flags) {
  whole low = least(type), high = most(type), result;
  double value = n->value;
  if (!isfinite(value) || fabs(value) >= 0x1p62) {
    flags->floats |= NV;
    flags->saturated |= type->saturates;
    bool clamps = type->saturates || !isfinite(value);
    /* Beyond 2^62 the low bits of a number of 24 significant ones are zero. */
    result = clamps ? (value < 0 ? low : high) : 0;
  } else {
    double below = floor(value);
    /* Exact, but next to an integer below zero, where the difference must not become one. */
    double fraction = fmin(value - below, 1 - 0x1p-53);
    double rest = ldexp(fraction, 60);
    result = shifted(((whole)(int64_t)below << 60) + (whole)rest, -60, type->rounding,
                     n->inexact || rest != floor(rest));
    if (result < low || result > high) {
      flags->floats |= NV;
      flags->saturated |= type->saturates;
      if (type->saturates)
        result = result < low ? low : high;
    } else if (n->inexact || value != below) {
      flags->floats |= NX;
    }
  }
  return (uint64_t)result & low_mask(type->bits);
}

/* The bits of a number in a type, rounded once. */
static inline uint64_t encode(const struct number *n, const struct type *type, struct flags *flags) {
  if (n->signalling)
    flags->floats |= NV;
  if (type->is_float) {
    bool inexact = n->inexact;
    double value = n->is_float ? n->value : double_of(n->integer, &inexact);
    return round_float(value, inexact, type, flags);
  }
  if (n->is_float)
    return integer_of_float(n, type, flags);
  whole value = n->integer;
  if (type->saturates && (value < least(type) || value > most(type))) {
    value = value < 0 ? least(type) : most(type);
    flags->saturated = true;
  }
  return (uint64_t)value & low_mask(type->bits);
}

/* +- x * y + z, exact; z NULL: nothing, which keeps the sign of a zero. */
static inline struct number fused(const struct number *x, const struct number *y, const struct number *z,
                                  bool minus, struct flags *flags) {
  struct number n = {.is_float = x->is_float};
  if (!x->is_float) {
    n.integer = x->integer * y->integer;
    n.integer = (minus ? -n.integer : n.integer) + (z ? z->integer : 0);
    return n;
  }
  double product = minus ? -(x->value * y->value) : x->value * y->value, addend = z ? z->value : -0.0;
  double total = product + addend, part = total - product;
  double lost = (product - (total - part)) + (addend - part);
  n.inexact = isfinite(total) && lost != 0;
  n.value = n.inexact ? made_odd(total, lost) : total;
  n.signalling = x->signalling || y->signalling || (z && z->signalling);
  if (isnan(total) && !isnan(x->value) && !isnan(y->value) && !isnan(addend))
    flags->floats |= NV;
  return n;
}

static inline struct number scaled(const struct number *x, whole power, enum rounding how) {
  struct number n = *x;
  if (x->is_float) {
    n.value = ldexp(x->value, power < -FAR_AWAY ? -FAR_AWAY : power > FAR_AWAY ? FAR_AWAY : (int)power);
    return n;
  }
  n.integer = shifted(x->integer, power < -2 * WIDE ? -2 * WIDE : power > WIDE ? WIDE : (int64_t)power, how, false);
  return n;
}

/* The bits of the larger, or smaller, of two numbers of one type; NaN if either is. */
static inline uint64_t extreme_of(uint64_t a, uint64_t b, const struct type *type, bool largest,
                                  struct flags *flags) {
  struct number x = number_of(a, type), y = number_of(b, type);
  bool less;
  if (type->is_float) {
    if (x.signalling || y.signalling)
      flags->floats |= NV;
    if (isnan(x.value) || isnan(y.value))
      return canonical_nan(type);
    less = x.value < y.value || (x.value == 0 && y.value == 0 && signbit(x.value) && !signbit(y.value));
  } else {
    less = x.integer < y.integer;
  }
  return less == largest ? b : a;
}

#endif
