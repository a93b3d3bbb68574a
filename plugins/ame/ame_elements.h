/* What the instructions do element by element, and with rows and columns of squares: see elementwise.py.
 * Part of emulate_ame.c. */

/* The operands of an elementwise instruction.  a is the first factor, perhaps the scalar. */
struct operands {
  struct type a, b, d;
  unsigned squares, count;
  uint64_t scalar; /* of type a */
};

/* control: the scalar is a number for itself and has no type. */
static enum outcome types_of(struct call *call, struct operands *o, bool control) {
  bool two = call->form->files[SRC2] == 'm';
  o->d = matrix_type(call->dest);
  o->b = two ? matrix_type(call->src2) : o->d;
  o->a = call->form->scalar ? o->b : matrix_type(call->src1);
  if (!o->a.bits || !o->b.bits || !o->d.bits)
    return UN;
  o->squares = pack_of(&o->d);
  if (pack_of(&o->a) > o->squares)
    o->squares = pack_of(&o->a);
  if (two && pack_of(&o->b) > o->squares)
    o->squares = pack_of(&o->b);
  o->count = o->squares * geometry.area;
  if (!call->form->scalar || control)
    return DONE;
  struct type given = scalar_type(unit.scalar_type);
  if (!given.bits)
    return UN;
  struct number number = number_of(x(call, call->src1) & low_mask(given.bits), &given);
  o->scalar = encode(&number, &o->a, &call->flags);
  return DONE;
}

static bool all_fit(const struct call *call, const struct operands *o) {
  return fits(call->dest, &o->d, o->squares) &&
         (call->form->scalar || fits(call->src1, &o->a, o->squares)) &&
         (call->form->files[SRC2] != 'm' || fits(call->src2, &o->b, o->squares));
}

static uint64_t bits_a(const struct call *call, const struct operands *o, unsigned e) {
  return call->form->scalar ? o->scalar : field(registers(call->src1), e, o->a.bits);
}
static uint64_t bits_b(const struct call *call, const struct operands *o, unsigned e) {
  return field(registers(call->src2), e, o->b.bits);
}
static uint64_t bits_d(const struct call *call, const struct operands *o, unsigned e) {
  return field(registers(call->dest), e, o->d.bits);
}

/* Computes every element before it writes any. */
typedef uint64_t each(struct call *call, const struct operands *o, unsigned e);
static enum outcome for_all(struct call *call, const struct operands *o, each *one) {
  if (!all_fit(call, o))
    return ILLEGAL;
  for (unsigned e = 0; e < o->count; e++)
    unit.work[e] = one(call, o, e);
  for (unsigned e = 0; e < o->count; e++)
    set_field(registers(call->dest), e, o->d.bits, unit.work[e]);
  commit(call);
  return DONE;
}

static struct number role(const struct call *call, const struct operands *o, unsigned which, unsigned e) {
  switch (which) {
  case WHAT_a:
    return number_of(bits_a(call, o, e), &o->a);
  case WHAT_b:
    return number_of(bits_b(call, o, e), &o->b);
  case WHAT_d:
    return number_of(bits_d(call, o, e), &o->d);
  default:
    return (struct number){.value = 1, .integer = 1, .is_float = o->d.is_float};
  }
}

static uint64_t one_sum(struct call *call, const struct operands *o, unsigned e) {
  const uint8_t *what = call->form->what;
  struct number first = role(call, o, what[1], e), second = role(call, o, what[2], e), third;
  if (what[3] != WHAT_zero)
    third = role(call, o, what[3], e);
  struct number result =
      fused(&first, &second, what[3] == WHAT_zero ? NULL : &third, what[0] == WHAT_minus, &call->flags);
  return encode(&result, &o->d, &call->flags);
}

static enum outcome arithmetic(struct call *call) {
  struct operands o;
  if (types_of(call, &o, false) == UN || o.a.is_float != o.d.is_float || o.b.is_float != o.d.is_float)
    return UN;
  return for_all(call, &o, one_sum);
}

static uint64_t one_extreme(struct call *call, const struct operands *o, unsigned e) {
  return extreme_of(bits_a(call, o, e), bits_b(call, o, e), &o->d, call->form->what[0] == WHAT_max, &call->flags);
}

static enum outcome extreme(struct call *call) {
  struct operands o;
  if (types_of(call, &o, false) == UN || o.a.code != o.d.code || o.b.code != o.d.code)
    return UN;
  return for_all(call, &o, one_extreme);
}

static uint64_t one_scaled(struct call *call, const struct operands *o, unsigned e) {
  bool by_scalar = call->form->scalar;
  struct number number = by_scalar ? number_of(bits_b(call, o, e), &o->b) : number_of(bits_a(call, o, e), &o->a);
  whole power = by_scalar ? (int64_t)x(call, call->src1) : number_of(bits_b(call, o, e), &o->b).integer;
  struct number result = scaled(&number, power, o->d.rounding);
  return encode(&result, &o->d, &call->flags);
}

