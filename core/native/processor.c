/* Whether this processor is one that a library is made for.
 *
 * Needs are words: on x86-64 LLVM's names of vector extensions, on RISC-V `vlen=256` for vector registers
 * of that many bits.  What cannot be found out is taken to be there. */
#define _GNU_SOURCE
#include "library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__riscv)
#include <setjmp.h>
#include <signal.h>

static _Thread_local sigjmp_buf out;

static void on_illegal_instruction(int signal) {
  (void)signal;
  siglongjmp(out, 1);
}

/* Bits in a vector register, 0 where there is none: reading its size traps then. */
static long vector_bits(void) {
  struct sigaction probing = {.sa_handler = on_illegal_instruction}, before;
  volatile unsigned long bytes = 0;
  if (sigaction(SIGILL, &probing, &before))
    return -1;
  if (!sigsetjmp(out, 1)) {
    unsigned long found;
    __asm__ volatile("csrr %0, 0xc22" : "=r"(found)); /* vlenb */
    bytes = found;
  }
  sigaction(SIGILL, &before, NULL);
  return (long)(8 * bytes);
}

static int lacks(const char *need, struct vertebra_sentence *what) {
  if (strncmp(need, "vlen=", 5))
    return 0;
  long wanted = strtol(need + 5, NULL, 10), found = vector_bits();
  if (found < 0 || found == wanted)
    return 0;
  if (found)
    vertebra_say(what, "it is made for vector registers of %ld bits, this processor's have %ld", wanted, found);
  else
    vertebra_say(what, "it is made for vector registers of %ld bits, this processor has none", wanted);
  return 1;
}

#elif defined(__x86_64__)

/* The next word of Linux's list of flags without its underscores; sse4_1 is LLVM's sse4.1. */
static const char *next_flag(const char *at, char *flag, size_t room) {
  size_t used = 0;
  at += strspn(at, " \t:");
  for (; *at && !strchr(" \t\n", *at); at++)
    if (*at != '_' && used < room - 1)
      flag[used++] = *at;
  flag[used] = 0;
  return at;
}

static char *flags_of_processor(void) {
  FILE *file = fopen("/proc/cpuinfo", "r");
  char *line = NULL;
  size_t room = 0;
  while (file && getline(&line, &room, file) > 0)
    if (!strncmp(line, "flags", 5)) {
      fclose(file);
      return line;
    }
  if (file)
    fclose(file);
  free(line);
  return NULL;
}

static int lacks(const char *need, struct vertebra_sentence *what) {
  char *flags = flags_of_processor(), wanted[32], flag[32];
  if (!flags)
    return 0;
  size_t used = 0;
  for (const char *at = need; *at && used < sizeof wanted - 1; at++)
    if (*at != '.' && *at != '-')
      wanted[used++] = *at;
  wanted[used] = 0;
  int found = 0;
  for (const char *at = flags + strlen("flags"); *at && *at != '\n' && !found;) {
    at = next_flag(at, flag, sizeof flag);
    found = !strcmp(flag, wanted);
  }
  free(flags);
  if (!found)
    vertebra_say(what, "it is made for a processor with %s, which this one has not", need);
  return !found;
}

#else
static int lacks(const char *need, struct vertebra_sentence *what) {
  (void)need, (void)what;
  return 0;
}
#endif

int vertebra_processor_lacks(const char *needs, struct vertebra_sentence *what) {
  char need[64];
  for (const char *at = needs; *(at += strspn(at, " "));) {
    size_t length = strcspn(at, " ");
    if (length < sizeof need) {
      memcpy(need, at, length);
      need[length] = 0;
      if (lacks(need, what))
        return 1;
    }
    at += length;
  }
  return 0;
}
