"""The same results on any number of threads."""

import attrs
import pytest
import triton
import triton.language as tl

from . import cases_atomics
from .arrays import output
from .case import Case, check

pytestmark = pytest.mark.vertebra_group("concurrency")


@triton.jit
def visit(count, n):
    """Adds one to the program's own element; every program of the grid must come by once."""
    program = (tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(0) + tl.program_id(
        0
    )
    if program < n:
        tl.store(count + program, tl.load(count + program) + 1)


VISIT = Case(
    id="every-program-once",
    kernel=visit,
    grid=(17, 5, 31),
    args={"count": output("i32", 17 * 5 * 31), "n": 17 * 5 * 31},
    expect=lambda count, **_: {"count": count + 1},
)
SHARING = [c for c in cases_atomics.CASES if c.id in ("atomic-contended", "atomic-tickets", "atomic-lock")]


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("case", [VISIT, *SHARING], ids=lambda case: case.id)
def test_agrees_with_numpy(case, core, threads, run, monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", str(threads))
    # The number of threads is read when a kernel is loaded: make Triton load it again.
    check(attrs.evolve(case, kernel=triton.jit(case.kernel.fn)), core, run)


def test_three_cases_share_memory():
    assert len(SHARING) == 3