static enum outcome scale(struct call *call) {
  struct operands o;
  if (types_of(call, &o, call->form->scalar) == UN || o.a.is_float != o.d.is_float ||
      (!call->form->scalar && o.b.is_float))
    return UN;
  return for_all(call, &o, one_scaled);
}

static uint64_t one_absolute(struct call *call, const struct operands *o, unsigned e) {
  struct number number = number_of(bits_a(call, o, e), &o->a);
  number.value = fabs(number.value);
  number.integer = number.integer < 0 ? -number.integer : number.integer;
  return encode(&number, &o->d, &call->flags);
}

static enum outcome absolute(struct call *call) {
  struct operands o;
  if (types_of(call, &o, false) == UN || o.a.is_float != o.d.is_float)
    return UN;
  return for_all(call, &o, one_absolute);
}

static uint64_t one_converted(struct call *call, const struct operands *o, unsigned e) {
  struct number number = number_of(bits_a(call, o, e), &o->a);
  return encode(&number, &o->d, &call->flags);
}

static enum outcome convert(struct call *call) {
  struct operands o;
  return types_of(call, &o, false) == UN ? UN : for_all(call, &o, one_converted);
}

/* The functions of an approximate error round a double once; a root of 24 bits is exact where its square is. */
static uint64_t one_function(struct call *call, const struct operands *o, unsigned e) {
  struct number n = number_of(bits_a(call, o, e), &o->a);
  double value = n.value;
  switch (call->form->what[0]) {
  case WHAT_floor: n.value = floor(value); break;
  case WHAT_ceil: n.value = ceil(value); break;
  case WHAT_rint: n.value = rint(value); break;
  case WHAT_trunc: n.value = trunc(value); break;
  case WHAT_exp2: n.value = exp2(value); break;
  case WHAT_tanh: n.value = tanh(value); break;
  case WHAT_log2: n.value = log2(value); break;
  case WHAT_rec: n.value = 1 / value; break;
  case WHAT_rsqrt: n.value = 1 / sqrt(value); break;
  default:
    n.value = sqrt(value);
    n.inexact = isfinite(n.value) && fma(n.value, n.value, -value) != 0;
  }
  bool poles = call->form->what[0] == WHAT_log2 || call->form->what[0] == WHAT_rec || call->form->what[0] == WHAT_rsqrt;
  bool positive = poles ? call->form->what[0] != WHAT_rec : call->form->what[0] == WHAT_sqrt;
  if (poles && value == 0)
    call->flags.floats |= DZ;
  if (positive && value < 0)
    call->flags.floats |= NV;
  return encode(&n, &o->d, &call->flags);
}

static enum outcome math(struct call *call) {
  struct operands o;
  if (types_of(call, &o, false) == UN || !o.a.is_float || !o.d.is_float)
    return UN;
  return for_all(call, &o, one_function);
}

static uint64_t one_of_bits(struct call *call, const struct operands *o, unsigned e) {
  uint64_t a = bits_a(call, o, e), b = bits_b(call, o, e);
  return call->form->what[0] == WHAT_and ? a & b : call->form->what[0] == WHAT_or ? a | b : a ^ b;
}

static enum outcome bits_(struct call *call) {
  struct operands o;
  if (types_of(call, &o, false) == UN || o.d.is_float || o.a.code != o.d.code || o.b.code != o.d.code)
    return UN;
  return for_all(call, &o, one_of_bits);
}

static uint64_t one_shifted(struct call *call, const struct operands *o, unsigned e) {
  bool by_scalar = call->form->scalar;
  unsigned width = o->a.bits;
  uint64_t given = by_scalar ? bits_b(call, o, e) : bits_a(call, o, e);
  unsigned count = (by_scalar ? x(call, call->src1) : bits_b(call, o, e)) % width;
  int64_t wide = (int64_t)(given << (64 - width)) >> (64 - width);
  uint64_t moved = call->form->what[0] == WHAT_sll   ? given << count
                   : call->form->what[0] == WHAT_srl ? given >> count
                                                     : (uint64_t)(wide >> count);
  struct number number = number_of(moved & low_mask(width), &o->a);
  return encode(&number, &o->d, &call->flags);
}

static enum outcome shift(struct call *call) {
  struct operands o;
  if (types_of(call, &o, call->form->scalar) == UN || o.a.is_float || o.b.is_float || o.d.is_float)
    return UN;
  return for_all(call, &o, one_shifted);
}

