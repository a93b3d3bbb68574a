/* The attached matrix extension's unit: registers, types and ownership of every thread.
 *
 * The table of instructions is made of the records in instructions.py, and what they do is in semantics.py, in the
 * same order of checks: ownership, numbers of registers, types, alignment and span, address, access; nothing
 * is written before all of them.  Numbers of types and control registers stand in the table too.
 */
#include <limits.h>
#include <stddef.h>
#include <time.h>

#include "emulate.h"
#include "form.h"

struct ame_form;
struct call;
enum outcome { DONE, UN, ILLEGAL, MISALIGNED };
typedef enum outcome operation(struct call *call);
static operation get_type, set_type, zero, index_, load, store, move, broadcast_scalar, element, multiply, arithmetic,
    extreme, scale, absolute, convert, math, bits_, shift, compare, select_, broadcast, pack_square, unpack_square,
    reduce, acquire, release;

struct ame_form {
  struct vertebra_form form;
  operation *run;
  uint8_t what[4];
  bool scalar; /* src1 is a number in an X register */
  char files[4];
};

#include "emulate_ame_table.h"
#include "ame_unit.h"

enum { FORMS = sizeof forms / sizeof *forms, DEST = 0, SRC1, SRC2, SYSTEM = 0x73, PAGE = 4096, SEPARATE = INT_MAX };
static bool served;
static uint64_t carried_out[FORMS];

/* One instruction with the numbers of its operands. */
struct call {
  const struct ame_form *form;
  struct vertebra_hart *hart;
  unsigned dest, src1, src2;
  struct flags flags;
  uint64_t address; /* with MISALIGNED */
};

static uint64_t x(const struct call *call, unsigned number) { return number ? call->hart->x[number] : 0; }
static void set_x(struct call *call, unsigned number, uint64_t value) {
  if (number)
    call->hart->x[number] = value;
}

static void commit(const struct call *call) {
  unit.flags |= call->flags.floats;
  unit.saturated |= call->flags.saturated;
}

static struct type matrix_type(unsigned number) { return type_of(unit.md[number], 32); }
static struct type scalar_type(uint64_t code) { return type_of(code, 64); }

/* --- Ownership and types --- */

enum { WAIT_MICROSECONDS = 1000, NAP_NANOSECONDS = 50000 }; /* of the shortest class; each next one is twice as long */
static uint64_t owners; /* of this launch */
static unsigned shared; /* units for all threads together; SEPARATE: each has its own */

