"""Records of scopes inside of kernels, as the services of a runtime keep and tell them."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from vertebra.core import abi, toolchain
from vertebra.core.profile.records import Recording, keep, take
from vertebra.core.profile.scopes import intervals

NATIVE = Path(toolchain.__file__).parent / "native"
MOST = 100
# Every program is in scope "all", and from 8 iterations of a parallel loop in "turn"; then prints.
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include "pool.h"
#include "record.h"
#include "services.h"

static int32_t x_of(int64_t p) { return (int32_t)p; }

static void turn(const void *captures, int64_t begin, int64_t end, void *scratch) {
  (void)scratch;
  for (int64_t i = begin; i < end; i++) {
    vertebra_record("\"turn\"", 1, *(const int32_t *)captures, 0, 0);
    vertebra_record("\"turn\"", 0, *(const int32_t *)captures, 0, 0);
  }
}

static void kernel(const uint64_t *args, void *scratch, int64_t begin, int64_t end, int32_t gx, int32_t gy,
                   int32_t gz) {
  (void)gx, (void)gy, (void)gz;
  for (int64_t p = begin; p < end; p++) {
    int32_t x = x_of(p);
    vertebra_record("\"all\"", 1, x, 0, 0);
    if (args[0])
      vertebra_parallel(turn, &x, 0, 8, 1, 0, scratch, 0);
    vertebra_record("\"all\"", 0, x, 0, 0);
  }
}

static void sink(const void *piece, int64_t bytes) { fwrite(piece, 1, (size_t)bytes, stdout); }

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  uint64_t args[] = {atoi(argv[2])};
  vertebra_record_sink = sink;
  vertebra_record("\"outside of any launch\"", 1, 0, 0, 0);
  for (int i = 0; i < 2; i++)
    if (vertebra_launch(kernel, args, 0, atoi(argv[1]), 1, 1, 4))
      return 1;
  return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    source = tmp_path_factory.mktemp("records") / "main.c"
    source.write_text(PROGRAM)
    return toolchain.build(
        "record-test",
        [source, *(NATIVE / name for name in abi.SERVICE_SOURCES)],
        "exe",
        headers=[NATIVE / name for name in abi.SERVICE_HEADERS],
        flags=["-lpthread", f"-DVERTEBRA_MOST_RECORDS={MOST}"],
    )


def launches(program, programs: int, parallel: bool) -> list[Recording]:
    """Of two launches, one after the other."""
    command = [str(program), str(programs), str(int(parallel))]
    take()
    keep(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    both = take()
    assert len(both) == 2
    return both


def test_every_launch_tells_its_own(program):
    both = launches(program, 20, False)
    for recording in both:
        found = intervals(recording.records)
        assert sorted(each.program for each in found) == [(x, 0, 0) for x in range(20)]
        assert {each.path for each in found} == {("all",)} and recording.lost == 0
        assert recording.ended >= recording.records[-1].nanoseconds
    assert both[0].ended <= both[1].records[0].nanoseconds


def test_iterations_of_parallel_loops_are_inside_of_their_program(program):
    for recording in launches(program, 3, True):
        counts = Counter((each.program, each.path) for each in intervals(recording.records))
        assert counts == {((x, 0, 0), ("all",)): 1 for x in range(3)} | {
            ((x, 0, 0), ("all", "turn")): 8 for x in range(3)
        }


def test_what_does_not_fit_is_counted(program):
    for recording in launches(program, 70, False):
        assert len(recording.records) == MOST and recording.lost == 2 * 70 - MOST
        assert len(intervals(recording.records)) <= MOST // 2