static uint64_t one_compared(struct call *call, const struct operands *o, unsigned e) {
  struct number a = number_of(bits_a(call, o, e), &o->a), b = number_of(bits_b(call, o, e), &o->b);
  bool at_least = call->form->what[0] == WHAT_ge;
  bool holds = o->a.is_float ? (at_least ? a.value >= b.value : a.value < b.value)
                             : (a.integer >= b.integer) == at_least;
  if (isnan(a.value) || isnan(b.value))
    call->flags.floats |= NV;
  return holds ? low_mask(o->d.bits) : 0;
}

static enum outcome compare(struct call *call) {
  struct operands o;
  if (types_of(call, &o, false) == UN || o.a.is_float != o.b.is_float || o.d.is_float)
    return UN;
  return for_all(call, &o, one_compared);
}

static uint64_t one_selected(struct call *call, const struct operands *o, unsigned e) {
  struct number a = number_of(bits_a(call, o, e), &o->a);
  bool at_least = call->form->what[0] == WHAT_ge;
  bool holds = o->a.is_float ? (at_least ? a.value >= 0 : a.value < 0) : (a.integer >= 0) == at_least;
  return holds ? bits_b(call, o, e) : call->form->what[1] == WHAT_d ? bits_d(call, o, e) : 0;
}

static enum outcome select_(struct call *call) {
  struct operands o;
  if (types_of(call, &o, false) == UN || o.b.code != o.d.code)
    return UN;
  return for_all(call, &o, one_selected);
}

/* --- Structure --- */

static enum outcome broadcast(struct call *call) {
  struct type type = matrix_type(call->dest);
  unsigned chosen = (uint32_t)x(call, call->src1), n = geometry.n;
  if (!type.bits || unit.md[call->src2] != type.code || pack_of(&type) > 1)
    return UN;
  if (chosen >= n || !fits(call->dest, &type, 1) || !fits(call->src2, &type, 1))
    return ILLEGAL;
  bool row = call->form->what[0] == WHAT_row;
  for (unsigned e = 0; e < geometry.area; e++)
    unit.work[e] = field(registers(call->src2), row ? chosen * n + e % n : e / n * n + chosen, type.bits);
  for (unsigned e = 0; e < geometry.area; e++)
    set_field(registers(call->dest), e, type.bits, unit.work[e]);
  return DONE;
}

static enum outcome one_square(struct call *call, unsigned packed, unsigned single, bool into) {
  struct type narrow = matrix_type(packed), wide = matrix_type(single);
  if (!narrow.bits || !wide.bits || pack_of(&narrow) == 1 || pack_of(&wide) > 1)
    return UN;
  if (!fits(packed, &narrow, pack_of(&narrow)) || !fits(single, &wide, 1))
    return ILLEGAL;
  unsigned slot = (unsigned)(x(call, call->src1) % pack_of(&narrow)) * geometry.area;
  const struct type *from = into ? &wide : &narrow, *to = into ? &narrow : &wide;
  for (unsigned e = 0; e < geometry.area; e++) {
    struct number number = number_of(field(registers(call->src2), into ? e : slot + e, from->bits), from);
    unit.work[e] = encode(&number, to, &call->flags);
  }
  for (unsigned e = 0; e < geometry.area; e++)
    set_field(registers(call->dest), into ? slot + e : e, to->bits, unit.work[e]);
  commit(call);
  return DONE;
}

static enum outcome pack_square(struct call *call) { return one_square(call, call->dest, call->src2, true); }
static enum outcome unpack_square(struct call *call) { return one_square(call, call->src2, call->dest, false); }

static enum outcome reduce(struct call *call) {
  struct operands o;
  if (types_of(call, &o, false) == UN || o.a.is_float != o.d.is_float)
    return UN;
  if (!all_fit(call, &o))
    return ILLEGAL;
  unsigned n = geometry.n, what = call->form->what[0];
  bool row = call->form->what[1] == WHAT_row;
  const struct number one = {.value = 1, .integer = 1, .is_float = o.d.is_float};
  for (unsigned e = 0; e < o.count; e++)
    unit.work[e] = one_converted(call, &o, e);
  for (unsigned line = 0; line < o.squares * n; line++) {
    unsigned first = line / n * geometry.area + line % n * (row ? n : 1), step = row ? 1 : n;
    uint64_t total = unit.work[first];
    for (unsigned k = 1; k < n; k++) {
      uint64_t next = unit.work[first + k * step];
      if (what != WHAT_add) {
        total = extreme_of(next, total, &o.d, what == WHAT_max, &call->flags);
        continue;
      }
      struct number addend = number_of(next, &o.d), sum = number_of(total, &o.d);
      struct number result = fused(&addend, &one, &sum, false, &call->flags);
      total = encode(&result, &o.d, &call->flags);
    }
    for (unsigned k = 0; k < n; k++)
      set_field(registers(call->dest), first + k * step, o.d.bits, total);
  }
  commit(call);
  return DONE;
}
