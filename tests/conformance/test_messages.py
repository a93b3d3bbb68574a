"""What kernels print, and assertions that fail: the launch ends with an error, the process lives on."""

import linecache
import re

import numpy as np
import pytest
import triton
import triton.language as tl

from vertebra.core.errors import LaunchError


@triton.jit
def printing(x, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i)
    if tl.program_id(1) == 1:
        tl.device_print("second row")
    tl.device_print("a", a)
    print("sum", tl.sum(a, 0).to(tl.float16), n)
    tl.device_print("bits", a.to(tl.int16)[:, None] - 1, hex=True)


def test_every_element_is_a_line(core, use_core, capsys):
    use_core(core)
    printing[(1, 2)](np.arange(4, dtype=np.float32) * 0.5, -3, BLOCK=4)
    lines = capsys.readouterr().out.splitlines()
    expected = []
    for y in (0, 1):
        pid = f"pid (0, {y}, 0)"
        expected += [f"{pid} second row"] if y else []
        expected += [f"{pid} idx ({i}) a: {i / 2:f}" for i in range(4)]
        expected += [f"{pid} idx () sum: (operand 0) 3.000000", f"{pid} idx () sum: (operand 1) -3"]
        expected += [
            f"{pid} idx ({i}, 0) bits: {v}" for i, v in enumerate(("0xffff", "0xffff", "0x0000", "0x0000"))
        ]
    # Programs run at once; the lines of each stay in order.
    for y in (0, 1):
        assert [s for s in lines if f"(0, {y}, 0)" in s] == [s for s in expected if f"(0, {y}, 0)" in s]
    assert len(lines) == len(expected)


@triton.jit
def printing_types(x, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i)
    tl.device_print("u8", a.to(tl.uint8))
    tl.device_print("i8", a.to(tl.int8))
    tl.device_print("i1", a > 0)
    tl.device_print("i64", a.to(tl.int64) << 32)
    tl.device_print("u64", (a.to(tl.int64) << 32).to(tl.uint64))
    tl.device_print("bf16", a.to(tl.bfloat16))
    tl.device_print("f64", a.to(tl.float64) / 3)
    tl.device_print("fp8", a.to(tl.float32).to(tl.float8e5))
    tl.device_print("f16", a.to(tl.float16), hex=True)
    tl.device_print("where", x)


def test_every_type_is_printed(core, use_core, capsys):
    use_core(core)
    printing_types[(1,)](np.array([-2, 5], np.int32), BLOCK=2)
    out = capsys.readouterr().out
    said = [line.split(": ")[1] for line in out.splitlines()]
    low, high = -2 << 32, 5 << 32
    assert said[:-1] == [
        *("254", "5", "-2", "5", "0", "1"),
        *(str(low), str(high), str(low + (1 << 64)), str(high)),
        *("-2.000000", "5.000000", "-0.666667", "1.666667", "-2.000000", "5.000000"),
        *("0xc000", "0x4500"),
    ]
    assert re.fullmatch("0x[0-9a-f]{6,}", said[-1])


@triton.jit
def printing_in_a_loop(x, n):
    for k in range(n):
        value = tl.load(x + k)
        if value > 2:
            tl.device_print("big", value, k)


def test_a_print_runs_as_often_as_it_is_reached(core, use_core, capsys):
    use_core(core)
    printing_in_a_loop[(1,)](np.array([1, 5, 2, 7], np.int32), 4)
    values = [line.rsplit(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert values == ["5", "1", "7", "3"]


@triton.jit
def checked(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a = tl.load(x + i, mask=i < n, other=0)
    tl.device_assert(a >= 0, "x must not be negative", mask=i < n)
    tl.store(out + i, a * 2, mask=i < n)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_an_assertion_ends_the_launch_and_nothing_else(core, use_core, threads, monkeypatch):
    use_core(core)
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", threads)
    kernel = triton.jit(checked.fn)  # the number of threads is read when a kernel is loaded
    x = np.arange(1000, dtype=np.int32)
    x[555] = -1
    out = np.zeros_like(x)
    for _ in range(3):
        with pytest.raises(LaunchError) as raised:
            kernel[(63,)](x, out, 1000, BLOCK=16, debug=True)
        message = raised.value.message
        assert "kernel checked on grid (63, 1, 1)" in message
        assert "program (34, 0, 0)" in message and "x must not be negative" in message
        file, line = re.search(r"(\S+):(\d+):\d+: assertion failed", message).groups()
        assert "device_assert" in linecache.getline(file, int(line))
    assert out[555] == 0
    x[555] = 1
    kernel[(63,)](x, out, 1000, BLOCK=16, debug=True)
    np.testing.assert_array_equal(out, 2 * x)


def test_assertions_cost_nothing_without_debug(core, use_core):
    use_core(core)
    x = np.full(16, -1, np.int32)
    out = np.zeros_like(x)
    checked[(1,)](x, out, 16, BLOCK=16)
    np.testing.assert_array_equal(out, 2 * x)


@triton.jit
def summed(x, out, n, BLOCK: tl.constexpr):
    assert n > 0, "n"
    tl.store(out, tl.sum(tl.load(x + tl.arange(0, BLOCK)), 0))


def test_an_overflow_in_a_reduction_is_found(core, use_core):
    use_core(core)
    x, out = np.full(16, 1 << 26, np.int32), np.zeros(1, np.int32)
    summed[(1,)](x, out, 1, BLOCK=16, debug=True)
    assert out[0] == 1 << 30
    with pytest.raises(LaunchError, match="int32 overflow detected for operation add"):
        summed[(1,)](x * 2, out, 1, BLOCK=16, debug=True)
    with pytest.raises(LaunchError, match=r"program \(0, 0, 0\): .*: assertion failed: n$"):
        summed[(1,)](x, out, 0, BLOCK=16, debug=True)


@triton.jit
def unsafe(x, at):
    assert at < 8, "outside"
    tl.store(x + at, 1.0)


def test_nothing_after_an_assertion_runs(core, use_core):
    use_core(core)
    x = np.zeros(8, np.float32)
    with pytest.raises(LaunchError, match="outside"):
        unsafe[(1,)](x, 1 << 40, debug=True)  # the store would end the process
    unsafe[(1,)](x, 7, debug=True)
    assert x[7] == 1
