#include "services.h"
#include "record.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST = 1 << 18, LINE = 512 };

struct record {
  int64_t nanoseconds;
  const char *name;
  int32_t start, x, y, z;
};

static _Atomic(struct record *) records;
static atomic_llong used;

static struct record *memory(void) {
  struct record *mine = atomic_load(&records), *none = NULL;
  if (mine)
    return mine;
  mine = malloc(MOST * sizeof *mine);
  if (mine && !atomic_compare_exchange_strong(&records, &none, mine)) {
    free(mine);
    mine = none;
  }
  return mine;
}

void vertebra_record(const char *name, int32_t start, int32_t x, int32_t y, int32_t z) {
  struct record *to = memory();
  long long place = atomic_fetch_add(&used, 1);
  if (!to || place >= MOST)
    return;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  to[place] = (struct record){(int64_t)now.tv_sec * 1000000000 + now.tv_nsec, name, start, x, y, z};
}

void vertebra_tell_records(void) {
  long long count = atomic_load(&used);
  if (!count || !vertebra_print_sink)
    return;
  struct record *from = atomic_load(&records);
  char line[LINE];
  for (long long i = 0; from && i < count && i < MOST; i++) {
    snprintf(line, sizeof line, "\1%" PRId32 " %" PRId64 " %" PRId32 " %" PRId32 " %" PRId32 " %s\n", from[i].start,
             from[i].nanoseconds, from[i].x, from[i].y, from[i].z, from[i].name);
    vertebra_print_sink(line);
  }
  if (count > MOST) {
    snprintf(line, sizeof line, "\1lost %lld\n", count - MOST);
    vertebra_print_sink(line);
  }
  atomic_store(&used, 0);
}
