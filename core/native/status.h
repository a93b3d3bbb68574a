/* What a launch of a library's kernel returns. */
#ifndef VERTEBRA_STATUS
#define VERTEBRA_STATUS
enum vertebra_status {
  VERTEBRA_OK = 0,
  VERTEBRA_PROGRAM_FAILED = -1,    /* a program asserted, left its bounds, or waited forever at a barrier */
  VERTEBRA_NO_SPECIALISATION = -2, /* no specialisation fits the arguments; nothing has run */
  VERTEBRA_BAD_ARGUMENT = -3,      /* no arguments, a misaligned address, a wrong grid or number of threads; nothing
                                      has run */
  VERTEBRA_NO_MEMORY = -4,         /* a thread gets no scratch memory; some programs may have run */
  VERTEBRA_WRONG_PROCESSOR = -5    /* the library is made for another processor; nothing has run */
};
#endif
