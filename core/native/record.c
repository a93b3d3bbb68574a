#include "record.h"
#include "clock.h"
#include "stream.h"

#include <stdlib.h>

#ifndef VERTEBRA_MOST_RECORDS
#define VERTEBRA_MOST_RECORDS (1 << 18)
#endif
enum { MOST = VERTEBRA_MOST_RECORDS };

void (*vertebra_record_sink)(const void *piece, int64_t bytes);

/* Until they are told, records hold ticks and the addresses of names. */
struct recording {
  struct vertebra_moment began;
  atomic_llong used;
  struct vertebra_record records[MOST]; /* pages that nobody writes cost nothing */
};

static _Atomic(struct recording *) spare; /* of an earlier launch: its pages are there already */

static void give_back(struct recording *recording) { free(atomic_exchange(&spare, recording)); }

static int32_t thread_number(void) {
  static atomic_int threads;
  static _Thread_local int32_t mine;
  if (!mine)
    mine = atomic_fetch_add(&threads, 1) + 1;
  return mine;
}

/* How many parallel loops are around what the thread runs. */
static int32_t depth(void) {
  int32_t found = 0;
  for (const struct run *run = vertebra_running; run && run->job->task; run = run->job->caller)
    found++;
  return found;
}

static struct recording *recording_of(struct stream *stream) {
  struct recording *found = atomic_load(&stream->recording), *none = NULL;
  if (found)
    return found;
  struct recording *mine = atomic_exchange(&spare, NULL);
  if (!mine && !(mine = malloc(sizeof *mine)))
    return NULL;
  mine->began = vertebra_clock_moment();
  atomic_init(&mine->used, 0);
  if (atomic_compare_exchange_strong(&stream->recording, &none, mine))
    return mine;
  give_back(mine);
  return none;
}

void vertebra_record(const char *name, int32_t start, int32_t x, int32_t y, int32_t z) {
  if (!vertebra_running)
    return;
  struct recording *recording = recording_of(vertebra_running->job->stream);
  if (!recording)
    return;
  long long place = atomic_fetch_add(&recording->used, 1);
  if (place >= MOST)
    return;
  struct vertebra_reading now;
  vertebra_read_clock(&now);
  recording->records[place] = (struct vertebra_record){
      .nanoseconds = now.ticks, .cycles = now.cycles, .instructions = now.instructions, .name = (intptr_t)name,
      .hart = now.hart, .start = start, .thread = thread_number(), .depth = depth(), .x = x, .y = y, .z = z,
  };
}

/* Names, each once, one behind the other. */
struct names {
  int64_t count, bytes, room;
  const char **all;
};

/* The number of `name`, which is new or one of few; -1 where there is no memory. */
static int64_t number_of(struct names *names, const char *name) {
  for (int64_t i = names->count - 1; i >= 0; i--)
    if (names->all[i] == name)
      return i;
  if (names->count == names->room) {
    int64_t room = names->room ? 2 * names->room : 16;
    const char **all = realloc(names->all, (size_t)room * sizeof *all);
    if (!all)
      return -1;
    names->all = all;
    names->room = room;
  }
  names->all[names->count] = name;
  names->bytes += (int64_t)strlen(name) + 1;
  return names->count++;
}

static void tell(struct recording *recording) {
  struct vertebra_moment now = vertebra_clock_moment();
  int64_t used = atomic_load(&recording->used), kept = used < MOST ? used : MOST;
  struct names names = {0};
  int64_t known = number_of(&names, vertebra_clock_name());
  for (struct vertebra_record *r = recording->records; known >= 0 && r < recording->records + kept; r++) {
    r->nanoseconds = vertebra_nanoseconds(r->nanoseconds, &recording->began);
    known = r->name = number_of(&names, (const char *)(intptr_t)r->name);
  }
  if (known >= 0) {
    struct vertebra_records head = {
        .ended = now.nanoseconds, .lost = used - kept, .count = kept, .names_bytes = names.bytes};
    vertebra_record_sink(&head, sizeof head);
    vertebra_record_sink(recording->records, kept * (int64_t)sizeof *recording->records);
    for (int64_t i = 0; i < names.count; i++)
      vertebra_record_sink(names.all[i], (int64_t)strlen(names.all[i]) + 1);
  }
  free(names.all);
}

void vertebra_tell_records(_Atomic(struct recording *) *of) {
  struct recording *recording = atomic_load(of);
  if (!recording)
    return;
  if (vertebra_record_sink)
    tell(recording);
  give_back(recording);
}
