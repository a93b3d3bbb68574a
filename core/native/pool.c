#define _GNU_SOURCE
#include "record.h"
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  ALIGNMENT = 128,
  CHUNKS_PER_THREAD = 8, /* enough to even out unequal programs, few enough to keep the counter cold */
  STACK_BYTES = 16 << 20,
  MOST_WORKERS = 1024, /* each has a stack; so many programs or iterations can wait at once */
  SPARE = 16,          /* of those that were started for others that wait, this many stay for the next time */
};

pthread_mutex_t vertebra_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static struct job *open_jobs; /* jobs that workers may join */
static atomic_int openings;   /* sum of `wanted`, so that an idle worker can look without the lock */
static int workers, idle;     /* idle: those inside of no job, or still starting */
static int kept;              /* workers that launches asked for; more are there only for those that wait */
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
static void before_fork(void) { pthread_mutex_lock(&vertebra_lock); }
static void in_parent(void) { pthread_mutex_unlock(&vertebra_lock); }
static void in_child(void) {
  pthread_mutex_init(&vertebra_lock, NULL);
  pthread_cond_init(&work, NULL);
  pthread_cond_init(&done, NULL);
  pthread_cond_init(&vertebra_moved, NULL);
  open_jobs = NULL;
  atomic_store(&openings, 0);
  workers = idle = kept = 0;
}

static void initialise(void) {
  pthread_key_create(&scratch_key, free);
  pthread_atfork(before_fork, in_parent, in_child);
}

_Thread_local struct run *vertebra_running;

/* Of this thread's last launch that failed. */
static _Thread_local char failure[sizeof((struct stream *)0)->failure];

const char *vertebra_failure(void) { return failure; }

/* Nothing more begins in the stream, and who waits goes on, to find that it has failed.  Needs the lock. */
static void stop(struct stream *stream, int error) {
  int none = 0;
  atomic_compare_exchange_strong(&stream->error, &none, error);
  for (struct waiter *w = stream->waiters; w; w = w->after) {
    w->released = true;
    stream->running++;
  }
  stream->waiters = NULL;
  pthread_cond_broadcast(&vertebra_moved);
}

void vertebra_stream_fail(struct stream *stream, const char *format, ...) {
  if (!atomic_load(&stream->error)) {
    va_list values;
    va_start(values, format);
    vsnprintf(stream->failure, sizeof stream->failure, format, values);
    va_end(values);
  }
  stop(stream, VERTEBRA_FAILED);
}

void vertebra_fail(const char *message, int32_t x, int32_t y, int32_t z) {
  struct run *run = vertebra_running;
  if (!run) {
    fprintf(stderr, "program (%" PRId32 ", %" PRId32 ", %" PRId32 "): %s\n", x, y, z, message);
    abort();
  }
  pthread_mutex_lock(&vertebra_lock);
  vertebra_stream_fail(run->job->stream, "program (%" PRId32 ", %" PRId32 ", %" PRId32 "): %s", x, y, z,
                       message);
  pthread_mutex_unlock(&vertebra_lock);
  /* A kernel owns nothing that would have to be given back, and stops where it failed. */
  _longjmp(run->out, 1);
}

static void run_chunks(struct job *job, void *memory) {
  if (!memory && job->scratch_bytes > 0 && !(memory = scratch_of_thread(job->scratch_bytes))) {
    pthread_mutex_lock(&vertebra_lock);
    stop(job->stream, ENOMEM);
    pthread_mutex_unlock(&vertebra_lock);
    return;
  }
  struct run run = {.job = job, .outer = vertebra_running};
  vertebra_running = &run;
  while (!_setjmp(run.out)) {
    int64_t begin = atomic_fetch_add_explicit(&job->next, job->chunk, memory_order_relaxed);
    if (begin >= job->count || atomic_load_explicit(&job->stream->error, memory_order_relaxed))
      break;
    int64_t end = job->count - begin > job->chunk ? begin + job->chunk : job->count;
    run.at = begin;
    if (job->kernel)
      job->kernel(job->args, memory, job->first + begin, job->first + end, job->grid_x, job->grid_y,
                  job->grid_z);
    else
      job->task(job->args, job->first + begin * job->step,
                end == job->count ? job->bound : job->first + end * job->step, memory);
  }
  vertebra_running = run.outer;
}