/* Takes a unit, where one is free. */
static bool take(void) {
  uint64_t taken = __atomic_load_n(&owners, __ATOMIC_ACQUIRE);
  do {
    if (taken >= shared)
      return false;
  } while (!__atomic_compare_exchange_n(&owners, &taken, taken + 1, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
  return true;
}

/* Waits for a unit as long as the descriptor says.  Returns what ame.acquire answers. */
static unsigned wait_for_unit(uint64_t descriptor) {
  if (take())
    return GRANT_GRANTED;
  if (!(descriptor & 1))
    return GRANT_BUSY;
  int64_t left = (int64_t)WAIT_MICROSECONDS * 1000 << (descriptor >> 2 & 3);
  for (; left > 0; left -= NAP_NANOSECONDS) {
    nanosleep(&(struct timespec){.tv_nsec = NAP_NANOSECONDS}, NULL);
    if (take())
      return GRANT_GRANTED;
  }
  return GRANT_TIMEOUT;
}

static enum outcome acquire(struct call *call) {
  uint64_t descriptor = x(call, call->src1);
  unsigned grant = GRANT_GRANTED;
  if ((descriptor & 3) > 1 || descriptor >> 6)
    grant = GRANT_BAD_DESCRIPTOR;
  else if (!owns())
    grant = wait_for_unit(descriptor);
  if (grant != GRANT_GRANTED) {
    set_x(call, call->dest, grant << 1);
    return DONE;
  }
  if (!owns()) {
    memset(unit.m, 0, (size_t)geometry.m * geometry.register_bytes);
    memset(unit.acc, 0, 4ul * geometry.acc * geometry.area);
    memset(unit.md, 0, sizeof unit.md);
    memset(unit.ad, 0, sizeof unit.ad);
    unit.scalar_type = unit.flags = unit.saturated = unit.status = 0;
    unit.owned = __atomic_load_n(&launch, __ATOMIC_RELAXED);
  }
  set_x(call, call->dest, 1);
  return DONE;
}

static enum outcome release(struct call *call) {
  (void)call;
  if (owns())
    __atomic_fetch_sub(&owners, 1, __ATOMIC_RELEASE);
  unit.owned = 0;
  return DONE;
}

static enum outcome get_type(struct call *call) {
  set_x(call, call->dest, call->form->what[0] == WHAT_m ? unit.md[call->src1] : unit.ad[call->src1]);
  return DONE;
}

static enum outcome set_type(struct call *call) {
  struct type type = type_of(x(call, call->src1), 32);
  if (!type.bits)
    return UN;
  if (call->form->what[0] == WHAT_a) {
    unit.ad[call->dest] = type.code;
    memset(accumulator(call->dest), 0, 4ul * geometry.area);
    return DONE;
  }
  if (!fits(call->dest, &type, pack_of(&type)))
    return ILLEGAL;
  unit.md[call->dest] = type.code;
  memset(registers(call->dest), 0, (size_t)group_of(&type) * geometry.register_bytes);
  return DONE;
}

static enum outcome zero(struct call *call) {
  bool acc = call->form->what[0] == WHAT_acc;
  struct type type = acc ? type_of(unit.ad[call->dest], 32) : matrix_type(call->dest);
  if (!type.bits)
    return UN;
  if (acc) {
    memset(accumulator(call->dest), 0, 4ul * geometry.area);
    return DONE;
  }
  if (!fits(call->dest, &type, pack_of(&type)))
    return ILLEGAL;
  memset(registers(call->dest), 0, (size_t)group_of(&type) * geometry.register_bytes);
  return DONE;
}

static enum outcome index_(struct call *call) {
  struct type type = matrix_type(call->dest);
  if (!type.bits || type.is_float || most(&type) < geometry.n - 1)
    return UN;
  if (!fits(call->dest, &type, pack_of(&type)))
    return ILLEGAL;
  for (unsigned e = 0; e < pack_of(&type) * geometry.area; e++)
    set_field(registers(call->dest), e, type.bits,
              call->form->what[0] == WHAT_row ? e % geometry.area / geometry.n : e % geometry.n);
  return DONE;
}

/* --- Transfers --- */

struct transfer {
  struct type type;
  uint64_t base, stride;
  unsigned segments, fields, pack;
  size_t bytes; /* of a segment */
};

static enum outcome prepare(struct call *call, struct transfer *t) {
  unsigned n = geometry.n, layout = call->form->what[0];
  bool strided = layout == WHAT_st || layout == WHAT_tst;
  t->type = layout == WHAT_1r ? type_of(geometry.u, 64) : matrix_type(call->dest);
  if (!t->type.bits)
    return UN;
  t->pack = pack_of(&t->type);
  if (layout != WHAT_1r && !fits(call->dest, &t->type, t->pack))
    return ILLEGAL;
  t->base = call->address = x(call, call->src1);
  if (t->base % ((t->type.bits + 7) / 8))
    return MISALIGNED;
  t->stride = strided ? x(call, call->src2) : 0;
  t->segments = layout == WHAT_st ? n : layout == WHAT_tst ? t->pack * n : 1;
  t->fields = t->pack * n * n / t->segments;
  t->bytes = ((size_t)t->fields * t->type.bits + 7) / 8;
  return DONE;
}

/* Where element (s, i, j) is: the segment, and the field in it. */
static void place(const struct call *call, const struct transfer *t, unsigned s, unsigned i, unsigned j,
                  unsigned *segment, unsigned *at) {
  unsigned n = geometry.n;
  switch (call->form->what[0]) {
  case WHAT_st:
    *segment = i, *at = s * n + j;
    break;
  case WHAT_tst:
    *segment = s * n + j, *at = i;
    break;
  case WHAT_cm:
    *segment = 0, *at = (s * n + j) * n + i;
    break;
  default:
    *segment = 0, *at = (s * n + i) * n + j;
  }
}

/* Moves all elements between the staged segments and the register. */
static void arrange(const struct call *call, const struct transfer *t, bool to_register) {
  unsigned n = geometry.n, bits = t->type.bits, segment, at;
  uint8_t *to = registers(call->dest);
  bool rows = call->form->what[0] != WHAT_tst && call->form->what[0] != WHAT_cm && bits * n % 8 == 0;
  for (unsigned s = 0; s < t->pack; s++)
    for (unsigned i = 0; i < n; i++) {
      if (rows) { /* a row of a square lies together on both sides */
        place(call, t, s, i, 0, &segment, &at);
        uint8_t *mine = to + (size_t)(s * n + i) * n * bits / 8;
        uint8_t *theirs = unit.staged + segment * t->bytes + (size_t)at * bits / 8;
        memcpy(to_register ? mine : theirs, to_register ? theirs : mine, n * bits / 8);
        continue;
      }
      for (unsigned j = 0; j < n; j++) {
        place(call, t, s, i, j, &segment, &at);
        uint8_t *theirs = unit.staged + segment * t->bytes;
        size_t e = (size_t)(s * n + i) * n + j;
        if (to_register)
          set_field(to, e, bits, field(theirs, at, bits));
        else
          set_field(theirs, at, bits, field(to, e, bits));
      }
    }
}

static enum outcome load(struct call *call) {
  struct transfer t;
  enum outcome outcome = prepare(call, &t);
  if (outcome != DONE)
    return outcome;
  for (unsigned k = 0; k < t.segments; k++) /* a fault here leaves the register as it was */
    memcpy(unit.staged + k * t.bytes, (const void *)(t.base + k * t.stride), t.bytes);
  arrange(call, &t, true);
  return DONE;
}

static void probe(uint64_t address) {
  volatile uint8_t *byte = (volatile uint8_t *)address;
  *byte = *byte;
}

static enum outcome store(struct call *call) {
  struct transfer t;
  enum outcome outcome = prepare(call, &t);
  if (outcome != DONE)
    return outcome;
  memset(unit.staged, 0, t.segments * t.bytes);
  arrange(call, &t, false);
  /* All pages before the first byte: a fault leaves the memory as it was. */
  for (unsigned k = 0; k < t.segments; k++) {
    uint64_t start = t.base + k * t.stride, last = start + t.bytes - 1;
    for (uint64_t at = start; at < last; at = (at | (PAGE - 1)) + 1)
      probe(at);
    probe(last);
  }
  for (unsigned k = 0; k < t.segments; k++)
    memcpy((void *)(t.base + k * t.stride), unit.staged + k * t.bytes, t.bytes);
  return DONE;
}

static enum outcome move(struct call *call) {
  unsigned way = call->form->what[0], matrix = way == WHAT_a_m ? call->src1 : call->dest;
  unsigned acc = way == WHAT_a_m ? call->dest : call->src1;
  struct type type = matrix_type(matrix);
  if (!type.bits)
    return UN;
  unsigned pack = pack_of(&type);
  if (way == WHAT_m_m) {
    if (unit.md[call->src1] != type.code)
      return UN;
    if (!fits(call->dest, &type, pack) || !fits(call->src1, &type, pack))
      return ILLEGAL;
    memmove(registers(call->dest), registers(call->src1), (size_t)group_of(&type) * geometry.register_bytes);
    return DONE;
  }
  if (pack > geometry.acc)
    return UN;
  for (unsigned s = 0; s < pack && acc + s < geometry.acc; s++)
    if (unit.ad[acc + s] != type.code)
      return UN;
  if (acc + pack > geometry.acc || !fits(matrix, &type, pack))
    return ILLEGAL;
  uint32_t *squares = accumulator(acc);
  for (unsigned e = 0; e < pack * geometry.area; e++)
    if (way == WHAT_m_a)
      set_field(registers(matrix), e, type.bits, squares[e]);
    else
      squares[e] = (uint32_t)field(registers(matrix), e, type.bits);
  return DONE;
}

static enum outcome broadcast_scalar(struct call *call) {
  struct type type = matrix_type(call->dest), source = scalar_type(x(call, call->src2));
  if (!type.bits || !source.bits)
    return UN;
  if (!fits(call->dest, &type, pack_of(&type)))
    return ILLEGAL;
  struct number number = number_of(x(call, call->src1) & low_mask(source.bits), &source);
  uint64_t value = encode(&number, &type, &call->flags);
  for (unsigned e = 0; e < pack_of(&type) * geometry.area; e++)
    set_field(registers(call->dest), e, type.bits, value);
  commit(call);
  return DONE;
}

static enum outcome element(struct call *call) {
  static const unsigned sizes[] = {[WHAT_8] = 1, [WHAT_16] = 2, [WHAT_32] = 4, [WHAT_64] = 8};
  unsigned size = sizes[call->form->what[1]];
  if (size * 8 > geometry.n * geometry.u)
    return ILLEGAL;
  bool into = call->form->what[0] == WHAT_m_x;
  uint64_t at = x(call, call->src2) % (geometry.register_bytes / size) * size, value = 0;
  if (into) {
    value = x(call, call->src1);
    memcpy(registers(call->dest) + at, &value, size);
  } else {
    memcpy(&value, registers(call->src1) + at, size);
    set_x(call, call->dest, value);
  }
  return DONE;
}

#include "ame_products.h"

#include "ame_elements.h"

/* --- The emulator --- */

static const struct ame_form *find(uint32_t word) {
  for (int i = 0; i < FORMS; i++)
    if ((word & forms[i].form.mask) == forms[i].form.match)
      return &forms[i];
  return NULL;
}

static void configure(const char *extensions) {
  const struct {
    const char *name;
    unsigned *value;
  } parameters[] = {{"ame_n", &geometry.n}, {"ame_u", &geometry.u}, {"ame_m", &geometry.m},
                    {"ame_acc", &geometry.acc}, {"ame_shared", &shared}};
  shared = SEPARATE;
  for (unsigned i = 0; i < sizeof parameters / sizeof *parameters; i++)
    for (const char *at = extensions; at && *at && *at != ',';) {
      size_t length = strlen(parameters[i].name);
      if (!strncmp(at, parameters[i].name, length) && at[length] >= '0' && at[length] <= '9')
        *parameters[i].value = (unsigned)strtoul(at + length, NULL, 10);
      at += strcspn(at, "+,");
      at += *at == '+';
    }
  served = geometry.n && geometry.u && geometry.m && geometry.acc;
  geometry.area = geometry.n * geometry.n;
  geometry.register_bytes = geometry.area * geometry.u / 8;
}

/* csrrw and the like; the registers that programs write belong to the owner. */
static enum vertebra_emulation access_csr(uint32_t word, struct vertebra_hart *hart) {
  uint32_t *kept = NULL, mask = 0;
  uint64_t shown = 0;
  switch (word >> 20) {
  case CSR_amenlen: shown = geometry.n; break;
  case CSR_ameudsz: shown = geometry.u; break;
  case CSR_ameown: shown = owns(); break;
  case CSR_amestype: kept = &unit.scalar_type, mask = ~0u; break;
  case CSR_amefflags: kept = &unit.flags, mask = 31; break;
  case CSR_amexsat: kept = &unit.saturated, mask = 1; break;
  case CSR_amestatus: kept = &unit.status, mask = 1; break;
  default: return VERTEBRA_NOT_MINE;
  }
  int writes;
  if (!(word >> 12 & 3) || (kept && !owns()))
    return VERTEBRA_ILLEGAL;
  uint64_t value = vertebra_csr(word, hart, kept ? *kept : shown, &writes);
  if (!kept)
    return writes ? VERTEBRA_ILLEGAL : VERTEBRA_DONE;
  *kept = (uint32_t)value & mask;
  return VERTEBRA_DONE;
}

static bool exists(char file, unsigned number) {
  return file == 'm' ? number < geometry.m : file != 'a' || number < geometry.acc;
}

static enum vertebra_emulation run(uint32_t word, struct vertebra_hart *hart) {
  if (!served)
    return VERTEBRA_NOT_MINE;
  if ((word & 0x7F) == SYSTEM)
    return access_csr(word, hart);
  const struct ame_form *form = find(word);
  if (!form)
    return VERTEBRA_NOT_MINE;
  struct call call = {.form = form, .hart = hart};
  unsigned *numbers[] = {&call.dest, &call.src1, &call.src2};
  bool managing = form->run == acquire || form->run == release;
  if (!make_unit() || (!managing && !owns()))
    return VERTEBRA_ILLEGAL;
  for (int i = 0; i < 3; i++) {
    *numbers[i] = form->files[i] ? form_operand(&form->form, i, word) : 0;
    if (!exists(form->files[i], *numbers[i]))
      return VERTEBRA_ILLEGAL;
  }
  switch (form->run(&call)) {
  case ILLEGAL:
    return VERTEBRA_ILLEGAL;
  case MISALIGNED:
    hart->address = call.address;
    return VERTEBRA_MISALIGNED;
  case UN:
    unit.status |= UNSUPPORTED;
    break;
  default:
    break;
  }
  __atomic_fetch_add(&carried_out[form - forms], 1, __ATOMIC_RELAXED);
  return VERTEBRA_DONE;
}

static void counts(void (*tell)(const char *mnemonic, uint64_t count)) {
  for (int i = 0; i < FORMS; i++)
    tell(forms[i].form.name, __atomic_load_n(&carried_out[i], __ATOMIC_RELAXED));
}

static const char *unfinished(void) {
  uint64_t left = __atomic_exchange_n(&owners, 0, __ATOMIC_RELAXED);
  if (!left)
    return NULL;
  __atomic_fetch_add(&launch, 1, __ATOMIC_RELAXED);
  return "it returned and had not released the matrix unit (ame.release)";
}

const struct vertebra_emulator emulate_ame = {
    .configure = configure, .run = run, .counts = counts, .unfinished = unfinished};
