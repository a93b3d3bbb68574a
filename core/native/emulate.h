/* Instructions that the processor, or its emulator, does not have, carried out in software.
 *
 * An emulator is a function of one instruction word and the registers it may touch.  The
 * runner's trap handler saves the registers, asks one emulator after the other, and loads them back.
 */
#ifndef VERTEBRA_EMULATE_H
#define VERTEBRA_EMULATE_H

#include <stdint.h>

/* The registers of the hart at the trapping instruction. */
struct vertebra_hart {
  uint8_t *v;       /* v0 .. v31, vlenb bytes each, one after the other */
  uint64_t vlenb;   /* bytes in one vector register */
  uint64_t vl;      /* elements that an instruction works on */
  uint64_t vtype;   /* bit 63 vill, 7 vma, 6 vta, 5:3 log2(SEW/8), 2:0 log2(LMUL), signed */
  uint64_t vstart;  /* first element to work on; an emulator that is done leaves 0 */
  uint64_t *x;      /* x[1] .. x[31]; x[0] is not a register */
  uint64_t *f;      /* f[0] .. f[31], narrower values NaN-boxed */
  uint32_t *fcsr;   /* 7:5 rounding mode, 4:0 accrued exceptions NV DZ OF UF NX */
};

enum vertebra_emulation {
  VERTEBRA_NOT_MINE, /* this emulator does not know the word; nothing was changed */
  VERTEBRA_DONE,     /* carried out: the program goes on after the word */
  VERTEBRA_ILLEGAL,  /* the word is reserved in this state (vtype, register numbers) */
};

typedef enum vertebra_emulation vertebra_emulator(uint32_t word, struct vertebra_hart *hart);

#endif
