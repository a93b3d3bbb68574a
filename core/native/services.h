/* What a running kernel may ask of the runtime that runs it; see core/abi.py. */
#ifndef VERTEBRA_SERVICES_H
#define VERTEBRA_SERVICES_H

#include <stdint.h>

/* Prints one number, or a text alone, as one line:
 *
 *   pid (x, y, z) idx (i, j) prefix: value
 *
 * what: the text between the indices and the value, a NUL, then in binary: the kind of value
 * (one byte: 'd' signed, 'u' unsigned, 'x' hexadecimal, 'f' the bits of a double, 'p' an address,
 * '-' none), its hexadecimal digits (one byte), the number of dimensions (one byte), and the size
 * of each (int32).  element: the number of the value in its tensor, row by row.
 */
void vertebra_print(const char *what, int32_t x, int32_t y, int32_t z, int64_t element, uint64_t value);

/* Ends the launch, which returns VERTEBRA_FAILED.  Does not return.  message: lives as long as the kernel. */
void vertebra_fail(const char *message, int32_t x, int32_t y, int32_t z);

/* Fails with one of several texts, which lie one behind the other with a NUL behind each.
 * state: in its low byte the number of the text, from 1 on; above it the number that "{}" in the text stands for. */
void vertebra_fail_as(const char *texts, int64_t state, int32_t x, int32_t y, int32_t z);

/* Fails for an access that is out of bounds.  what: the access.  The tensor has the elements first to end - 1. */
void vertebra_out_of_bounds(const char *what, int64_t element, int64_t first, int64_t end, int32_t x, int32_t y,
                            int32_t z);

/* Program (x, y, z) enters (start = 1) or leaves the scope `name` of a profiler.  The name lives as long as
 * the kernel. */
void vertebra_record(const char *name, int32_t start, int32_t x, int32_t y, int32_t z);

/* How many threads run the calling program: 1, or more where the launch has more threads than programs. */
int32_t vertebra_stream_threads(void);

/* Runs the iterations begin, begin + step, ... below end of a parallel loop; returns when all have ended.
 *
 * task: a vertebra_task, which other threads may call, too.  scratch: of scratch_bytes bytes, for the
 * calls on this thread.  together: iterations may wait for each other, so that each gets a thread of
 * its own as soon as all threads wait.
 */
void vertebra_parallel(void (*task)(const void *, int64_t, int64_t, void *), const void *captures,
                       int64_t begin, int64_t end, int64_t step, int64_t scratch_bytes, void *scratch,
                       int32_t together);

/* Runs the programs begin <= p < end of a kernel one by one, so that they may wait for each other.
 * The kernel's own arguments (see core/abi.py), with the kernel first and scratch_bytes before the scratch. */
void vertebra_programs(void (*kernel)(const uint64_t *, void *, int64_t, int64_t, int32_t, int32_t, int32_t),
                       const uint64_t *args, int64_t scratch_bytes, void *scratch, int64_t begin, int64_t end,
                       int32_t grid_x, int32_t grid_y, int32_t grid_z);

/* Barriers.  A handle is the address of VERTEBRA_BARRIER_BYTES bytes, aligned to 8.
 *
 * A phase ends when as many have arrived as the barrier expects; its parity is `flag` at first and
 * changes with every phase.  where: the source position, text that lives as long as the kernel.
 * x, y, z: the program.  What cannot be is told as vertebra_fail does.
 */
enum { VERTEBRA_BARRIER_BYTES = 64, VERTEBRA_MOST_COUNT = 32767, VERTEBRA_FIRST_PHASE = -1 };

/* Makes `copies` barriers alike, one behind the other. */
void vertebra_barrier_init(int64_t barrier, int32_t copies, int32_t flag, int32_t arrived,
                           int32_t transactions, int32_t expected, const char *where, int32_t x, int32_t y,
                           int32_t z);
/* The handle of number `index` of those that one call made. */
int64_t vertebra_barrier_at(int64_t barriers, int32_t index, const char *where, int32_t x, int32_t y,
                            int32_t z);
/* Number `id` of the launch, which all its programs share; all zero at first, expecting nobody yet. */
int64_t vertebra_barrier_global(int32_t id, const char *where, int32_t x, int32_t y, int32_t z);
void vertebra_barrier_arrive(int64_t barrier, const char *where, int32_t x, int32_t y, int32_t z);
/* Until the parity is `flag`; VERTEBRA_FIRST_PHASE: until a phase has ended. */
void vertebra_barrier_wait(int64_t barrier, int32_t flag, const char *where, int32_t x, int32_t y, int32_t z);
void vertebra_barrier_expect(int64_t barrier, int32_t expected, const char *where, int32_t x, int32_t y,
                             int32_t z);
/* What one init made is used no more; 0 is none. */
void vertebra_barrier_release(int64_t barrier);

/* Where printed text goes, a line at a time, from any thread; to standard output where not set. */
extern void (*vertebra_print_sink)(const char *text);

#endif
