#include "emulate.h"
enum vertebra_emulation emulate_zvfh(uint32_t word, struct vertebra_hart *hart) { return VERTEBRA_NOT_MINE; }
