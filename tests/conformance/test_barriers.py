"""Parallel loops and barriers: the same results on any number of threads, and what is told of wrong ones."""

import linecache
import re

import attrs
import numpy as np
import pytest
import triton
import triton.language as tl
import triton.language.extra.smt as smt

from vertebra.core.errors import CompileError, LaunchError

from . import cases_barriers
from .case import check

pytestmark = pytest.mark.vertebra_group("concurrency")


@pytest.fixture
def on(use_core, monkeypatch):
    """on(core, threads): launches go there; the number of threads is read when a kernel is loaded."""

    def use(core: str, threads: int) -> None:
        use_core(core)
        monkeypatch.setenv("VERTEBRA_NUM_THREADS", str(threads))

    return use


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("case", cases_barriers.CASES, ids=lambda case: case.id)
def test_agrees_with_numpy(case, core, threads, run, monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", str(threads))
    # Make Triton load the kernel again.
    check(attrs.evolve(case, kernel=triton.jit(case.kernel.fn)), core, run)


# --- barriers that cannot be satisfied -------------------------------------------------------


@triton.jit
def too_few(y, COUNT: tl.constexpr):
    bar = smt.mbarrier(flag=0, expect_count=COUNT + 1)  # made here
    for s in smt.parallel(0, COUNT):
        tl.store(y + s, s)
        smt.barrier_arrive(bar)
        smt.barrier_wait(bar, flag=1)  # waits here


def line_of(kernel, text: str) -> str:
    """`file:line:` of the line of a kernel that contains `text`."""
    name, first = kernel.fn.__code__.co_filename, kernel.fn.__code__.co_firstlineno
    line = next(n for n in range(first, first + 60) if text in linecache.getline(name, n))
    return f"{name}:{line}:"


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("programs", [1, 3])
def test_a_wait_that_cannot_end_is_told(core, on, threads, programs):
    on(core, threads)
    y = np.zeros(8, np.int32)
    kernel = triton.jit(too_few.fn)
    for _ in range(2):  # the runtime is whole afterwards
        with pytest.raises(LaunchError, match=r"kernel too_few on grid \(\d, 1, 1\)") as raised:
            kernel[(programs,)](y, COUNT=3)
    told = raised.value.message
    place = re.search(r"the barrier made at (\S+), parity 0, has seen 3 of 4 arrivals; waiting: ", told)
    assert place and place[1].startswith(line_of(too_few, "made here")), told
    waiting = re.findall(
        r"program \(\d, 0, 0\) iteration (\d) at (\S+) for flag 1", told.split("\nthe barrier")[1]
    )
    assert sorted(number for number, _ in waiting) == ["0", "1", "2"], told
    assert all(at.startswith(line_of(too_few, "waits here")) for _, at in waiting), told


@triton.jit
def no_expectation(y):
    bar = smt.global_mbarrier(5)
    smt.barrier_arrive(bar)
    if tl.program_id(0) == 1:
        smt.barrier_wait(bar)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_barrier_that_nobody_set_is_told(core, on, threads):
    on(core, threads)
    message = (
        r"the barrier 5 of the launch made at \S+, parity 0, has seen 3 of a number of arrivals that"
        r" barrier_set_expect never said; waiting: program \(1, 0, 0\) at \S+$"
    )
    with pytest.raises(LaunchError, match=message):
        triton.jit(no_expectation.fn)[(3,)](np.zeros(1, np.int32))


@triton.jit
def two_barriers(y):
    bars = smt.mbarrier_copies(0, 0, 0, 1, copies=2)
    for s in smt.parallel(0, 2):
        smt.barrier_wait(bars[s], flag=1)
        smt.barrier_arrive(bars[1 - s])


def test_each_barrier_of_a_deadlock_is_told(core, on):
    on(core, 2)
    with pytest.raises(LaunchError) as raised:
        triton.jit(two_barriers.fn)[(1,)](np.zeros(1, np.int32))
    told = raised.value.message.split("\n")
    assert len([line for line in told if line.startswith("the barrier made at")]) == 2
    assert "iteration 0" in raised.value.message and "iteration 1" in raised.value.message


@triton.jit
def fails_while_others_wait(y, BLOCK: tl.constexpr):
    bar = smt.mbarrier(0, 0, 0, 3)
    for s in smt.parallel(0, 3):
        if s < 2:
            smt.barrier_arrive(bar)
            smt.barrier_wait(bar, 1)
        else:
            tl.device_assert(s < 2, "the third one fails")


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_failure_frees_those_that_wait(core, on, threads):
    on(core, threads)
    with pytest.raises(LaunchError, match=r"program \(0, 0, 0\): .*the third one fails"):
        triton.jit(fails_while_others_wait.fn, debug=True)[(1,)](np.zeros(1, np.int32), BLOCK=4)


# --- numbers that cannot be ------------------------------------------------------------------


@triton.jit
def numbers(y, n, CASE: tl.constexpr):
    if CASE == "expect":
        smt.barrier_arrive(smt.mbarrier(0, 0, 0, n))
    elif CASE == "arrive":
        smt.barrier_arrive(smt.mbarrier(0, n, 0, 1))
    elif CASE == "flag":
        smt.barrier_arrive(smt.mbarrier(n, 0, 0, 1))
    elif CASE == "set":
        smt.barrier_set_expect(smt.mbarrier(), n)
    elif CASE == "index":
        smt.barrier_arrive(smt.mbarrier_copies(0, 0, 0, 1, copies=2)[n])
    elif CASE == "wait":
        smt.barrier_wait(smt.mbarrier(), flag=n)


@pytest.mark.parametrize(
    "case, n, message",
    [
        ("expect", 0, "expect_count is 0; it has to be 1 to 32767"),
        ("expect", 40000, "expect_count is 40000; it has to be 1 to 32767"),
        ("arrive", -7, "arrive_count is -7; it has to be 0 to 32767"),
        ("flag", 9, "flag is 9; it is a parity, 0 or 1"),
        ("set", -5, "expect_count is -5; it has to be 1 to 32767"),
        ("index", 2, "index 2 of 2 barriers; use 0 to 1"),
        ("index", -8, "index -8 of 2 barriers; use 0 to 1"),
        ("wait", 3, "barrier_wait for flag 3; it is a parity, 0 or 1"),
    ],
)
def test_run_time_numbers_are_checked(core, use_core, case, n, message):
    use_core(core)
    with pytest.raises(LaunchError, match=rf"program \(0, 0, 0\): \S*test_barriers.py:\d+:\d+: {message}"):
        numbers[(1,)](np.zeros(1, np.int32), n, CASE=case)


# --- what can be seen when compiling ---------------------------------------------------------


@triton.jit
def made(y):
    smt.barrier_arrive(smt.mbarrier())


@triton.jit
def in_a_loop(y, n):
    for _ in range(n):
        made(y)


def test_a_barrier_in_a_loop_of_the_caller_is_refused(use_core):
    use_core("host")
    with pytest.raises(CompileError, match="is inside of a loop") as raised:
        in_a_loop[(1,)](np.zeros(1, np.int32), 4)
    assert raised.value.kernel == "in_a_loop"
    assert "smt.mbarrier()" in linecache.getline(__file__, raised.value.place.line)


@triton.jit
def wait_and_carry(x, y, n, BLOCK: tl.constexpr):
    bar = smt.mbarrier(0, 0, 0, 2)
    acc = tl.zeros((BLOCK,), tl.float32)
    for _ in smt.parallel(0, 2):
        acc += tl.load(x + tl.arange(0, BLOCK))
        smt.barrier_arrive(bar)
        smt.barrier_wait(bar, 1)
    tl.store(y + tl.arange(0, BLOCK), acc)


def test_iterations_that_wait_cannot_carry_a_whole_tensor(use_core):
    use_core("host")
    x = np.zeros(16, np.float32)
    with pytest.raises(CompileError, match="wait for each other carry a tensor") as raised:
        wait_and_carry[(1,)](x, x, 2, BLOCK=16)
    assert "smt.parallel(0, 2)" in linecache.getline(__file__, raised.value.place.line)


@triton.jit
def races(x, y, n, KIND: tl.constexpr, B: tl.constexpr):
    i = tl.arange(0, B)
    for s in smt.parallel(0, n):
        v = tl.load(x + s * B + i)
        if KIND == "same block":
            tl.store(y + i, v)  # race
        elif KIND == "same element":
            tl.store(y, tl.sum(v))  # race
        elif KIND == "inner loop":
            for k in range(3):
                tl.store(y + k * B + i, v)  # race
        elif KIND == "scattered":
            tl.store(y + (i * i) % B, v)  # race
        elif KIND == "overlap":
            tl.store(y + s * (B // 2) + i, v)  # race
        elif KIND == "block pointer":
            tl.store(tl.make_block_ptr(y, (B * 4,), (1,), (s * (B // 2),), (B,), (0,)), v)  # race
        elif KIND == "rows":
            rows = tl.make_block_ptr(y, (64, B), (B, 1), (s * 4, 0), (8, B), (1, 0))
            tl.store(rows, tl.broadcast_to(v[None, :], (8, B)))  # race
        elif KIND == "guarded":
            if s == 1:
                tl.store(y + i, v)
        elif KIND == "masked":
            tl.store(y + i, v, mask=s * B + i < B)
        elif KIND == "atomic":
            tl.atomic_add(y + i, v)
        elif KIND == "same value":
            tl.store(y + i, tl.full((B,), 3.0, tl.float32))
        elif KIND == "loaded place":
            tl.store(y + tl.load(x + s).to(tl.int32) + i, v)
        elif KIND == "ticket":
            tl.store(y + tl.atomic_add(y, 1.0).to(tl.int32) + i, v)
        elif KIND == "inner pointer":
            p = y + i
            for _ in range(s):
                p += B
            tl.store(p, v)
        elif KIND == "interleaved":
            tl.store(y + s + i * n, v)
        elif KIND == "other way":
            tl.store(y + (n - 1 - s) * B + i, v)
        elif KIND == "whole rows":
            rows = tl.make_block_ptr(y, (64, B), (B, 1), (s * 8, 0), (8, B), (1, 0))
            tl.store(rows, tl.broadcast_to(v[None, :], (8, B)))


RACES = ["same block", "same element", "inner loop", "scattered", "overlap", "block pointer", "rows"]
FINE = [
    "guarded", "masked", "atomic", "same value", "loaded place", "ticket", "inner pointer", "interleaved",
    "other way", "whole rows",
]  # fmt: skip


@pytest.mark.parametrize("kind", RACES)
def test_a_race_is_diagnosed_where_it_is(use_core, kind):
    use_core("host")
    x, y = np.zeros(64, np.float32), np.zeros(1024, np.float32)
    with pytest.raises(CompileError, match="iterations that may run at once store") as raised:
        races[(1,)](x, y, 2, KIND=kind, B=16)
    assert raised.value.kernel == "races" and raised.value.fix
    assert "# race" in linecache.getline(__file__, raised.value.place.line)


@pytest.mark.parametrize("kind", FINE)
def test_what_is_no_race_compiles(use_core, kind):
    use_core("host")
    x, y = np.zeros(64, np.float32), np.zeros(1024, np.float32)
    races[(1,)](x, y, 2, KIND=kind, B=16)


def test_a_single_iteration_does_not_race(use_core):
    use_core("host")
    x, y = np.ones(64, np.float32), np.zeros(1024, np.float32)
    single[(1,)](x, y, B=16)
    np.testing.assert_array_equal(y[:16], x[:16])


@triton.jit
def single(x, y, B: tl.constexpr):
    for s in smt.parallel(3, 4):
        tl.store(y + tl.arange(0, B), tl.load(x + s * B + tl.arange(0, B)))