static struct job *joinable(void) {
  for (struct job *job = open_jobs; job; job = job->after)
    if (job->wanted > 0)
      return job;
  return NULL;
}

static void join(struct job *job) {
  job->wanted--;
  job->stream->invited--;
  atomic_fetch_sub(&openings, 1);
  idle--;
  atomic_fetch_add(&job->helpers, 1);
  job->stream->running++;
}

static void leave(struct job *job) {
  idle++;
  job->stream->running--;
  if (atomic_fetch_sub(&job->helpers, 1) == 1 && job->waited_for) {
    job->waited_for = false;
    job->stream->running++; /* its starter, which wakes */
    pthread_cond_broadcast(&done);
  }
  vertebra_stream_look_on(job->stream);
}

static void *worker(void *unused) {
  if (vertebra_pool_on_thread_start)
    vertebra_pool_on_thread_start();
  pthread_mutex_lock(&vertebra_lock);
  for (;;) {
    struct job *job = joinable();
    if (!job && workers > kept + SPARE)
      break;
    if (!job) {
      pthread_mutex_unlock(&vertebra_lock);
      for (int i = 0; i < VERTEBRA_SPINS && !atomic_load_explicit(&openings, memory_order_relaxed); i++)
        vertebra_relax();
      pthread_mutex_lock(&vertebra_lock);
      while (!(job = joinable()))
        pthread_cond_wait(&work, &vertebra_lock);
    }
    join(job);
    pthread_mutex_unlock(&vertebra_lock);
    run_chunks(job, NULL);
    pthread_mutex_lock(&vertebra_lock);
    leave(job);
  }
  workers--;
  idle--;
  pthread_mutex_unlock(&vertebra_lock);
  return unused;
}

/* Starts workers until there are `count`; fewer are no error, only slower.  Needs the lock. */
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
    workers++, idle++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

/* Lets `helpers` more threads join the job.  Needs the lock. */
static void invite(struct job *job, int helpers) {
  if (!job->open) {
    job->open = true;
    job->after = open_jobs;
    open_jobs = job;
  }
  job->wanted += helpers;
  job->stream->invited += helpers;
  atomic_fetch_add(&openings, helpers);
  if (helpers == 1)
    pthread_cond_signal(&work);
  else
    pthread_cond_broadcast(&work);
}

/* Waits until all that others took of the job has ended.  The caller has found nothing left to take. */
static void finish(struct job *job) {
  if (!job->open) /* nobody else opens it unless this thread waits at a barrier */
    return;
  pthread_mutex_lock(&vertebra_lock);
  struct job **link = &open_jobs;
  while (*link != job)
    link = &(*link)->after;
  *link = job->after;
  atomic_fetch_sub(&openings, job->wanted);
  job->stream->invited -= job->wanted;
  if (atomic_load(&job->helpers)) {
    pthread_mutex_unlock(&vertebra_lock);
    for (int i = 0; i < VERTEBRA_SPINS && atomic_load_explicit(&job->helpers, memory_order_relaxed); i++)
      vertebra_relax();
    pthread_mutex_lock(&vertebra_lock);
  }
  if (atomic_load(&job->helpers)) {
    job->waited_for = true;
    job->stream->running--;
    vertebra_stream_look_on(job->stream);
    while (job->waited_for)
      pthread_cond_wait(&done, &vertebra_lock);
  }
  /* The lock also orders the helpers' writes before our return. */
  pthread_mutex_unlock(&vertebra_lock);
}

