/* Emulated instructions in a program that runs under QEMU by itself, without the runner.
 *
 * EMULATION is the list of emulators to use, as of traps.h; who builds the program makes it. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pool.h"
#include "traps.h"

_Noreturn void report_fault(int signal, uint64_t pc, uint64_t address, uint32_t word) {
  char text[160];
  int length = snprintf(text, sizeof text,
                        "vertebra: signal %d at pc %#" PRIx64 ", address %#" PRIx64 ", instruction %#010" PRIx32 "\n",
                        signal, pc, address, word);
  if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0)
    _exit(1);
  _exit(128 + signal);
}

static void install(void) {
  const char *unknown = traps_install(EMULATION);
  if (unknown)
    fprintf(stderr, "vertebra: there is no emulator for %s\n", unknown);
  vertebra_pool_on_thread_start = traps_prepare_thread;
}

void vertebra_start_emulation(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, install);
}
