#include "services.h"

#include <inttypes.h>
#include <stdio.h>

enum { SENTENCE = 512 };

void vertebra_out_of_bounds(const char *what, int64_t element, int64_t first, int64_t end, int32_t x, int32_t y,
                            int32_t z) {
  char sentence[SENTENCE];
  snprintf(sentence, sizeof sentence, "%s element %" PRId64 ", its tensor has elements %" PRId64 " to %" PRId64,
           what, element, first, end - 1);
  if (end <= first)
    snprintf(sentence, sizeof sentence, "%s element %" PRId64 ", its tensor has none", what, element);
  vertebra_fail(sentence, x, y, z);
}
