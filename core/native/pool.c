#define _GNU_SOURCE
#include "pool.h"
#include "services.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  ALIGNMENT = 128,
  CHUNKS_PER_THREAD = 8, /* enough to even out unequal programs, few enough to keep the counter cold */
  SPINS = 256,           /* about 10 us: longer than a wake-up between back-to-back launches */
  STACK_BYTES = 16 << 20,
};

/* A launch that is under way.  It lives on the stack of the thread that launched it. */
struct job {
  vertebra_kernel *kernel;
  const uint64_t *args;
  int64_t scratch_bytes;
  int32_t grid_x, grid_y, grid_z;
  int64_t programs, chunk;
  _Atomic int64_t next; /* first program that nobody has taken */
  atomic_int helpers;   /* workers inside the job; changes under `lock` */
  atomic_int error;
  const char *failure; /* what the program `failed` said; set once, by who sets `error` */
  int32_t failed[3];
  int wanted; /* how many workers may still join; under `lock` */
  struct job *after;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static struct job *open_jobs; /* jobs that workers may join */
static atomic_int openings;   /* sum of `wanted`, so that an idle worker can look without the lock */
static int workers;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void (*vertebra_pool_on_thread_start)(void);

/* Scratch memory: one block a thread, kept until the thread ends. */
struct block {
  void *memory;
  int64_t bytes;
};
static _Thread_local struct block scratch;
static pthread_key_t scratch_key;

static void *scratch_of_thread(int64_t bytes) {
  if (bytes <= scratch.bytes)
    return scratch.memory;
  free(scratch.memory);
  scratch = (struct block){0};
  void *memory = NULL;
  size_t rounded = ((size_t)bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  if (posix_memalign(&memory, ALIGNMENT, rounded))
    memory = NULL;
  pthread_setspecific(scratch_key, memory);
  if (memory)
    scratch = (struct block){memory, (int64_t)rounded};
  return memory;
}

/* A child of fork() has only the thread that forked: no workers, nobody else's jobs. */
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void in_parent(void) { pthread_mutex_unlock(&lock); }
static void in_child(void) {
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&work, NULL);
  pthread_cond_init(&done, NULL);
  open_jobs = NULL;
  atomic_store(&openings, 0);
  workers = 0;
}

static void initialise(void) {
  pthread_key_create(&scratch_key, free);
  pthread_atfork(before_fork, in_parent, in_child);
}

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#elif defined(__riscv)
  __asm__ volatile(".insn i 0x0F, 0, x0, x0, 0x010"); /* pause, a hint everywhere */
#endif
}

/* What a thread runs, so that a program which fails gets out of its kernel. */
struct run {
  struct job *job;
  struct run *outer; /* a launch inside of another one, by the sink of what kernels print */
  jmp_buf out;
};
static _Thread_local struct run *running;

static _Thread_local char failure[1024]; /* of this thread's last launch that failed */

const char *vertebra_failure(void) { return failure; }

void vertebra_fail(const char *message, int32_t x, int32_t y, int32_t z) {
  struct run *run = running;
  if (!run) {
    fprintf(stderr, "program (%" PRId32 ", %" PRId32 ", %" PRId32 "): %s\n", x, y, z, message);
    abort();
  }
  struct job *job = run->job;
  int none = 0;
  if (atomic_compare_exchange_strong(&job->error, &none, VERTEBRA_FAILED)) {
    job->failure = message;
    job->failed[0] = x, job->failed[1] = y, job->failed[2] = z;
  }
  atomic_store(&job->next, job->programs);
  /* A kernel owns nothing that would have to be given back, and stops where it failed. */
  _longjmp(run->out, 1);
}

/* The error of a job whose programs have all ended. */
static int outcome(const struct job *job) {
  int error = atomic_load(&job->error);
  if (error == VERTEBRA_FAILED)
    snprintf(failure, sizeof failure, "program (%" PRId32 ", %" PRId32 ", %" PRId32 "): %s", job->failed[0],
             job->failed[1], job->failed[2], job->failure);
  return error;
}

static void run_chunks(struct job *job) {
  void *memory = NULL;
  if (job->scratch_bytes > 0 && !(memory = scratch_of_thread(job->scratch_bytes))) {
    int none = 0;
    atomic_compare_exchange_strong(&job->error, &none, ENOMEM);
    atomic_store(&job->next, job->programs);
    return;
  }
  struct run run = {.job = job, .outer = running};
  running = &run;
  while (!_setjmp(run.out)) {
    int64_t begin = atomic_fetch_add_explicit(&job->next, job->chunk, memory_order_relaxed);
    if (begin >= job->programs)
      break;
    int64_t end = job->programs - begin > job->chunk ? begin + job->chunk : job->programs;
    job->kernel(job->args, memory, begin, end, job->grid_x, job->grid_y, job->grid_z);
  }
  running = run.outer;
}

