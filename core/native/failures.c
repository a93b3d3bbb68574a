#include "services.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SENTENCE = 512, NUMBER_BITS = 8 };

void vertebra_fail_as(const char *texts, int64_t state, int32_t x, int32_t y, int32_t z) {
  char sentence[SENTENCE];
  for (int64_t left = (state & ((1 << NUMBER_BITS) - 1)) - 1; left > 0; left--)
    texts += strlen(texts) + 1;
  const char *place = strstr(texts, "{}");
  if (place)
    snprintf(sentence, sizeof sentence, "%.*s%" PRId64 "%s", (int)(place - texts), texts, state >> NUMBER_BITS,
             place + 2);
  vertebra_fail(place ? sentence : texts, x, y, z);
}
