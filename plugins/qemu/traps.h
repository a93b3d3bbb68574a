/* Faults in kernels: instructions to emulate, and everything else to report. */
#ifndef VERTEBRA_TRAPS_H
#define VERTEBRA_TRAPS_H

#include <signal.h>
#include <stdint.h>

/* Installs the handlers.  `emulators` names those to use, separated by commas; with any, the
 * processor must have vector registers.  Returns the first name that this program does not have, or NULL. */
const char *traps_install(const char *emulators);

/* Gives the calling thread a stack of its own for handlers, so that a full stack can be reported. */
void traps_prepare_thread(void);

/* Provided by the program: tells the outside and ends the process.  Async-signal-safe. */
_Noreturn void report_fault(int signal, uint64_t pc, uint64_t address, uint32_t word);

#endif
