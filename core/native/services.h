/* What a running kernel may ask of the runtime that runs it; see core/abi.py. */
#ifndef VERTEBRA_SERVICES_H
#define VERTEBRA_SERVICES_H

#include <stdint.h>

/* Prints one number, or a text alone, as one line:
 *
 *   pid (x, y, z) idx (i, j) prefix: value
 *
 * what: the text between the indices and the value, a NUL, then in binary: the kind of value
 * (one byte: 'd' signed, 'u' unsigned, 'x' hexadecimal, 'f' the bits of a double, 'p' an address,
 * '-' none), its hexadecimal digits (one byte), the number of dimensions (one byte), and the size
 * of each (int32).  element: the number of the value in its tensor, row by row.
 */
void vertebra_print(const char *what, int32_t x, int32_t y, int32_t z, int64_t element, uint64_t value);

/* Ends the launch, which returns VERTEBRA_FAILED.  Does not return.  message: lives as long as the kernel. */
void vertebra_fail(const char *message, int32_t x, int32_t y, int32_t z);

/* Where printed text goes, a line at a time, from any thread; to standard output where not set. */
extern void (*vertebra_print_sink)(const char *text);

#endif
