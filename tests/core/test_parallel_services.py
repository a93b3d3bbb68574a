"""Parallel loops and barriers of a kernel that a C program calls straight, without a launch."""

import subprocess
from pathlib import Path

import pytest

from vertebra.core import abi, toolchain

NATIVE = Path(abi.__file__).parent / "native"
PROGRAM = r"""
#include "pool.h"
#include "services.h"
#include <stdio.h>
#include <string.h>

struct captures { int64_t barrier, *seen, expected; };

/* Every iteration leaves its number, and sees those of all after the barrier. */
static void body(const void *captures, int64_t begin, int64_t end, void *scratch) {
  const struct captures *c = captures;
  for (int64_t i = begin; i < end; i += 2) {
    c->seen[i] = i;
    *(int64_t *)scratch = i;
    vertebra_barrier_arrive(c->barrier, "here", 0, 0, 0);
    vertebra_barrier_wait(c->barrier, 1, "there", 0, 0, 0);
    int64_t sum = 0;
    for (int k = 0; k < 20; k++)
      sum += c->seen[k];
    if (sum != 100 || *(int64_t *)scratch != i)
      vertebra_fail("an iteration missed another", 0, 0, 0);
  }
}

static void kernel(const uint64_t *args, void *scratch, int64_t begin, int64_t end, int32_t x, int32_t y,
                   int32_t z) {
  if (end - begin > 1) {
    vertebra_programs(kernel, args, 128, scratch, begin, end, x, y, z);
    return;
  }
  _Alignas(8) char barrier[VERTEBRA_BARRIER_BYTES];
  int64_t seen[20] = {0};
  struct captures c = {(int64_t)barrier, seen, 0};
  vertebra_barrier_init(c.barrier, 1, 0, 0, 0, 10 + (int32_t)args[1], "made", 0, 0, 0);
  vertebra_parallel(body, &c, 1, 20, 2, 128, scratch, 1);
  vertebra_barrier_release(c.barrier);
  ((int *)args[0])[begin]++;
}

int main(int argc, char **argv) {
  int hits[7] = {0}, once[7] = {1, 1, 1, 1, 1, 1, 1};
  _Alignas(128) char scratch[128];
  uint64_t args[2] = {(uint64_t)hits, argv[1][0] == 'd'};
  if (argv[1][0] == 'l')
    return vertebra_launch(kernel, args, 128, 7, 1, 1, 3) || memcmp(hits, once, sizeof hits);
  kernel(args, scratch, 0, 7, 7, 1, 1);
  return memcmp(hits, once, sizeof hits) != 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    source = tmp_path_factory.mktemp("services") / "main.c"
    source.write_text(PROGRAM)
    return toolchain.build(
        "services-test",
        [source, *(NATIVE / name for name in abi.SERVICE_SOURCES)],
        "exe",
        headers=[NATIVE / name for name in abi.SERVICE_HEADERS],
        flags=["-lpthread"],
    )


def run(program, how: str) -> subprocess.CompletedProcess:
    return subprocess.run([program, how], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("how", ["launch", "call"])
def test_iterations_meet(program, how):
    done = run(program, how)
    assert done.returncode == 0, done.stderr


def test_a_deadlock_is_told_and_ends_the_program(program):
    done = run(program, "deadlock")
    assert done.returncode < 0
    assert "the barrier made at made, parity 0, has seen 10 of 11 arrivals" in done.stderr
    assert "iteration 1 at there for flag 1, program (0, 0, 0) iteration 3 at there" in done.stderr
    assert "and 2 more" in done.stderr
