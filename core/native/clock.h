/* Time and, where the machine lets a program read them, cycles and instructions of the hart it runs on. */
#ifndef VERTEBRA_CLOCK_H
#define VERTEBRA_CLOCK_H

#include <stdint.h>

/* cycles, instructions: of `hart`, since any moment; -1 where they cannot be read.  They mean something only
 * as differences on one hart, which is -1 where it does not matter. */
struct vertebra_reading {
  int64_t ticks, cycles, instructions;
  int32_t hart;
};

void vertebra_read_clock(struct vertebra_reading *reading);

/* A moment by both clocks, to turn ticks into nanoseconds of the monotonic clock. */
struct vertebra_moment {
  int64_t ticks, nanoseconds;
};

struct vertebra_moment vertebra_clock_moment(void);
int64_t vertebra_nanoseconds(int64_t ticks, const struct vertebra_moment *moment);

/* What the clock is, and what it cannot read, in words. */
const char *vertebra_clock_name(void);

/* What counts instructions instead of the machine, where something outside does; NULL otherwise. */
extern const volatile uint64_t *vertebra_instruction_count;

#endif
