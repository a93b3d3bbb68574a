#define _GNU_SOURCE
#include "thunks.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "emulate.h"
#include "traps.h"

/* A thunk saves the registers that a C function may change and the vector registers that the word reads,
 * calls the emulator, loads the vector registers that the word writes, and goes back behind the word:
 *
 *     addi  sp, sp, -FRAME
 *     sd    ra, 0(sp)
 *     sd    t0, 8(sp)
 *     auipc t0, 0                    t0: the anchor, by which all others find the struct site
 *     ld    ra, site.enter(t0)
 *     jalr  ra, ra                   a0 becomes the place of v16 in the area for vector registers
 *     addi  t1, a0, (N - 16) vlenb   for every register N that is read, or that the emulator computes in
 *     vse64.v vN, (t1)
 *     ld    ra, site.work(t0)
 *     ...
 *
 * The area is 32 registers long, as in a trap, though only a few are ever filled. */
enum {
  FRAME = 352,
  ANCHOR = 12,
  MOST_SAVED = 12, /* vector registers */
  MOST_LOADED = 8,
  SITE = 4 * (14 + 2 * MOST_SAVED + 2 * MOST_LOADED), /* where the struct site is in a thunk */
  THUNK_BYTES = SITE + 56,
  ZERO = 0, RA = 1, SP = 2, T0 = 5, T1 = 6, A0 = 10,
};

struct site {
  void (*enter)(void), (*work)(void), (*leave)(void);
  const struct vertebra_emulator *emulator;
  uint64_t pc, area; /* area: bytes of all vector registers */
  uint32_t word;
};
_Static_assert(SITE + sizeof(struct site) <= THUNK_BYTES, "a thunk has room for its site");

/* These are called by thunks alone.  The frame, at s1: x registers, the state of the vector unit
 * from 152, fcsr at 176, a return address at 184, f registers from 192; s2: bytes of the area. */
__attribute__((naked)) static void work(void) {
  __asm__ volatile(
      ".option push\n"
      ".option arch, +v\n"
      "sd ra, 184(s1)\n"
      "mv a0, s0\n"
      "mv a1, sp\n"
      "addi a2, s1, 152\n"
      "mv a3, s2\n"
      "call vertebra_thunk\n"
      "vsetvli t1, zero, e64, m1, ta, ma\n" /* the emulator may have changed it */
      "ld ra, 184(s1)\n"
      "srli a0, s2, 1\n"
      "add a0, sp, a0\n"
      "mv t0, s0\n"
      "ret\n"
      ".option pop\n");
}

__attribute__((naked)) static void enter(void) {
  __asm__ volatile(
      ".option push\n"
      ".option arch, +v\n"
      "sd t1, 16(sp)\n"
      "sd t2, 24(sp)\n"
      "sd a0, 32(sp)\n"
      "sd a1, 40(sp)\n"
      "sd a2, 48(sp)\n"
      "sd a3, 56(sp)\n"
      "sd a4, 64(sp)\n"
      "sd a5, 72(sp)\n"
      "sd a6, 80(sp)\n"
      "sd a7, 88(sp)\n"
      "sd t3, 96(sp)\n"
      "sd t4, 104(sp)\n"
      "sd t5, 112(sp)\n"
      "sd t6, 120(sp)\n"
      "sd s0, 128(sp)\n"
      "sd s1, 136(sp)\n"
      "sd s2, 144(sp)\n"
      "mv s0, t0\n"
      "mv s1, sp\n"
      "csrr t1, vl\n"
      "csrr t2, vtype\n"
      "csrr t3, vstart\n"
      "sd t1, 152(sp)\n"
      "sd t2, 160(sp)\n"
      "sd t3, 168(sp)\n"
      "ld a0, %c[area](t0)\n"
      "mv s2, a0\n"
      "sub sp, sp, a0\n"
      "srli a0, a0, 1\n"
      "add a0, sp, a0\n"
      "bnez t3, 1f\n"
      "vsetvli t1, zero, e64, m1, ta, ma\n"
      "ret\n"
      "1:\n" /* reports the word as illegal in this state, and does not come back */
      "call %c[work]\n"
      ".option pop\n" ::[area] "i"(offsetof(struct site, area) + SITE - ANCHOR),
      [work] "s"(work));
}

