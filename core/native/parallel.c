/* Loops whose iterations may run at once, and programs that may wait for each other. */
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>

/* A program that no pool runs, called straight from C, is alone in a stream of its own. */
static void run_alone(struct job *job, void *memory) {
  struct stream stream;
  vertebra_open_stream(&stream, 1, 1);
  struct job outer = {.stream = &stream, .count = 1, .chunk = 1, .next = 1};
  struct run run = {.job = &outer};
  vertebra_running = &run;
  if (!_setjmp(run.out))
    vertebra_run_inside(job, memory);
  vertebra_running = NULL;
  vertebra_free_shared(&stream);
  if (atomic_load(&stream.error)) {
    fprintf(stderr, "%s\n", stream.failure);
    abort();
  }
}

static void run(struct job *job, void *memory) {
  if (vertebra_running)
    vertebra_run_inside(job, memory);
  else
    run_alone(job, memory);
}

int32_t vertebra_stream_threads(void) { return vertebra_running ? vertebra_running->job->stream->share : 1; }

void vertebra_parallel(vertebra_task *task, const void *captures, int64_t begin, int64_t end, int64_t step,
                       int64_t scratch_bytes, void *scratch, int32_t together) {
  if (begin >= end || step <= 0)
    return;
  /* Unsigned: the distance of two 64-bit numbers fits there. */
  int64_t count = (int64_t)(((uint64_t)end - (uint64_t)begin - 1) / (uint64_t)step) + 1;
  struct job job = {
      .task = task, .args = captures, .scratch_bytes = scratch_bytes,
      .first = begin, .step = step, .bound = end, .count = count, .chunk = together,
  };
  run(&job, scratch);
}

void vertebra_programs(vertebra_kernel *kernel, const uint64_t *args, int64_t scratch_bytes, void *scratch,
                       int64_t begin, int64_t end, int32_t grid_x, int32_t grid_y, int32_t grid_z) {
  struct job job = {
      .kernel = kernel, .args = args, .scratch_bytes = scratch_bytes,
      .grid_x = grid_x, .grid_y = grid_y, .grid_z = grid_z,
      .first = begin, .step = 1, .bound = end, .count = end - begin, .chunk = 1,
  };
  run(&job, scratch);
}