static struct job *joinable(void) {
  for (struct job *job = open_jobs; job; job = job->after)
    if (job->wanted > 0)
      return job;
  return NULL;
}

static void *worker(void *unused) {
  if (vertebra_pool_on_thread_start)
    vertebra_pool_on_thread_start();
  pthread_mutex_lock(&lock);
  for (;;) {
    struct job *job = joinable();
    if (!job) {
      pthread_mutex_unlock(&lock);
      for (int i = 0; i < SPINS && !atomic_load_explicit(&openings, memory_order_relaxed); i++)
        relax();
      pthread_mutex_lock(&lock);
      while (!(job = joinable()))
        pthread_cond_wait(&work, &lock);
    }
    job->wanted--;
    atomic_fetch_sub(&openings, 1);
    atomic_fetch_add(&job->helpers, 1);
    pthread_mutex_unlock(&lock);
    run_chunks(job);
    pthread_mutex_lock(&lock);
    if (atomic_fetch_sub(&job->helpers, 1) == 1)
      pthread_cond_broadcast(&done);
  }
  return unused;
}

/* Starts workers until there are `count`; fewer are no error, only slower.  Needs `lock`. */
static void grow(int count) {
  if (workers >= count)
    return;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  /* As large as the stack: the frame of a kernel can be larger than a page, and skip a small guard. */
  pthread_attr_setguardsize(&attributes, STACK_BYTES);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  /* Signals sent to the process belong to the program's own threads; faults stay with the culprit. */
  sigset_t blocked, before;
  sigfillset(&blocked);
  const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    sigdelset(&blocked, faults[i]);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  pthread_t thread;
  while (workers < count && !pthread_create(&thread, &attributes, worker, NULL))
    workers++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

static void run_shared(struct job *job, int helpers) {
  pthread_mutex_lock(&lock);
  grow(helpers);
  job->wanted = helpers;
  job->after = open_jobs;
  open_jobs = job;
  atomic_fetch_add(&openings, helpers);
  if (helpers == 1)
    pthread_cond_signal(&work);
  else
    pthread_cond_broadcast(&work);
  pthread_mutex_unlock(&lock);

  run_chunks(job);

  pthread_mutex_lock(&lock);
  struct job **link = &open_jobs;
  while (*link != job)
    link = &(*link)->after;
  *link = job->after;
  atomic_fetch_sub(&openings, job->wanted);
  if (atomic_load(&job->helpers)) {
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < SPINS && atomic_load_explicit(&job->helpers, memory_order_relaxed); i++)
      relax();
    pthread_mutex_lock(&lock);
    while (atomic_load(&job->helpers))
      pthread_cond_wait(&done, &lock);
  }
  /* The lock also orders the helpers' writes before our return. */
  pthread_mutex_unlock(&lock);
}

int vertebra_launch(vertebra_kernel *kernel, const uint64_t *args, int64_t scratch_bytes,
                    int32_t grid_x, int32_t grid_y, int32_t grid_z, int32_t threads) {
  if (grid_x <= 0 || grid_y <= 0 || grid_z <= 0)
    return 0;
  int64_t programs;
  if (__builtin_mul_overflow((int64_t)grid_x * grid_y, (int64_t)grid_z, &programs) ||
      programs > INT64_MAX / 2)
    return EOVERFLOW;
  pthread_once(&once, initialise);
  struct job job = {
      .kernel = kernel, .args = args, .scratch_bytes = scratch_bytes,
      .grid_x = grid_x, .grid_y = grid_y, .grid_z = grid_z, .programs = programs,
  };
  if (threads <= 1 || programs == 1) {
    job.chunk = programs;
    run_chunks(&job);
    return outcome(&job);
  }
  int64_t chunk = programs / ((int64_t)threads * CHUNKS_PER_THREAD);
  job.chunk = chunk > 0 ? chunk : 1;
  int64_t helpers = (programs - 1) / job.chunk; /* chunks besides the caller's first */
  run_shared(&job, helpers < threads - 1 ? (int)helpers : threads - 1);
  return outcome(&job);
}

int vertebra_launch_request(const struct vertebra_request *request) {
  return vertebra_launch(request->kernel, request->slots, request->scratch_bytes, request->grid_x,
                         request->grid_y, request->grid_z, request->threads);
}
