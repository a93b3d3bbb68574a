/* Runs the programs of a kernel's grid on a pool of threads. */
#ifndef VERTEBRA_POOL_H
#define VERTEBRA_POOL_H

#include <stdint.h>

/* What a compiled kernel exports; see core/abi.py. */
typedef void vertebra_kernel(const uint64_t *args, void *scratch, int64_t begin, int64_t end,
                             int32_t grid_x, int32_t grid_y, int32_t grid_z);

/* The iterations begin <= i < end of a parallel loop, by the loop's own step.  captures: what its body
 * uses of the program around it.  scratch: as for a kernel, the calling thread's own. */
typedef void vertebra_task(const void *captures, int64_t begin, int64_t end, void *scratch);

/* One launch in one block of memory, as Python packs it. */
struct vertebra_request {
  vertebra_kernel *kernel;
  int64_t scratch_bytes;
  int32_t grid_x, grid_y, grid_z;
  int32_t threads; /* at most this many run at once, the calling thread included */
  uint64_t slots[];
};

enum { VERTEBRA_FAILED = -1 }; /* a program called vertebra_fail */

/* Runs every program of the grid and returns when all have ended.
 *
 * Returns 0, VERTEBRA_FAILED (the programs that had not begun have not run), ENOMEM where a thread
 * gets no scratch memory (some programs may have run), or EOVERFLOW where the number of
 * programs does not fit in 63 bits (none has run).  Any number of threads may call this at once, also in
 * a child after fork().
 */
int vertebra_launch(vertebra_kernel *kernel, const uint64_t *args, int64_t scratch_bytes,
                    int32_t grid_x, int32_t grid_y, int32_t grid_z, int32_t threads);

/* What the calling thread's last launch to return VERTEBRA_FAILED was told by its program. */
const char *vertebra_failure(void);

/* vertebra_launch of a packed request. */
int vertebra_launch_request(const struct vertebra_request *request);

/* Called first in every worker thread, where set before the first launch. */
extern void (*vertebra_pool_on_thread_start)(void);

#endif
