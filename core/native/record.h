/* What a launch does with the scopes that its kernel has recorded. */
#ifndef VERTEBRA_RECORD_H
#define VERTEBRA_RECORD_H

/* Prints every record since the last call, as a line: "\1", 1 for a start or 0 for an end, nanoseconds of
 * the monotonic clock, the program's x, y, z, and the scope's name; at last how many were lost, if any. */
void vertebra_tell_records(void);

#endif
