/* A plugin of QEMU's user-mode emulator: counts the RISC-V instructions that a range of addresses executes.
 *
 * Arguments: lo=HEX, hi=HEX (program counters lo <= pc < hi count), out=FILE.
 * When the program ends, FILE holds one line "name count" for every class below.
 *
 * QEMU's header is not packaged; what is declared here is version 1 of its interface, which QEMU 5
 * to 8 load.  Counters are not atomic: run the program's counted part on one thread.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct block;
struct instruction;
enum operation { ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct instruction *, enum operation, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct block *);
struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
const void *qemu_plugin_insn_data(const struct instruction *);
size_t qemu_plugin_insn_size(const struct instruction *);
uint64_t qemu_plugin_insn_vaddr(const struct instruction *);

EXPORT int qemu_plugin_version = 1;

#define CLASSES(X) X(all) X(vector_load) X(vector_store) X(vector_set) X(vector_arithmetic) X(custom1)
enum class {
#define X(name) name,
  CLASSES(X)
#undef X
  classes
};
static const char *const names[classes] = {
#define X(name) #name,
    CLASSES(X)
#undef X
};

static uint64_t counts[classes];
static uint64_t lowest, beyond = UINT64_MAX;
static char *output;

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
  size_t count = qemu_plugin_tb_n_insns(block);
  for (size_t i = 0; i < count; i++) {
    struct instruction *instruction = qemu_plugin_tb_get_insn(block, i);
    uint64_t pc = qemu_plugin_insn_vaddr(instruction);
    if (pc < lowest || pc >= beyond)
      continue;
    qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, &counts[all], 1);
    uint32_t word = 0;
    if (qemu_plugin_insn_size(instruction) == sizeof word)
      memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
    enum class class = class_of(word);
    if (class != all)
      qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, &counts[class], 1);
  }
}

/* Several threads may end the program at once; the first to return from here ends it for all. */
static void report(plugin_id id, void *unused) {
  (void)id;
  (void)unused;
  static atomic_bool begun, done;
  if (atomic_exchange(&begun, true)) {
    while (!atomic_load(&done))
      sched_yield();
    return;
  }
  FILE *file = fopen(output, "w");
  if (file) {
    for (int i = 0; i < classes; i++)
      fprintf(file, "%s %" PRIu64 "\n", names[i], counts[i]);
    fclose(file);
  }
  atomic_store(&done, true);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (!strncmp(argv[i], "lo=", 3))
      lowest = strtoull(argv[i] + 3, NULL, 16);
    else if (!strncmp(argv[i], "hi=", 3))
      beyond = strtoull(argv[i] + 3, NULL, 16);
    else if (!strncmp(argv[i], "out=", 4))
      output = strdup(argv[i] + 4);
    else
      return 1;
  }
  if (!output)
    return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, instrument);
  qemu_plugin_register_atexit_cb(id, report, NULL);
  return 0;
}
