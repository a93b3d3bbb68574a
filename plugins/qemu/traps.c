#define _GNU_SOURCE
#include "traps.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "emulate.h"

/* EMULATORS is a list of X(name), made by who builds the program. */
#define X(name) extern const struct vertebra_emulator name;
EMULATORS
#undef X

static const struct {
  const char *name;
  const struct vertebra_emulator *emulator;
} table[] = {
#define X(name) {#name, &name},
    EMULATORS
#undef X
    {NULL, NULL},
};

static bool enabled[sizeof table / sizeof *table];

/* The word that is being emulated: what it accesses may not be there. */
static _Thread_local struct {
  uint64_t pc;
  uint32_t word;
  bool running;
} emulated;

/* Reads by halves: a word may straddle two pages. */
static uint32_t word_at(uint64_t pc) {
  const uint16_t *half = (const uint16_t *)pc;
  return (half[0] & 3) == 3 ? half[0] | (uint32_t)half[1] << 16 : half[0];
}

/* Called by the handler below with the saved vector registers and {vl, vtype, vstart}. */
__attribute__((used)) void vertebra_trap(siginfo_t *info, ucontext_t *context, uint8_t *v, uint64_t csr[3],
                                         uint64_t vlenb) {
  uint64_t *gregs = (uint64_t *)context->uc_mcontext.__gregs; /* [0] is the pc */
  uint64_t pc = gregs[0];
  uint32_t word = word_at(pc);
  /* Emulators round to nearest; QEMU is fast while the flag for inexact results is set.  The return
   * from the signal brings the program's own fcsr back. */
  __asm__ volatile("fscsr %0" ::"r"(1));
  struct vertebra_hart hart = {
      .v = v, .vlenb = vlenb, .vl = csr[0], .vtype = csr[1], .vstart = csr[2],
      .x = gregs,
      .f = (uint64_t *)context->uc_mcontext.__fpregs.__d.__f,
      .fcsr = (uint32_t *)&context->uc_mcontext.__fpregs.__d.__fcsr,
  };
  for (int i = 0; table[i].name; i++) {
    if (!enabled[i])
      continue;
    emulated.pc = pc, emulated.word = word, emulated.running = true;
    enum vertebra_emulation result = table[i].emulator->run(word, &hart);
    emulated.running = false;
    if (result == VERTEBRA_NOT_MINE)
      continue;
    if (result == VERTEBRA_ILLEGAL)
      break;
    if (result == VERTEBRA_MISALIGNED)
      report_fault(SIGBUS, pc, hart.address, word);
    gregs[0] = pc + 4;
    csr[0] = hart.vl;
    csr[1] = hart.vtype;
    csr[2] = hart.vstart;
    return;
  }
  report_fault(SIGILL, pc, (uint64_t)info->si_addr, word);
}

/* For cores with vector registers.  The signal frame of QEMU has no vector registers, so the handler itself keeps them: it saves
 * them before any C code can use one, and loads them, as the emulator left them, afterwards.
 * By elements of 64 bits, since QEMU moves element by element, and vs8r.v by bytes.
 * The return from the signal restores x and f registers from the frame, s registers included. */
