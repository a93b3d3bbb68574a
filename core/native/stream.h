/* What the pool, parallel loops and barriers share: a launch and the threads inside of it. */
#ifndef VERTEBRA_STREAM_H
#define VERTEBRA_STREAM_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "pool.h"
#include "services.h"

struct recording;

/* A launch that is under way, with all that its programs start.  It lives on the stack of the
 * thread that launched it.  Everything but `error` changes under `vertebra_lock`. */
struct stream {
  int threads; /* that should run at once */
  int share;   /* of them for one program */
  int running; /* inside, and neither at a barrier nor at the end of a loop that others still run */
  int invited; /* threads that were asked to join one of its jobs and have not come yet */
  struct waiter *waiters;
  struct shared_barrier *shared;
  _Atomic(struct recording *) recording; /* of scopes inside of the kernel (record.h) */
  atomic_int error;
  char failure[1024]; /* what to tell where `error` is VERTEBRA_FAILED */
};

/* Programs of the grid, or iterations of a parallel loop, which any thread may take. */
struct job {
  struct stream *stream;
  vertebra_kernel *kernel; /* or */
  vertebra_task *task;
  const void *args;
  int64_t scratch_bytes;
  int32_t grid_x, grid_y, grid_z;
  int64_t first, step, bound; /* number k stands for first + k * step, below bound */
  int64_t count, chunk;
  _Atomic int64_t next;   /* first number that nobody has taken */
  struct run *caller;     /* what the thread that started it was at; NULL for a launch */
  atomic_int helpers;     /* threads inside, besides the one that started it; changes under the lock */
  int wanted;             /* how many more may join; under the lock */
  bool open, waited_for;  /* in the list of open jobs; its starter sleeps until `helpers` is 0 */
  struct job *after;
};

/* What a thread runs, so that a program which fails gets out of its kernel. */
struct run {
  struct job *job;
  struct run *outer;
  int64_t at; /* the first number of the chunk */
  jmp_buf out;
};

/* A thread at a barrier. */
struct waiter {
  struct barrier *barrier;
  struct run *run;
  const char *where;
  int32_t flag, x, y, z;
  bool released;
  struct waiter *after;
};

extern pthread_mutex_t vertebra_lock;
extern pthread_cond_t vertebra_moved; /* who waited at a barrier may go on */
extern _Thread_local struct run *vertebra_running;

/* Fails the stream with the text that snprintf makes, unless it has failed already.  Needs the lock. */
void vertebra_stream_fail(struct stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* To be called where `running` may have become 0: starts a thread for work that nobody has begun,
 * or fails the stream where all wait for each other.  Needs the lock. */
void vertebra_stream_look_on(struct stream *stream);

/* Says who waits for what, in `text` of `room` bytes.  Needs the lock. */
void vertebra_describe_waiters(const struct stream *stream, char *text, size_t room);

/* The number that a run's first number stands for. */
static inline int64_t vertebra_iteration(const struct run *run) {
  return run->job->first + run->at * run->job->step;
}

void vertebra_free_shared(struct stream *stream);

/* A stream with one thread inside, whose programs may have `share` threads each.
 * `failure`, which is long, is left alone. */
static inline void vertebra_open_stream(struct stream *stream, int threads, int share) {
  memset(stream, 0, offsetof(struct stream, failure));
  stream->threads = threads;
  stream->share = share;
  stream->running = 1;
}

/* Runs `job`, which the running program or iteration started, on this thread and others.
 * memory: scratch for this thread. */
void vertebra_run_inside(struct job *job, void *memory);

/* As long as an idle thread looks before it sleeps: longer than a wake-up, about 10 us. */
enum { VERTEBRA_SPINS = 256 };

static inline void vertebra_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#elif defined(__riscv)
  __asm__ volatile(".insn i 0x0F, 0, x0, x0, 0x010"); /* pause, a hint everywhere */
#endif
}

#endif