/* As enter; instructions that compute with floats also change the f registers and fcsr. */
__attribute__((naked)) static void enter_floats(void) {
  __asm__ volatile(
      "fsd ft0, 192(sp)\n"
      "fsd ft1, 200(sp)\n"
      "fsd ft2, 208(sp)\n"
      "fsd ft3, 216(sp)\n"
      "fsd ft4, 224(sp)\n"
      "fsd ft5, 232(sp)\n"
      "fsd ft6, 240(sp)\n"
      "fsd ft7, 248(sp)\n"
      "fsd fa0, 256(sp)\n"
      "fsd fa1, 264(sp)\n"
      "fsd fa2, 272(sp)\n"
      "fsd fa3, 280(sp)\n"
      "fsd fa4, 288(sp)\n"
      "fsd fa5, 296(sp)\n"
      "fsd fa6, 304(sp)\n"
      "fsd fa7, 312(sp)\n"
      "fsd ft8, 320(sp)\n"
      "fsd ft9, 328(sp)\n"
      "fsd ft10, 336(sp)\n"
      "fsd ft11, 344(sp)\n"
      "sd ra, 184(sp)\n"
      "call %c[enter]\n"
      "frcsr t1\n"
      "sd t1, 176(s1)\n"
      "li t1, 1\n" /* round to nearest even; QEMU is fast while the flag for inexact results is set */
      "fscsr t1\n"
      "mv t0, s0\n"
      "ld ra, 184(s1)\n"
      "ret\n" ::[enter] "s"(enter));
}

__attribute__((naked)) static void leave(void) {
  __asm__ volatile(
      ".option push\n"
      ".option arch, +v\n"
      "ld t1, 152(s1)\n"
      "ld t2, 160(s1)\n"
      "vsetvl zero, t1, t2\n"
      "mv sp, s1\n"
      "ld t1, 16(sp)\n"
      "ld t2, 24(sp)\n"
      "ld a0, 32(sp)\n"
      "ld a1, 40(sp)\n"
      "ld a2, 48(sp)\n"
      "ld a3, 56(sp)\n"
      "ld a4, 64(sp)\n"
      "ld a5, 72(sp)\n"
      "ld a6, 80(sp)\n"
      "ld a7, 88(sp)\n"
      "ld t3, 96(sp)\n"
      "ld t4, 104(sp)\n"
      "ld t5, 112(sp)\n"
      "ld t6, 120(sp)\n"
      "ld s0, 128(sp)\n"
      "ld s2, 144(sp)\n"
      "ld s1, 136(sp)\n"
      "ret\n"
      ".option pop\n");
}

__attribute__((naked)) static void leave_floats(void) {
  __asm__ volatile(
      "ld t1, 176(s1)\n"
      "fscsr t1\n"
      "fld ft0, 192(s1)\n"
      "fld ft1, 200(s1)\n"
      "fld ft2, 208(s1)\n"
      "fld ft3, 216(s1)\n"
      "fld ft4, 224(s1)\n"
      "fld ft5, 232(s1)\n"
      "fld ft6, 240(s1)\n"
      "fld ft7, 248(s1)\n"
      "fld fa0, 256(s1)\n"
      "fld fa1, 264(s1)\n"
      "fld fa2, 272(s1)\n"
      "fld fa3, 280(s1)\n"
      "fld fa4, 288(s1)\n"
      "fld fa5, 296(s1)\n"
      "fld fa6, 304(s1)\n"
      "fld fa7, 312(s1)\n"
      "fld ft8, 320(s1)\n"
      "fld ft9, 328(s1)\n"
      "fld ft10, 336(s1)\n"
      "fld ft11, 344(s1)\n"
      "tail %c[leave]\n" ::[leave] "s"(leave));
}

/* csr: {vl, vtype, vstart}.  area: bytes of the 32 vector registers at `v`. */
__attribute__((used)) void vertebra_thunk(const uint8_t *anchor, uint8_t *v, const uint64_t csr[3],
                                          uint64_t area) {
  const struct site *site = (const struct site *)(anchor - ANCHOR + SITE);
  struct vertebra_hart hart = {.v = v, .vlenb = area / 32, .vl = csr[0], .vtype = csr[1], .vstart = csr[2]};
  if (site->emulator->run(site->word, &hart) != VERTEBRA_DONE)
    report_fault(SIGILL, site->pc, 0, site->word);
}

static uint32_t addi(int rd, int rs1, int value) {
  return (uint32_t)value << 20 | rs1 << 15 | rd << 7 | 0x13;
}
static uint32_t ld(int rd, int rs1, int offset) {
  return (uint32_t)offset << 20 | rs1 << 15 | 3 << 12 | rd << 7 | 0x03;
}
static uint32_t sd(int rs2, int rs1, int offset) {
  return (uint32_t)offset >> 5 << 25 | rs2 << 20 | rs1 << 15 | 3 << 12 | (offset & 31) << 7 | 0x23;
}
static uint32_t jalr(int rd, int rs1) { return (uint32_t)(rs1 << 15 | rd << 7 | 0x67); }
static uint32_t vse64(int v, int rs1) { return 1u << 25 | rs1 << 15 | 7 << 12 | v << 7 | 0x27; }
static uint32_t vle64(int v, int rs1) { return 1u << 25 | rs1 << 15 | 7 << 12 | v << 7 | 0x07; }

