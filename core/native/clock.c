/* On RISC-V the time is that of `rdtime`, whose frequency the device tree tells.  A kernel may forbid
 * programs to read `cycle` and `instret`, which is then an illegal instruction: it is tried once.  Elsewhere, and
 * under emulation (VERTEBRA_EMULATED), where these registers are the emulator's, the monotonic clock serves.
 */
#define _GNU_SOURCE
#include "clock.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#ifndef VERTEBRA_TIMEBASE
#define VERTEBRA_TIMEBASE "/proc/device-tree/cpus/timebase-frequency"
#endif

enum { BILLION = 1000000000 };

const volatile uint64_t *vertebra_instruction_count;

static struct {
  pthread_once_t once;
  int64_t hertz; /* of rdtime; 0: the monotonic clock is read instead */
  bool cycles, instructions;
  char name[160];
} clock_state = {.once = PTHREAD_ONCE_INIT, .name = "the monotonic clock"};

static int64_t monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * BILLION + now.tv_nsec;
}

#if defined(__riscv) && !defined(VERTEBRA_EMULATED)

#define READER(name, instruction)                                                                            \
  static int64_t name(void) {                                                                                \
    int64_t value;                                                                                           \
    __asm__ volatile(instruction " %0" : "=r"(value));                                                       \
    return value;                                                                                            \
  }
READER(read_time, "rdtime")
READER(read_cycles, "rdcycle")
READER(read_instructions, "rdinstret")

static sigjmp_buf refused;
static void refuse(int signal) {
  (void)signal;
  siglongjmp(refused, 1);
}

/* Whether `reader` runs without being an illegal instruction. */
static bool allowed(int64_t (*reader)(void)) {
  struct sigaction mine = {.sa_handler = refuse}, theirs;
  sigaction(SIGILL, &mine, &theirs);
  bool runs = !sigsetjmp(refused, 1);
  if (runs)
    reader();
  sigaction(SIGILL, &theirs, NULL);
  return runs;
}

/* A big-endian number of 4 or 8 bytes; 0 where the file is not there or holds something else. */
static int64_t timebase(void) {
  unsigned char bytes[9];
  FILE *file = fopen(VERTEBRA_TIMEBASE, "rb");
  if (!file)
    return 0;
  size_t count = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  uint64_t value = 0;
  for (size_t i = 0; i < count; i++)
    value = value << 8 | bytes[i];
  return (count == 4 || count == 8) && value <= INT64_MAX ? (int64_t)value : 0;
}

static void find_clock(void) {
  int64_t hertz = timebase();
  if (hertz && allowed(read_time))
    clock_state.hertz = hertz;
  clock_state.cycles = allowed(read_cycles);
  clock_state.instructions = allowed(read_instructions);
  int used = clock_state.hertz
                 ? snprintf(clock_state.name, sizeof clock_state.name, "rdtime at %lld Hz", (long long)hertz)
                 : snprintf(clock_state.name, sizeof clock_state.name,
                            "the monotonic clock, as the device tree tells no frequency of rdtime");
  const char *missing = clock_state.cycles ? clock_state.instructions ? "" : "rdinstret"
                        : clock_state.instructions ? "rdcycle" : "rdcycle and rdinstret";
  if (*missing)
    snprintf(clock_state.name + used, sizeof clock_state.name - (size_t)used,
             "; this system forbids programs %s", missing);
}

#else

static int64_t read_time(void) { return 0; }
static int64_t read_cycles(void) { return -1; }
static int64_t read_instructions(void) { return -1; }
static void find_clock(void) {}

#endif

void vertebra_read_clock(struct vertebra_reading *reading) {
  pthread_once(&clock_state.once, find_clock);
  bool counts = clock_state.cycles || clock_state.instructions;
  *reading = (struct vertebra_reading){
      .ticks = clock_state.hertz ? read_time() : monotonic(),
      .cycles = clock_state.cycles ? read_cycles() : -1,
      .instructions = vertebra_instruction_count ? (int64_t)*vertebra_instruction_count
                      : clock_state.instructions ? read_instructions()
                                                 : -1,
      .hart = counts ? sched_getcpu() : -1,
  };
}

struct vertebra_moment vertebra_clock_moment(void) {
  struct vertebra_reading now;
  vertebra_read_clock(&now);
  return (struct vertebra_moment){now.ticks, clock_state.hertz ? monotonic() : now.ticks};
}

int64_t vertebra_nanoseconds(int64_t ticks, const struct vertebra_moment *moment) {
  if (!clock_state.hertz)
    return ticks;
  return moment->nanoseconds + (int64_t)((__int128)(ticks - moment->ticks) * BILLION / clock_state.hertz);
}

const char *vertebra_clock_name(void) {
  pthread_once(&clock_state.once, find_clock);
  return clock_state.name;
}
