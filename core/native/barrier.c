/* Barriers between the iterations of a parallel loop, and between the programs of a launch. */
#include "stream.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIVE = 0x62617272, RELEASED = 0x72656c64, LISTED = 8, SENTENCE = 256 };

/* Everything but `phases` changes under the lock. */
struct barrier {
  uint32_t state;
  _Atomic uint32_t phases; /* that have ended */
  int32_t flag;            /* the parity before the first */
  int32_t arrived, expected; /* in this phase; expected 0: nobody has said how many */
  int32_t transactions;
  int32_t copies; /* from this one on */
  int32_t id;     /* of a barrier that programs share, else -1 */
  const char *where;
};
_Static_assert(sizeof(struct barrier) <= VERTEBRA_BARRIER_BYTES, "the memory of a barrier");

struct shared_barrier {
  struct barrier barrier;
  struct shared_barrier *after;
};

pthread_cond_t vertebra_moved = PTHREAD_COND_INITIALIZER;

/* Fails as the program that is here does, with a sentence of its own. */
#define FAIL(...)                                                                                            \
  do {                                                                                                       \
    char sentence[SENTENCE];                                                                                 \
    snprintf(sentence, sizeof sentence, __VA_ARGS__);                                                        \
    vertebra_fail(sentence, x, y, z);                                                                        \
  } while (0)

static struct barrier *barrier_of(int64_t handle, const char *where, int32_t x, int32_t y, int32_t z) {
  struct barrier *barrier = (struct barrier *)handle;
  if (!barrier || handle % 8 || barrier->state != LIVE)
    FAIL("%s: %s", where,
         barrier && handle % 8 == 0 && barrier->state == RELEASED
             ? "a barrier is used after its program has released it"
             : "what is used as a barrier is none; smt.mbarrier makes one");
  return barrier;
}

static void check_count(const char *name, int32_t value, int32_t least, const char *where, int32_t x, int32_t y,
                        int32_t z) {
  if (value < least || value > VERTEBRA_MOST_COUNT)
    FAIL("%s: %s is %" PRId32 "; it has to be %" PRId32 " to %d", where, name, value, least,
         (int)VERTEBRA_MOST_COUNT);
}

void vertebra_barrier_init(int64_t handle, int32_t copies, int32_t flag, int32_t arrived, int32_t transactions,
                           int32_t expected, const char *where, int32_t x, int32_t y, int32_t z) {
  if (flag != 0 && flag != 1)
    FAIL("%s: flag is %" PRId32 "; it is a parity, 0 or 1", where, flag);
  check_count("arrive_count", arrived, 0, where, x, y, z);
  check_count("transaction_count", transactions, 0, where, x, y, z);
  check_count("expect_count", expected, 1, where, x, y, z);
  for (int32_t i = 0; i < copies; i++) {
    struct barrier *barrier = (struct barrier *)(handle + (int64_t)i * VERTEBRA_BARRIER_BYTES);
    *barrier = (struct barrier){.state = LIVE, .flag = flag, .arrived = arrived, .expected = expected,
                                .transactions = transactions, .copies = copies - i, .id = -1, .where = where};
  }
}

int64_t vertebra_barrier_at(int64_t handle, int32_t index, const char *where, int32_t x, int32_t y, int32_t z) {
  struct barrier *barriers = barrier_of(handle, where, x, y, z);
  if (index < 0 || index >= barriers->copies)
    FAIL("%s: index %" PRId32 " of %" PRId32 " barriers; use 0 to %" PRId32, where, index, barriers->copies,
         barriers->copies - 1);
  return handle + (int64_t)index * VERTEBRA_BARRIER_BYTES;
}

int64_t vertebra_barrier_global(int32_t id, const char *where, int32_t x, int32_t y, int32_t z) {
  if (!vertebra_running) {
    FAIL("%s: a barrier of all programs needs a launch; call vertebra_launch instead of the kernel", where);
    return 0;
  }
  struct stream *stream = vertebra_running->job->stream;
  pthread_mutex_lock(&vertebra_lock);
  struct shared_barrier *found = stream->shared;
  while (found && found->barrier.id != id)
    found = found->after;
  if (!found && (found = calloc(1, sizeof *found))) {
    found->barrier = (struct barrier){.state = LIVE, .copies = 1, .id = id, .where = where};
    found->after = stream->shared;
    stream->shared = found;
  }
  pthread_mutex_unlock(&vertebra_lock);
  if (!found)
    FAIL("%s: there is no memory for a barrier", where);
  return (int64_t)&found->barrier;
}

void vertebra_free_shared(struct stream *stream) {
  while (stream->shared) {
    struct shared_barrier *first = stream->shared;
    stream->shared = first->after;
    free(first);
  }
}

static bool satisfied(struct barrier *barrier, int32_t flag) {
  uint32_t phases = atomic_load_explicit(&barrier->phases, memory_order_acquire);
  return flag == VERTEBRA_FIRST_PHASE ? phases > 0 : (((uint32_t)barrier->flag + phases) & 1) == (uint32_t)flag;
}

/* Ends the phases that are complete, and lets those go on who waited for that.  Needs the lock. */
static void settle(struct barrier *barrier) {
  while (barrier->expected > 0 && barrier->arrived >= barrier->expected) {
    barrier->arrived -= barrier->expected;
    atomic_fetch_add_explicit(&barrier->phases, 1, memory_order_release);
    struct stream *stream = vertebra_running ? vertebra_running->job->stream : NULL;
    for (struct waiter **link = stream ? &stream->waiters : NULL; link && *link;) {
      struct waiter *waiter = *link;
      if (waiter->barrier == barrier && satisfied(barrier, waiter->flag)) {
        *link = waiter->after;
        waiter->released = true;
        stream->running++;
      } else {
        link = &waiter->after;
      }
    }
    pthread_cond_broadcast(&vertebra_moved);
  }
}

