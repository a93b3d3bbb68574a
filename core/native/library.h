/* What the launch functions of a library call; those are written by core/library/dispatch.py. */
#ifndef VERTEBRA_LIBRARY_H
#define VERTEBRA_LIBRARY_H

#include <stdint.h>

/* A sentence that is put together piece by piece, as long as it has room. */
struct vertebra_sentence {
  char text[1024];
  unsigned used;
};

void vertebra_say(struct vertebra_sentence *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps the sentence as the calling thread's message and returns `status`. */
int vertebra_refuse(int status, const struct vertebra_sentence *why);

/* What the calling thread's last launch that did not return VERTEBRA_OK says. */
const char *vertebra_library_message(void);

/* Launches a kernel (see core/abi.py) on `threads` threads, 0 for as many as there are processors for this
 * process.  name: what messages call it.  processor: what it needs, as in processor.c.  Returns a status. */
int vertebra_library_launch(const char *name, const char *processor,
                            void (*kernel)(const uint64_t *, void *, int64_t, int64_t, int32_t, int32_t, int32_t),
                            const uint64_t *slots, int64_t scratch_bytes, int32_t grid_x, int32_t grid_y,
                            int32_t grid_z, int32_t threads);

/* Says what this processor lacks of `needs`, words between spaces, and returns 1; or returns 0. */
int vertebra_processor_lacks(const char *needs, struct vertebra_sentence *what);

/* Where printed text goes; see services.h. */
extern void (*vertebra_print_sink)(const char *text);

#endif
