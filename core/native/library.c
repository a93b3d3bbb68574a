/* Launches that end in a status and a message, for libraries of kernels. */
#define _GNU_SOURCE
#include "library.h"
#include "pool.h"
#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { MOST_THREADS = 4096 };

static _Thread_local struct vertebra_sentence message;

void vertebra_say(struct vertebra_sentence *to, const char *format, ...) {
  va_list values;
  va_start(values, format);
  int more = vsnprintf(to->text + to->used, sizeof to->text - to->used, format, values);
  va_end(values);
  if (more > 0)
    to->used += (unsigned)more < sizeof to->text - to->used ? (unsigned)more : sizeof to->text - 1 - to->used;
}

int vertebra_refuse(int status, const struct vertebra_sentence *why) {
  message = *why;
  return status;
}

const char *vertebra_library_message(void) { return message.text; }

static int processors(void) {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

/* The answer for a processor does not change: a launch asks once. */
static int lacks(const char *needs, struct vertebra_sentence *why) {
  static _Atomic(const char *) fulfilled;
  if (atomic_load_explicit(&fulfilled, memory_order_relaxed) == needs)
    return 0;
  if (vertebra_processor_lacks(needs, why))
    return 1;
  atomic_store_explicit(&fulfilled, needs, memory_order_relaxed);
  return 0;
}

int vertebra_library_launch(const char *name, const char *processor, vertebra_kernel *kernel,
                            const uint64_t *slots, int64_t scratch_bytes, int32_t grid_x, int32_t grid_y,
                            int32_t grid_z, int32_t threads) {
  struct vertebra_sentence why = {.used = 0};
  vertebra_say(&why, "%s on grid (%" PRId32 ", %" PRId32 ", %" PRId32 "): ", name, grid_x, grid_y, grid_z);
  if (grid_x < 0 || grid_y < 0 || grid_z < 0) {
    vertebra_say(&why, "a size is negative");
    return vertebra_refuse(VERTEBRA_BAD_ARGUMENT, &why);
  }
  if (threads < 0 || threads > MOST_THREADS) {
    vertebra_say(&why, "%" PRId32 " threads; use 1 to %d, or 0 for as many as there are processors", threads,
                 MOST_THREADS);
    return vertebra_refuse(VERTEBRA_BAD_ARGUMENT, &why);
  }
  if (lacks(processor, &why))
    return vertebra_refuse(VERTEBRA_WRONG_PROCESSOR, &why);
  int status = vertebra_launch(kernel, slots, scratch_bytes, grid_x, grid_y, grid_z,
                               threads ? threads : processors());
  switch (status) {
  case 0:
    return VERTEBRA_OK;
  case ENOMEM:
    vertebra_say(&why, "there is no memory for %" PRId64 " bytes of scratch for each thread", scratch_bytes);
    return vertebra_refuse(VERTEBRA_NO_MEMORY, &why);
  case EOVERFLOW:
    vertebra_say(&why, "there are more than 2^62 programs");
    return vertebra_refuse(VERTEBRA_BAD_ARGUMENT, &why);
  default:
    vertebra_say(&why, "%s", vertebra_failure());
    return vertebra_refuse(VERTEBRA_PROGRAM_FAILED, &why);
  }
}
