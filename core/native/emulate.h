/* Instructions that the processor, or its emulator, does not have, carried out in software.
 *
 * An emulator carries out one instruction word on the registers it may touch.  The runner asks one
 * emulator after the other when a word traps; where an emulator tells beforehand which vector
 * registers a word touches, the runner replaces the word by a jump, which is much faster.
 */
#ifndef VERTEBRA_EMULATE_H
#define VERTEBRA_EMULATE_H

#include <stdint.h>

/* The registers of the hart at the instruction. */
struct vertebra_hart {
  uint8_t *v;       /* v0 .. v31, vlenb bytes each, one after the other */
  uint64_t vlenb;   /* bytes in one vector register */
  uint64_t vl;      /* elements that an instruction works on */
  uint64_t vtype;   /* bit 63 vill, 7 vma, 6 vta, 5:3 log2(SEW/8), 2:0 log2(LMUL), signed */
  uint64_t vstart;  /* first element to work on; an emulator that is done leaves 0 */
  uint64_t *x;      /* x[1] .. x[31]; x[0] is not a register */
  uint64_t *f;      /* f[0] .. f[31], narrower values NaN-boxed */
  uint32_t *fcsr;   /* 7:5 rounding mode, 4:0 accrued exceptions NV DZ OF UF NX */
  uint64_t address; /* set with VERTEBRA_MISALIGNED: the address */
};

enum vertebra_emulation {
  VERTEBRA_NOT_MINE, /* this emulator does not know the word; nothing was changed */
  VERTEBRA_DONE,     /* carried out: the program goes on after the word */
  VERTEBRA_ILLEGAL,  /* the word is reserved in this state (vtype, register numbers) */
  VERTEBRA_MISALIGNED, /* the word accesses an address that is not aligned; nothing was changed */
};

/* What an instruction such as csrrw does to a control register whose value is `old`: its new value.  The old
 * one goes to the destination.  *writes: whether the instruction is one that writes. */
static inline uint64_t vertebra_csr(uint32_t word, struct vertebra_hart *hart, uint64_t old, int *writes) {
  unsigned kind = word >> 12 & 3, source = word >> 15 & 31, target = word >> 7 & 31;
  uint64_t value = word >> 14 & 1 ? source : source ? hart->x[source] : 0;
  *writes = kind == 1 || source;
  if (target)
    hart->x[target] = old;
  return kind == 1 ? value : kind == 2 ? old | value : old & ~value;
}

/* What a word touches when it is carried out: v registers, bit r for register r, and nothing else of the
 * hart but what it reads of vl, vtype and vstart.  scratch: v registers of the machine, not of hart->v,
 * that run() itself computes in; whoever calls it keeps them, and vl and vtype.  floats: it computes with
 * floating-point numbers, which round to nearest then and raise no flag. */
struct vertebra_touched {
  uint32_t read, written, scratch;
  int floats;
};

struct vertebra_emulator {
  /* Called once, before all others: what the processor has of the extensions that the emulator
   * serves, names between plus signs, up to a comma or the end.  May be NULL. */
  void (*configure)(const char *extensions);
  enum vertebra_emulation (*run)(uint32_t word, struct vertebra_hart *hart);
  /* Whether `word` is legal, as far as the word alone tells, and touches vector registers only; run() may
   * not use hart.x, .f and .fcsr then.  May be NULL. */
  int (*touches)(uint32_t word, struct vertebra_touched *touched);
  /* Tells how many instructions were carried out, by mnemonic.  May be NULL. */
  void (*counts)(void (*tell)(const char *mnemonic, uint64_t count));
  /* Called after a launch: what its programs have left undone, in words, or NULL.  Forgets it.  May be NULL. */
  const char *(*unfinished)(void);
};

#endif