/* A jump without a return address, or 0 where it is too far. */
static uint32_t jal(const uint8_t *from, const uint8_t *to) {
  int64_t offset = to - from;
  if (offset < -(1 << 20) || offset >= 1 << 20)
    return 0;
  uint32_t at = (uint32_t)offset, middle = (at >> 11 & 1) << 20 | (at >> 12 & 0xFF) << 12;
  return (at >> 20 & 1) << 31 | (at >> 1 & 0x3FF) << 21 | middle | 0x6F;
}

static uint32_t *call(uint32_t *at, size_t function) {
  *at++ = ld(RA, T0, SITE - ANCHOR + (int)function);
  *at++ = jalr(RA, RA);
  return at;
}

static uint32_t *move(uint32_t *at, uint32_t registers, int vlenb, uint32_t instruction(int, int)) {
  for (; registers; registers &= registers - 1) {
    int number = __builtin_ctz(registers);
    *at++ = addi(T1, A0, (number - 16) * vlenb);
    *at++ = instruction(number, T1);
  }
  return at;
}

static void write_thunk(uint8_t *thunk, const uint8_t *word, const struct site *site,
                        const struct vertebra_touched *touched) {
  const int vlenb = (int)site->area / 32;
  uint32_t *at = (uint32_t *)thunk;
  *at++ = addi(SP, SP, -FRAME);
  *at++ = sd(RA, SP, 0);
  *at++ = sd(T0, SP, 8);
  *at++ = T0 << 7 | 0x17; /* auipc t0, 0 */
  at = call(at, offsetof(struct site, enter));
  at = move(at, touched->read | touched->scratch, vlenb, vse64);
  at = call(at, offsetof(struct site, work));
  at = move(at, touched->written | touched->scratch, vlenb, vle64);
  at = call(at, offsetof(struct site, leave));
  *at++ = ld(RA, SP, 0);
  *at++ = ld(T0, SP, 8);
  *at++ = addi(SP, SP, FRAME);
  *at = jal((const uint8_t *)at, word + 4);
  memcpy(thunk + SITE, site, sizeof *site);
}

static uint64_t vlenb(void) {
  uint64_t bytes;
  __asm__(".option push\n.option arch, +v\ncsrr %0, vlenb\n.option pop\n" : "=r"(bytes));
  return bytes;
}

static uint32_t word_at(const uint8_t *code) {
  uint32_t word;
  memcpy(&word, code, sizeof word);
  return word;
}

/* The first word from *at on that an emulator serves, and moves *at behind it; false where there is none. */
static bool next_served(const uint8_t *code, size_t bytes, size_t *at, struct site *site,
                        struct vertebra_touched *touched) {
  while (*at + 2 <= bytes) {
    const uint8_t *here = code + *at;
    bool compressed = (here[0] & 3) != 3; /* or padding */
    if (!compressed && *at + 4 > bytes)
      return false;
    *at += compressed ? 2 : 4;
    if (compressed)
      continue;
    site->word = word_at(here);
    site->emulator = traps_emulator_of(site->word, touched);
    if (site->emulator && __builtin_popcount(touched->read | touched->scratch) <= MOST_SAVED &&
        __builtin_popcount(touched->written | touched->scratch) <= MOST_LOADED)
      return true;
  }
  return false;
}

size_t thunks_bytes(const uint8_t *code, size_t bytes) {
  struct site site;
  struct vertebra_touched touched;
  size_t needed = 0;
  for (size_t at = 0; next_served(code, bytes, &at, &site, &touched);)
    needed += THUNK_BYTES;
  return needed;
}

uint8_t *thunks_make(uint8_t *code, size_t bytes, uint8_t *thunk) {
  struct site site = {.work = work, .area = 32 * vlenb()};
  struct vertebra_touched touched;
  for (size_t at = 0; next_served(code, bytes, &at, &site, &touched); thunk += THUNK_BYTES) {
    uint8_t *word = code + at - 4;
    uint32_t there = jal(word, thunk);
    /* The jump back comes from the end of the thunk at the latest. */
    if (!there || !jal(thunk + SITE, word + 4))
      continue;
    site.pc = (uint64_t)word;
    site.enter = touched.floats ? enter_floats : enter;
    site.leave = touched.floats ? leave_floats : leave;
    write_thunk(thunk, word, &site, &touched);
    memcpy(word, &there, sizeof there);
  }
  return thunk;
}
