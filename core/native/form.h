/* Instructions as data: the C side of vertebra.core.instruction, which writes the initializers. */
#ifndef VERTEBRA_FORM_H
#define VERTEBRA_FORM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { FORM_PIECES = 2, FORM_OPERANDS = 6, FORM_READ = 1, FORM_WRITTEN = 2 };

/* One operand: where its bits stand in the word, how many registers it means (`group`), and
 * FORM_READ and FORM_WRITTEN; neither for an immediate, and width 0 for an operand that is not there. */
struct vertebra_operand {
  struct {
    uint8_t low, width, value_low;
  } pieces[FORM_PIECES];
  uint8_t group, use;
};

/* requires: names of sub-extensions between spaces, of which the processor must have one.
 * disjoint: no register that is written may be one of another operand. */
struct vertebra_form {
  const char *name, *requires;
  uint32_t mask, match;
  bool disjoint;
  struct vertebra_operand operands[FORM_OPERANDS];
};

static inline unsigned form_operand(const struct vertebra_form *form, int which, uint32_t word) {
  unsigned value = 0;
  for (int i = 0; i < FORM_PIECES; i++) {
    unsigned low = form->operands[which].pieces[i].low, width = form->operands[which].pieces[i].width;
    value |= (word >> low & ((1u << width) - 1)) << form->operands[which].pieces[i].value_low;
  }
  return value;
}

/* Bit r for every register r that operands with `use` mean; all of one register file. */
static inline uint32_t form_registers(const struct vertebra_form *form, uint32_t word, unsigned use) {
  uint32_t set = 0;
  for (int i = 0; i < FORM_OPERANDS; i++)
    if (form->operands[i].use & use)
      set |= ((1u << form->operands[i].group) - 1) << form_operand(form, i, word);
  return set;
}

/* Whether a destination is among the other operands where it must not be, or beyond the last register. */
static inline bool form_is_legal(const struct vertebra_form *form, uint32_t word) {
  for (int i = 0; i < FORM_OPERANDS; i++) {
    const struct vertebra_operand *operand = &form->operands[i];
    if (operand->use && form_operand(form, i, word) + operand->group > 32)
      return false;
    if (!(operand->use & FORM_WRITTEN) || !form->disjoint)
      continue;
    uint32_t mine = ((1u << operand->group) - 1) << form_operand(form, i, word);
    for (int j = 0; j < FORM_OPERANDS; j++)
      if (j != i && form->operands[j].use &&
          mine & ((1u << form->operands[j].group) - 1) << form_operand(form, j, word))
        return false;
  }
  return true;
}

/* Whether `extensions` (names between plus signs, up to a comma or the end) has one that the form
 * requires. */
static inline bool form_is_served(const struct vertebra_form *form, const char *extensions) {
  while (*extensions && *extensions != ',') {
    size_t length = strcspn(extensions, "+,");
    for (const char *at = form->requires; (at = strchr(at, ' ')) && at[1]; at++)
      if (!strncmp(at + 1, extensions, length) && at[1 + length] == ' ')
        return true;
    extensions += length + (extensions[length] == '+');
  }
  return false;
}

#endif