/* A job that has something left to begin, from the innermost ones that wait outwards. */
static struct job *unbegun(const struct stream *stream) {
  for (struct waiter *w = stream->waiters; w; w = w->after)
    for (struct run *run = w->run; run; run = run->job->caller)
      if (atomic_load(&run->job->next) < run->job->count)
        return run->job;
  return NULL;
}

void vertebra_stream_look_on(struct stream *stream) {
  if (stream->running || !stream->waiters)
    return;
  if (!stream->invited) {
    struct job *job = unbegun(stream);
    if (!job) {
      char text[sizeof stream->failure];
      vertebra_describe_waiters(stream, text, sizeof text);
      vertebra_stream_fail(stream, "%s", text);
      return;
    }
    invite(job, 1);
  }
  /* The others may be busy for long, or wait themselves. */
  int wanted = workers - idle + atomic_load(&openings);
  grow(wanted < MOST_WORKERS ? wanted : MOST_WORKERS);
  if (!idle)
    vertebra_stream_fail(stream, "%d threads wait at barriers, and no more can be started for the programs or"
                                 " iterations that have not begun", workers);
}

static int least(int64_t a, int64_t b) { return (int)(a < b ? a : b); }

/* Asks for `helpers` more threads, as far as the launch may have them. */
static void share(struct job *job, int helpers) {
  if (helpers > 0) {
    pthread_mutex_lock(&vertebra_lock);
    if (kept < job->stream->threads - 1)
      kept = job->stream->threads - 1;
    grow(least(workers - idle + helpers, kept));
    invite(job, helpers);
    pthread_mutex_unlock(&vertebra_lock);
  }
}

/* How many numbers a thread takes at once, where they do not wait for each other. */
static int64_t chunk_of(int64_t count, int threads) {
  int64_t chunk = count / ((int64_t)threads * CHUNKS_PER_THREAD);
  return chunk > 0 ? chunk : 1;
}

void vertebra_run_inside(struct job *job, void *memory) {
  struct stream *stream = job->stream = vertebra_running->job->stream;
  job->caller = vertebra_running;
  if (!job->chunk)
    job->chunk = chunk_of(job->count, stream->threads);
  pthread_mutex_lock(&vertebra_lock);
  int64_t free_threads = stream->threads - stream->running - stream->invited;
  pthread_mutex_unlock(&vertebra_lock);
  if (free_threads > 0)
    share(job, least((job->count - 1) / job->chunk, free_threads));
  run_chunks(job, memory);
  finish(job);
  if (atomic_load(&stream->error))
    _longjmp(vertebra_running->out, 1);
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
  threads = threads > 1 ? threads : 1;
  struct stream stream;
  vertebra_open_stream(&stream, threads, threads / least(programs, threads));
  struct job job = {
      .stream = &stream, .kernel = kernel, .args = args, .scratch_bytes = scratch_bytes,
      .grid_x = grid_x, .grid_y = grid_y, .grid_z = grid_z, .count = programs, .chunk = programs,
  };
  void *memory = NULL;
  /* The thread's own block belongs to the launch that this one is inside of. */
  if (vertebra_running && scratch_bytes > 0 && posix_memalign(&memory, ALIGNMENT, (size_t)scratch_bytes))
    return ENOMEM;
  if (threads > 1 && programs > 1) {
    job.chunk = chunk_of(programs, threads);
    share(&job, least((programs - 1) / job.chunk, threads - 1)); /* the first chunk is the caller's */
  }
  run_chunks(&job, memory);
  finish(&job);
  free(memory);
  vertebra_free_shared(&stream);
  vertebra_tell_records(&stream.recording);
  int error = atomic_load(&stream.error);
  if (error == VERTEBRA_FAILED)
    memcpy(failure, stream.failure, sizeof failure);
  return error;
}

int vertebra_launch_request(const struct vertebra_request *request) {
  return vertebra_launch(request->kernel, request->slots, request->scratch_bytes, request->grid_x,
                         request->grid_y, request->grid_z, request->threads);
}
