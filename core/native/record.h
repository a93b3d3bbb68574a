/* What a launch keeps of the scopes that its kernel enters and leaves. */
#ifndef VERTEBRA_RECORD_H
#define VERTEBRA_RECORD_H

#include <stdatomic.h>
#include <stdint.h>

struct recording;

/* Before the records of a launch; core/profile/records.py reads both.  The names come last: texts with their NUL,
 * the first of which is the clock's. */
struct vertebra_records {
  int64_t ended; /* when the launch had, in nanoseconds of the monotonic clock */
  int64_t lost;  /* records that did not fit */
  int64_t count, names_bytes;
};

struct vertebra_record {
  int64_t nanoseconds; /* of the monotonic clock */
  int64_t cycles, instructions; /* as clock.h has them */
  int64_t name; /* its number among the names */
  int32_t hart;
  int32_t start;  /* 1, or 0 for an end */
  int32_t thread; /* a number */
  int32_t depth;  /* of parallel loops around it */
  int32_t x, y, z, unused;
};

/* Tells what was recorded, if anything, and gives its memory back. */
void vertebra_tell_records(_Atomic(struct recording *) *recording);

/* Receives it, in several pieces, on the thread that launched; where not set, nobody does. */
extern void (*vertebra_record_sink)(const void *piece, int64_t bytes);

#endif