__attribute__((naked)) static void on_illegal_instruction(int number, siginfo_t *info, void *context) {
  __asm__ volatile(
      ".option push\n"
      ".option arch, +v\n"
      "mv s0, sp\n"
      "mv s3, ra\n"
      "csrr s1, vlenb\n"
      "addi sp, sp, -32\n"
      "csrr t0, vl\n"
      "csrr t1, vtype\n"
      "csrr t2, vstart\n"
      "sd t0, 0(sp)\n"
      "sd t1, 8(sp)\n"
      "sd t2, 16(sp)\n"
      "mv s2, sp\n"
      "csrw vstart, zero\n"
      "slli t0, s1, 5\n"
      "sub sp, sp, t0\n"
      "andi sp, sp, -16\n"
      "slli t0, s1, 3\n"
      "vsetvli t1, zero, e64, m8, ta, ma\n"
      "mv t1, sp\n"
      "vse64.v v0, (t1)\n"
      "add t1, t1, t0\n"
      "vse64.v v8, (t1)\n"
      "add t1, t1, t0\n"
      "vse64.v v16, (t1)\n"
      "add t1, t1, t0\n"
      "vse64.v v24, (t1)\n"
      "mv s4, t0\n"
      "mv s5, sp\n"
      "mv a0, a1\n"
      "mv a1, a2\n"
      "mv a2, sp\n"
      "mv a3, s2\n"
      "mv a4, s1\n"
      "call vertebra_trap\n"
      "vsetvli t1, zero, e64, m8, ta, ma\n"
      "mv t1, s5\n"
      "vle64.v v0, (t1)\n"
      "add t1, t1, s4\n"
      "vle64.v v8, (t1)\n"
      "add t1, t1, s4\n"
      "vle64.v v16, (t1)\n"
      "add t1, t1, s4\n"
      "vle64.v v24, (t1)\n"
      "ld t0, 0(s2)\n"
      "ld t1, 8(s2)\n"
      "ld t2, 16(s2)\n"
      "vsetvl zero, t0, t1\n"
      "csrw vstart, t2\n"
      "mv sp, s0\n"
      "mv ra, s3\n"
      "ret\n"
      ".option pop\n");
}

static void on_fault(int number, siginfo_t *info, void *context) {
  const ucontext_t *at = context;
  uint64_t pc = at->uc_mcontext.__gregs[0];
  if (emulated.running)
    report_fault(number, emulated.pc, (uint64_t)info->si_addr, emulated.word);
  report_fault(number, pc, (uint64_t)info->si_addr, number == SIGILL ? word_at(pc) : 0);
}

const struct vertebra_emulator *traps_emulator_of(uint32_t word, struct vertebra_touched *touched) {
  for (int i = 0; table[i].name; i++)
    if (enabled[i] && table[i].emulator->touches && table[i].emulator->touches(word, touched))
      return table[i].emulator;
  return NULL;
}

void traps_counts(void (*tell)(const char *mnemonic, uint64_t count)) {
  for (int i = 0; table[i].name; i++)
    if (enabled[i] && table[i].emulator->counts)
      table[i].emulator->counts(tell);
}

const char *traps_unfinished(void) {
  const char *found = NULL;
  for (int i = 0; table[i].name; i++)
    if (enabled[i] && table[i].emulator->unfinished) {
      const char *what = table[i].emulator->unfinished();
      found = found ? found : what;
    }
  return found;
}

void traps_prepare_thread(void) {
  stack_t stack = {.ss_size = 32 << 10};
  if ((stack.ss_sp = malloc(stack.ss_size)))
    sigaltstack(&stack, NULL);
}

static const char *enable(const char *names) {
  while (*names) {
    size_t length = strcspn(names, ":,");
    const char *end = names + strcspn(names, ",");
    bool known = false;
    for (int i = 0; table[i].name; i++)
      if (strlen(table[i].name) == length && !strncmp(table[i].name, names, length)) {
        known = enabled[i] = true;
        if (table[i].emulator->configure)
          table[i].emulator->configure(names[length] == ':' ? names + length + 1 : end);
      }
    if (!known)
      return names;
    names = end + (*end == ',');
  }
  return NULL;
}

/* By the system call itself: musl's sigaction as zig builds it passes a structure with a restorer, which RISC-V's
 * has not, so that the restorer's address becomes the set of signals that are blocked in the handler.  Which those
 * are then depends on where the linker put it, and a fault in an emulator may be one. */
static void handle(int signal, void (*handler)(int, siginfo_t *, void *), unsigned long flags) {
  const struct {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags, mask;
  } action = {handler, flags | SA_SIGINFO | SA_NODEFER, 0};
  syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof action.mask);
}

const char *traps_install(const char *emulators) {
  const char *unknown = enable(emulators);
  if (unknown)
    return unknown;
  const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGILL};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    handle(faults[i], on_fault, SA_ONSTACK);
  /* On the thread's own stack: the saved registers are large, and emulators may recurse into faults. */
  if (*emulators)
    handle(SIGILL, on_illegal_instruction, 0);
  traps_prepare_thread();
  return NULL;
}
