"""The clock of scopes inside of kernels, on this machine and on RISC-V as far as the emulator has it."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from vertebra.core import toolchain

# Where the program runs; what it is built of stays the same.
TIMEBASE = '-DVERTEBRA_TIMEBASE="timebase-frequency"'
NATIVE = Path(toolchain.__file__).parent / "native"
# Prints the clock's name, and what a wait took by the monotonic clock, by this one, and in counts.
PROGRAM = r"""
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "clock.h"

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv) {
  (void)argv;
  static const volatile uint64_t outside = 77;
  if (argc > 1)
    vertebra_instruction_count = &outside;
  struct vertebra_moment moment = vertebra_clock_moment();
  struct vertebra_reading first, last;
  int64_t before = now();
  vertebra_read_clock(&first);
  for (int64_t begin = now(); now() < begin + 5000000;) {
  }
  vertebra_read_clock(&last);
  int64_t after = now();
  int64_t start = vertebra_nanoseconds(first.ticks, &moment), end = vertebra_nanoseconds(last.ticks, &moment);
  printf("%s\n", vertebra_clock_name());
  printf("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", after - before, end - start, start - before,
         last.ticks - first.ticks);
  printf("%" PRId64 " %" PRId64 " %" PRId64 " %d\n", last.cycles - first.cycles, last.instructions,
         first.instructions, last.hart);
}
"""


def build(tmp_path, kind: str = "host", *flags: str, source: str = PROGRAM) -> Path:
    file = tmp_path / "main.c"
    file.write_text(source)
    triple = {"host": {}, "riscv": {"triple": "riscv64-linux-musl"}}[kind]
    if kind == "riscv":
        flags += ("-static", "-mcpu=generic_rv64+m+a+f+d+c")
    return toolchain.build(
        "clock-test",
        [file, NATIVE / "clock.c"],
        "exe",
        headers=[NATIVE / "clock.h"],
        flags=["-lpthread", *flags],
        **triple,
    )


def run(*command, folder=None) -> tuple[str, list[int], list[int]]:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=60, check=True, cwd=folder
    )
    name, times, counts = done.stdout.splitlines()
    return name, [int(n) for n in times.split()], [int(n) for n in counts.split()]


def emulator() -> str:
    found = shutil.which("qemu-riscv64") or shutil.which("qemu-riscv64-static")
    assert found, "the RISC-V emulator is missing: apt-get install qemu-user"
    return found


def test_this_machine_has_the_monotonic_clock(tmp_path):
    if toolchain.host_triple().startswith("riscv"):
        pytest.skip("the clock of a RISC-V machine is rdtime")
    name, (took, by_clock, late, _), counts = run(build(tmp_path))
    assert name == "the monotonic clock"
    assert 5_000_000 <= by_clock <= took and 0 <= late <= took
    assert counts == [0, -1, -1, -1]


def test_what_counts_outside_is_read(tmp_path):
    for kind, before in (("host", []), ("riscv", [emulator()])):
        name, _, counts = run(*before, build(tmp_path, kind, "-DVERTEBRA_EMULATED"), "outside")
        assert name == "the monotonic clock" and counts == [0, 77, 77, -1]


@pytest.mark.parametrize("width", [">I", ">Q"])
def test_rdtime_counts_at_the_frequency_of_the_device_tree(tmp_path, width):
    file = tmp_path / "timebase-frequency"
    program = build(tmp_path, "riscv", TIMEBASE)
    for hertz in (24_000_000, 3_000_000_000):
        file.write_bytes(struct.pack(width, hertz))
        name, (_, by_clock, _, ticks), (_, _, _, hart) = run(emulator(), program, folder=tmp_path)
        assert name == f"rdtime at {hertz} Hz"
        assert by_clock == pytest.approx(ticks * 1e9 / hertz, abs=2)
        assert ticks > 0 and hart >= 0


@pytest.mark.parametrize("content", [None, b"", b"\0\0\0\0", b"123"])
def test_without_a_frequency_the_monotonic_clock_serves_and_says_so(tmp_path, content):
    file = tmp_path / "timebase-frequency"
    program = build(tmp_path, "riscv", TIMEBASE)
    if content is not None:
        file.write_bytes(content)
    name, (took, by_clock, _, _), _ = run(emulator(), program, folder=tmp_path)
    assert name == "the monotonic clock, as the device tree tells no frequency of rdtime"
    assert 5_000_000 <= by_clock <= took


# The emulator forbids no program these registers: here a reader takes one that no processor has.
FORBIDDEN = (
    f'#include "{NATIVE / "clock.c"}"\n'
    + r"""
static int64_t forbidden(void) {
  int64_t value;
  __asm__ volatile("csrr %0, 0x8FF" : "=r"(value));
  return value;
}

int main(void) {
  struct sigaction before, after;
  sigaction(SIGILL, NULL, &before);
  bool found[] = {allowed(forbidden), allowed(read_cycles), allowed(forbidden), allowed(read_instructions)};
  sigaction(SIGILL, NULL, &after);
  printf("%d %d %d %d %d\n", found[0], found[1], found[2], found[3], before.sa_handler == after.sa_handler);
}
"""
)


def test_a_register_that_the_system_forbids_is_found_out(tmp_path):
    file = tmp_path / "main.c"
    file.write_text(FORBIDDEN)
    flags = ["-static", "-mcpu=generic_rv64+m+a+f+d+c", f"-I{NATIVE}"]
    program = toolchain.build(
        "clock-forbidden",
        [file],
        "exe",
        headers=[NATIVE / "clock.h", NATIVE / "clock.c"],
        triple="riscv64-linux-musl",
        flags=flags,
    )
    done = subprocess.run([emulator(), program], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0", "1", "0", "1", "1"], done.stderr