void vertebra_barrier_arrive(int64_t handle, const char *where, int32_t x, int32_t y, int32_t z) {
  struct barrier *barrier = barrier_of(handle, where, x, y, z);
  pthread_mutex_lock(&vertebra_lock);
  barrier->arrived++;
  settle(barrier);
  pthread_mutex_unlock(&vertebra_lock);
}

void vertebra_barrier_expect(int64_t handle, int32_t expected, const char *where, int32_t x, int32_t y,
                             int32_t z) {
  struct barrier *barrier = barrier_of(handle, where, x, y, z);
  check_count("expect_count", expected, 1, where, x, y, z);
  pthread_mutex_lock(&vertebra_lock);
  barrier->expected = expected;
  settle(barrier);
  pthread_mutex_unlock(&vertebra_lock);
}

void vertebra_barrier_wait(int64_t handle, int32_t flag, const char *where, int32_t x, int32_t y, int32_t z) {
  struct barrier *barrier = barrier_of(handle, where, x, y, z);
  if (flag != 0 && flag != 1 && flag != VERTEBRA_FIRST_PHASE)
    FAIL("%s: barrier_wait for flag %" PRId32 "; it is a parity, 0 or 1", where, flag);
  if (satisfied(barrier, flag))
    return;
  if (!vertebra_running)
    FAIL("%s: a program that runs alone waits at a barrier, where nobody can arrive", where);
  struct stream *stream = vertebra_running->job->stream;
  if (stream->threads > 1)
    for (int i = 0; i < VERTEBRA_SPINS; i++) {
      vertebra_relax();
      if (satisfied(barrier, flag))
        return;
    }
  struct waiter self = {.barrier = barrier, .run = vertebra_running, .where = where, .flag = flag,
                        .x = x, .y = y, .z = z};
  pthread_mutex_lock(&vertebra_lock);
  if (!satisfied(barrier, flag) && !atomic_load(&stream->error)) {
    struct waiter **link = &stream->waiters; /* in order of arrival, which is how they are told */
    while (*link)
      link = &(*link)->after;
    *link = &self;
    stream->running--;
    vertebra_stream_look_on(stream);
    while (!self.released)
      pthread_cond_wait(&vertebra_moved, &vertebra_lock);
  }
  pthread_mutex_unlock(&vertebra_lock);
  if (atomic_load(&stream->error))
    _longjmp(vertebra_running->out, 1);
}

void vertebra_barrier_release(int64_t handle) {
  struct barrier *barriers = (struct barrier *)handle;
  if (!barriers || barriers->state != LIVE || barriers->id >= 0)
    return;
  for (int32_t i = barriers->copies; i-- > 0;)
    ((struct barrier *)(handle + (int64_t)i * VERTEBRA_BARRIER_BYTES))->state = RELEASED;
}

/* Appends to text, of which `used` of `room` bytes are taken; returns how many are then. */
static size_t add(char *text, size_t room, size_t used, const char *format, ...) {
  if (used >= room)
    return used;
  va_list values;
  va_start(values, format);
  int more = vsnprintf(text + used, room - used, format, values);
  va_end(values);
  return used + (more > 0 ? (size_t)more : 0);
}

static size_t add_waiter(char *text, size_t room, size_t used, const struct waiter *waiter) {
  used = add(text, room, used, "program (%" PRId32 ", %" PRId32 ", %" PRId32 ")", waiter->x, waiter->y,
             waiter->z);
  if (waiter->run->job->task)
    used = add(text, room, used, " iteration %" PRId64, vertebra_iteration(waiter->run));
  used = add(text, room, used, " at %s", waiter->where);
  if (waiter->flag == VERTEBRA_FIRST_PHASE)
    return used;
  return add(text, room, used, " for flag %" PRId32, waiter->flag);
}

void vertebra_describe_waiters(const struct stream *stream, char *text, size_t room) {
  size_t used = add(text, room, 0, "programs or iterations wait at barriers forever:");
  for (const struct waiter *first = stream->waiters; first; first = first->after) {
    const struct barrier *barrier = first->barrier;
    bool told = false;
    for (const struct waiter *w = stream->waiters; w != first; w = w->after)
      told |= w->barrier == barrier;
    if (told)
      continue;
    used = add(text, room, used, "\nthe barrier");
    if (barrier->id >= 0)
      used = add(text, room, used, " %" PRId32 " of the launch", barrier->id);
    used = add(text, room, used, " made at %s, parity %d, has seen %" PRId32 " of ", barrier->where,
               (barrier->flag + (int)atomic_load((_Atomic uint32_t *)&barrier->phases)) & 1, barrier->arrived);
    used = barrier->expected ? add(text, room, used, "%" PRId32 " arrivals", barrier->expected)
                             : add(text, room, used, "a number of arrivals that barrier_set_expect never said");
    used = add(text, room, used, "; waiting: ");
    int listed = 0, more = 0;
    for (const struct waiter *w = first; w; w = w->after) {
      if (w->barrier != barrier)
        continue;
      if (listed == LISTED) {
        more++;
        continue;
      }
      used = add(text, room, used, listed++ ? ", " : "");
      used = add_waiter(text, room, used, w);
    }
    if (more)
      used = add(text, room, used, " and %d more", more);
  }
}
