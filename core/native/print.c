#include "services.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RANK = 16, NUMBERS = 512 }; /* bytes for everything but the text */

void (*vertebra_print_sink)(const char *text);

/* The columns that the indices of a dimension need, so that lines stand below each other. */
static int columns(int32_t size) {
  int count = 0;
  for (int64_t reach = 1; reach < size; reach *= 10)
    count++;
  return count;
}

static int write_indices(char *to, size_t room, const uint8_t *sizes, int rank, int64_t element) {
  int32_t size[MAX_RANK];
  int64_t index[MAX_RANK];
  memcpy(size, sizes, (size_t)rank * sizeof *size);
  for (int d = rank - 1; d >= 0; d--) {
    index[d] = element % size[d];
    element /= size[d];
  }
  int used = snprintf(to, room, " idx (");
  for (int d = 0; d < rank; d++)
    used += snprintf(to + used, room - (size_t)used, "%s%*" PRId64, d ? ", " : "", columns(size[d]), index[d]);
  return used + snprintf(to + used, room - (size_t)used, ")");
}

static int write_value(char *to, size_t room, char kind, int digits, uint64_t value) {
  double number;
  switch (kind) {
  case 'd':
    return snprintf(to, room, "%" PRId64, (int64_t)value);
  case 'u':
    return snprintf(to, room, "%" PRIu64, value);
  case 'x':
    return snprintf(to, room, "0x%0*" PRIx64, digits, value);
  case 'p':
    return snprintf(to, room, "0x%" PRIx64, value);
  case 'f':
    memcpy(&number, &value, sizeof number);
    return snprintf(to, room, "%f", number);
  default:
    return 0;
  }
}

void vertebra_print(const char *what, int32_t x, int32_t y, int32_t z, int64_t element, uint64_t value) {
  size_t length = strlen(what);
  const uint8_t *form = (const uint8_t *)what + length + 1;
  char kind = (char)form[0];
  int rank = form[2] < MAX_RANK ? form[2] : MAX_RANK;
  char *line = malloc(length + NUMBERS);
  if (!line)
    return;
  int used = snprintf(line, NUMBERS, "pid (%" PRId32 ", %" PRId32 ", %" PRId32 ")", x, y, z);
  if (kind != '-')
    used += write_indices(line + used, (size_t)(NUMBERS - used), form + 3, rank, element);
  memcpy(line + used, what, length);
  used += (int)length;
  used += write_value(line + used, length + NUMBERS - (size_t)used - 1, kind, form[1], value);
  line[used] = '\n';
  line[used + 1] = 0;
  if (vertebra_print_sink)
    vertebra_print_sink(line);
  else
    fputs(line, stdout);
  free(line);
}
