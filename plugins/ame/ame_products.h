/* Products of squares, and their sums in accumulators.  Part of emulate_ame.c. */

static bool multiplies(const struct type *a, const struct type *b, const struct type *c) {
  if (a->is_float || b->is_float)
    return a->code == b->code && (c->code == a->code || c->code == FP32);
  bool plain = !(a->code & TYPE_MODES) && !(b->code & TYPE_MODES) && a->bits <= 8 && b->bits <= 8;
  return plain && (c->code == INT32 || c->code == INT32_SAT);
}

/* The elements of an operand as lines along K: line * depth + k. */
static void gather_integers(int32_t *to, unsigned number, const struct type *type, unsigned squares, bool turned) {
  unsigned n = geometry.n, depth = squares * n;
  const uint8_t *bytes = registers(number);
  for (unsigned s = 0; s < squares; s++)
    for (unsigned i = 0; i < n; i++)
      for (unsigned j = 0; j < n; j++) {
        int32_t value = (int32_t)field(bytes, (size_t)(s * n + i) * n + j, type->bits);
        if (type->is_signed && value >> (type->bits - 1))
          value -= 1 << type->bits;
        to[turned ? j * depth + s * n + i : i * depth + s * n + j] = value;
      }
}

static void gather_floats(float *to, unsigned number, const struct type *type, unsigned squares, bool turned) {
  unsigned n = geometry.n, depth = squares * n;
  const uint8_t *bytes = registers(number);
  for (unsigned s = 0; s < squares; s++)
    for (unsigned i = 0; i < n; i++)
      for (unsigned j = 0; j < n; j++) {
        uint32_t bits = (uint32_t)field(bytes, (size_t)(s * n + i) * n + j, type->bits);
        float value = type->code == FP32 ? float_of(bits) : half_to_float((uint16_t)bits, type->code == BF16);
        to[turned ? j * depth + s * n + i : i * depth + s * n + j] = value;
      }
}

static int32_t sum_wrapping(uint32_t sum, const int32_t *a, const int32_t *b, unsigned depth, bool minus) {
  uint32_t products = 0;
  for (unsigned k = 0; k < depth; k++)
    products += (uint32_t)(a[k] * b[k]);
  return (int32_t)(minus ? sum - products : sum + products);
}

static int32_t sum_saturating(int32_t sum, const int32_t *a, const int32_t *b, unsigned depth, bool minus,
                              struct flags *flags) {
  for (unsigned k = 0; k < depth; k++) {
    int64_t next = sum + (int64_t)a[k] * b[k] * (minus ? -1 : 1);
    int64_t kept = next > INT32_MAX ? INT32_MAX : next < INT32_MIN ? INT32_MIN : next;
    flags->saturated |= kept != next;
    sum = (int32_t)kept;
  }
  return sum;
}

static uint32_t sum_floats(uint32_t sum, const struct type *type, const float *a, const float *b, unsigned depth,
                           bool minus) {
  if (type->code == FP32) {
    float total = float_of(sum);
    for (unsigned k = 0; k < depth; k++)
      total = fmaf(minus ? -a[k] : a[k], b[k], total);
    return total != total ? 0x7FC00000 : bits_of(total);
  }
  for (unsigned k = 0; k < depth; k++) {
    struct flags ignored = {0};
    struct number left = {.value = a[k], .is_float = true}, right = {.value = b[k], .is_float = true};
    struct number old = number_of(sum, type), next = fused(&left, &right, &old, minus, &ignored);
    sum = (uint32_t)encode(&next, type, &ignored);
  }
  return sum;
}

static enum outcome multiply(struct call *call) {
  struct type a = matrix_type(call->src1), b = matrix_type(call->src2), c = type_of(unit.ad[call->dest], 32);
  if (!a.bits || !b.bits || !c.bits || !multiplies(&a, &b, &c))
    return UN;
  unsigned squares = pack_of(&a) > pack_of(&b) ? pack_of(&a) : pack_of(&b), n = geometry.n, depth = squares * n;
  if (!fits(call->src1, &a, squares) || !fits(call->src2, &b, squares))
    return ILLEGAL;
  bool minus = call->form->what[1] == WHAT_minus, turn_a = call->form->what[0] == WHAT_at;
  bool turn_b = call->form->what[0] != WHAT_bt;
  uint32_t *sums = accumulator(call->dest);
  if (a.is_float) {
    float *left = (float *)unit.work, *right = (float *)unit.more;
    gather_floats(left, call->src1, &a, squares, turn_a);
    gather_floats(right, call->src2, &b, squares, turn_b);
    for (unsigned e = 0; e < geometry.area; e++)
      sums[e] = sum_floats(sums[e], &c, left + e / n * depth, right + e % n * depth, depth, minus);
    return DONE;
  }
  int32_t *left = (int32_t *)unit.work, *right = (int32_t *)unit.more;
  gather_integers(left, call->src1, &a, squares, turn_a);
  gather_integers(right, call->src2, &b, squares, turn_b);
  for (unsigned e = 0; e < geometry.area; e++) {
    const int32_t *row = left + e / n * depth, *column = right + e % n * depth;
    sums[e] = (uint32_t)(c.saturates ? sum_saturating((int32_t)sums[e], row, column, depth, minus, &call->flags)
                                     : sum_wrapping(sums[e], row, column, depth, minus));
  }
  commit(call);
  return DONE;
}
