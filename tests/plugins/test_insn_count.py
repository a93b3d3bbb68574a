"""The plugin that counts, in a made-up emulator: what each version of QEMU's interface asks of it."""

import struct
import subprocess
from pathlib import Path

import pytest

from vertebra.core import toolchain
from vertebra.plugins.qemu import counters

SOURCE = Path(counters.__file__).parent / "insn_count.c"
# One block of five instructions, executed three times; the last one lies beyond what is counted.
EMULATOR = r"""
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct instruction { uint64_t pc; uint32_t word; size_t size; };
struct block { struct instruction at[5]; };
static struct block code = {{{0x100, 0x02056007, 4},  /* vle32.v */
                             {0x104, 0x0001, 2},      /* c.nop */
                             {0x106, 0x0d0572d7, 4},  /* vsetvli */
                             {0x10a, 0xe21072ab, 4},  /* custom-1 */
                             {0x200, 0x02056007, 4}}};
static void (*translate)(uint64_t, struct block *);
static struct { struct instruction *of; void (*call)(unsigned, void *); uint64_t *add; } wanted[64];
static int count;

extern int qemu_plugin_version;
int qemu_plugin_install(uint64_t, const void *, int, char **);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*f)(uint64_t, struct block *)) {
  (void)id, translate = f;
}
size_t qemu_plugin_tb_n_insns(const struct block *b) { (void)b; return 5; }
struct instruction *qemu_plugin_tb_get_insn(const struct block *b, size_t i) {
  (void)b; return &code.at[i];
}
size_t qemu_plugin_insn_size(const struct instruction *i) { return i->size; }
uint64_t qemu_plugin_insn_vaddr(const struct instruction *i) { return i->pc; }
#if PLUGIN_VERSION == 1
const void *qemu_plugin_insn_data(const struct instruction *i) { return &i->word; }
void qemu_plugin_register_vcpu_insn_exec_inline(struct instruction *i, int add, void *to, uint64_t by) {
  wanted[count].of = i, wanted[count].add = add == 0 && by == 1 ? to : 0, count++;
}
#else
size_t qemu_plugin_insn_data(const struct instruction *i, void *to, size_t room) {
  size_t bytes = room < i->size ? room : i->size;
  memcpy(to, &i->word, bytes);
  return bytes;
}
void qemu_plugin_register_vcpu_insn_exec_cb(struct instruction *i, void (*f)(unsigned, void *), int registers,
                                            void *with) {
  (void)registers;
  wanted[count].of = i, wanted[count].call = f, wanted[count].add = with, count++;
}
#endif

int main(void) {
  int file = memfd_create("counts", 0);
  if (ftruncate(file, 64))
    return 1;
  char counts[32];
  snprintf(counts, sizeof counts, "counts=%d", file);
  char *wrong[] = {"lo=100", "hi=200"}, *right[] = {"lo=100", "hi=200", counts};
  if (!qemu_plugin_install(1, 0, 2, wrong) || qemu_plugin_install(1, 0, 3, right))
    return 2;
  translate(1, &code);
  for (int turn = 0; turn < 3; turn++)
    for (int i = 0; i < count; i++)
      if (wanted[i].call)
        wanted[i].call(0, wanted[i].add);
      else
        ++*wanted[i].add;
  uint64_t found[6];
  if (pread(file, found, sizeof found, 0) != sizeof found)
    return 3;
  fwrite(&qemu_plugin_version, sizeof qemu_plugin_version, 1, stdout);
  fwrite(found, sizeof found, 1, stdout);
  return 0;
}
"""


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_counted_by_each_version_of_the_interface(tmp_path, version):
    source = tmp_path / "emulator.c"
    source.write_text(EMULATOR)
    program = toolchain.build(
        "insn-count-test", [source, SOURCE], "exe", flags=[f"-DPLUGIN_VERSION={version}"]
    )
    done = subprocess.run([program], capture_output=True, timeout=60)
    assert done.returncode == 0
    found = struct.unpack("<i6Q", done.stdout)
    assert found[0] == version
    assert dict(zip(counters.CLASSES, found[1:], strict=True)) == {
        "all": 12,
        "vector_load": 3,
        "vector_store": 0,
        "vector_set": 3,
        "vector_arithmetic": 0,
        "custom1": 3,
    }
