/* Loads kernels, shared objects without dependencies, into one window of addresses. */
#ifndef VERTEBRA_LOADER_H
#define VERTEBRA_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool.h"

/* Every kernel's code lies in this window, so that a tool outside knows it by its address. */
#define KERNEL_WINDOW_BEGIN 0x1000000000ull
#define KERNEL_WINDOW_END 0x1010000000ull

struct module {
  uint8_t *base; /* address 0 of the object's own addresses */
  size_t bytes;
  size_t thunks; /* where thunks begin, behind the object; they reach to its end */
  vertebra_kernel *entry;
  char *name;
  uint64_t slots;
  uint8_t *is_pointer; /* per slot */
  struct module *next;       /* by rising address */
};

/* Loads the object `elf` of `bytes` bytes and finds its function `name`.  With `thunks`, instructions that an
 * emulator serves become jumps.  Returns NULL and sets *module, or returns what is wrong. */
const char *module_load(const uint8_t *elf, size_t bytes, const char *name, bool thunks,
                        struct module **module);
void module_unload(struct module *module);
/* The module that holds `address`, or NULL; safe in a signal handler. */
const struct module *module_at(uint64_t address);

#endif
