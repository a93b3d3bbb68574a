/* Instructions to emulate, replaced by jumps to code that carries them out without a trap. */
#ifndef VERTEBRA_THUNKS_H
#define VERTEBRA_THUNKS_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes the thunks for `code`, machine code from its first instruction to its last, take. */
size_t thunks_bytes(const uint8_t *code, size_t bytes);

/* Replaces the words of `code` that an emulator serves by jumps to thunks, which it writes to `at`; all of
 * both must be writable.  Returns the end of the thunks.  A word too far from them is left to trap. */
uint8_t *thunks_make(uint8_t *code, size_t bytes, uint8_t *at);

#endif
