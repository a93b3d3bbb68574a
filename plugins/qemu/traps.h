/* Faults in kernels: instructions to emulate, and everything else to report. */
#ifndef VERTEBRA_TRAPS_H
#define VERTEBRA_TRAPS_H

#include <signal.h>
#include <stdint.h>

#include "emulate.h"

/* Installs the handlers.  `emulators` names those to use, separated by commas, each with a colon and what it
 * shall serve (see emulate.h) behind it; with any, the processor must have vector registers.
 * Returns the first name that this program does not have, or NULL. */
const char *traps_install(const char *emulators);

/* The emulator in use that carries out `word` on vector registers alone, and which ones; or NULL. */
const struct vertebra_emulator *traps_emulator_of(uint32_t word, struct vertebra_touched *touched);

/* Tells how many instructions each emulator in use has carried out. */
void traps_counts(void (*tell)(const char *mnemonic, uint64_t count));

/* What the programs of the launch that has ended have left undone, in words, or NULL.  Forgets it. */
const char *traps_unfinished(void);

/* Gives the calling thread a stack of its own for handlers, so that a full stack can be reported. */
void traps_prepare_thread(void);

/* Provided by the program: tells the outside and ends the process.  Async-signal-safe. */
_Noreturn void report_fault(int signal, uint64_t pc, uint64_t address, uint32_t word);

#endif
