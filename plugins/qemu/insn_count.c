/* A plugin of QEMU's user-mode emulator: counts the RISC-V instructions that a range of addresses executes.
 *
 * Arguments: lo=HEX, hi=HEX (program counters lo <= pc < hi count), counts=N, a file descriptor.
 * The file's first bytes are a count, of 64 bits, for each class below, in this order, at every moment: who maps
 * the file, the emulated program too, reads how many instructions were executed until now.
 *
 * QEMU's header is not packaged; what is declared here is version 1 of its interface, which QEMU 5 to 8 load,
 * or with PLUGIN_VERSION=2 that of later ones, where a call for each instruction takes the place of an inline
 * addition, which goes to memory of the emulator's own there.  Counts are not atomic in version 1: run the
 * program's counted part on one thread.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct block;
struct instruction;
enum operation { ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
size_t qemu_plugin_tb_n_insns(const struct block *);
struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
size_t qemu_plugin_insn_size(const struct instruction *);
uint64_t qemu_plugin_insn_vaddr(const struct instruction *);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

#if PLUGIN_VERSION == 1
void qemu_plugin_register_vcpu_insn_exec_inline(struct instruction *, enum operation, void *, uint64_t);
const void *qemu_plugin_insn_data(const struct instruction *);

static void count(struct instruction *instruction, uint64_t *counter) {
  qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, counter, 1);
}

static uint32_t word_of(const struct instruction *instruction) {
  uint32_t word;
  memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
  return word;
}
#else
enum registers { NO_REGISTERS };
void qemu_plugin_register_vcpu_insn_exec_cb(struct instruction *, void (*)(unsigned, void *), enum registers,
                                            void *);
size_t qemu_plugin_insn_data(const struct instruction *, void *, size_t);

static void executed(unsigned processor, void *counter) {
  (void)processor;
  atomic_fetch_add_explicit((_Atomic uint64_t *)counter, 1, memory_order_relaxed);
}

static void count(struct instruction *instruction, uint64_t *counter) {
  qemu_plugin_register_vcpu_insn_exec_cb(instruction, executed, NO_REGISTERS, counter);
}

static uint32_t word_of(const struct instruction *instruction) {
  uint32_t word = 0;
  qemu_plugin_insn_data(instruction, &word, sizeof word);
  return word;
}
#endif

#define CLASSES(X) X(all) X(vector_load) X(vector_store) X(vector_set) X(vector_arithmetic) X(custom1)
enum class {
#define X(name) name,
  CLASSES(X)
#undef X
  classes
};

static uint64_t *counts;
static uint64_t lowest, beyond = UINT64_MAX;

/* Major opcodes, and the width field that sets vector accesses apart from scalar ones of LOAD-FP
 * and STORE-FP. */
enum { LOAD_FP = 0x07, STORE_FP = 0x27, CUSTOM_1 = 0x2B, OP_V = 0x57, OP_V_CONFIGURE = 7 };

static enum class class_of(uint32_t word) {
  unsigned opcode = word & 0x7F, funct3 = word >> 12 & 7;
  int vector_width = funct3 == 0 || funct3 > 4;
  switch (opcode) {
  case LOAD_FP:
    return vector_width ? vector_load : all;
  case STORE_FP:
    return vector_width ? vector_store : all;
  case OP_V:
    return funct3 == OP_V_CONFIGURE ? vector_set : vector_arithmetic;
  case CUSTOM_1:
    return custom1;
  default:
    return all;
  }
}

static void instrument(plugin_id id, struct block *block) {
  (void)id;
  size_t length = qemu_plugin_tb_n_insns(block);
  for (size_t i = 0; i < length; i++) {
    struct instruction *instruction = qemu_plugin_tb_get_insn(block, i);
    uint64_t pc = qemu_plugin_insn_vaddr(instruction);
    if (pc < lowest || pc >= beyond)
      continue;
    count(instruction, &counts[all]);
    enum class class = qemu_plugin_insn_size(instruction) == 4 ? class_of(word_of(instruction)) : all;
    if (class != all)
      count(instruction, &counts[class]);
  }
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (!strncmp(argv[i], "lo=", 3))
      lowest = strtoull(argv[i] + 3, NULL, 16);
    else if (!strncmp(argv[i], "hi=", 3))
      beyond = strtoull(argv[i] + 3, NULL, 16);
    else if (!strncmp(argv[i], "counts=", 7))
      counts = mmap(NULL, classes * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[i] + 7), 0);
    else
      return 1;
  }
  if (!counts || counts == MAP_FAILED)
    return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, instrument);
  return 0;
}
