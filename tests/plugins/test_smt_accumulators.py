"""Sums that `smt.dot` puts into a part of a variable, on the cores, compared with NumPy."""

import numpy as np
import pytest
import triton
import triton.language as tl
import triton.language.extra.smt as smt

from vertebra.core import select

from ..lowering.plugged import plugged

RNG = np.random.default_rng(0)


@pytest.fixture(params=["host", "spacemit-x60"])
def core(request, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    select.set_core(request.param)
    with plugged("xsmt"):
        yield
    select.set_core(None)


def floats(*shape, dtype=np.float32):
    return RNG.integers(-4, 5, shape).astype(dtype)


@triton.jit
def load(p, R: tl.constexpr, C: tl.constexpr):
    return tl.load(p + tl.arange(0, R)[:, None] * C + tl.arange(0, C)[None, :])


@triton.jit
def store(p, value, R: tl.constexpr, C: tl.constexpr):
    tl.store(p + tl.arange(0, R)[:, None] * C + tl.arange(0, C)[None, :], value)


@triton.jit
def rows_of(a, row, SUB: tl.constexpr, K: tl.constexpr):
    return smt.view(a, (row, 0), (SUB, K), (8, 8))


@triton.jit
def scaled(x, w, plain, half, scale, rows, KS: tl.constexpr):
    """acc is read after the loop, scaled at run time, stored twice, once masked and once converted."""
    acc = tl.zeros((32, 32), tl.float32)
    for k in range(KS):
        a, b = load(x + k * 32 * 16, 32, 16), load(w + k * 16 * 32, 16, 32)
        b = smt.view(b, (0, 0), (16, 32), (8, 16))
        for s in smt.parallel(0, 2):
            smt.dot(rows_of(a, s * 16, 16, 16), b, smt.view(acc, (s * 16, 0), (16, 32), (8, 16)))
    i, j = tl.arange(0, 32), tl.arange(0, 32)
    tl.store(plain + i[:, None] * 32 + j[None, :], acc * scale, mask=i[:, None] < rows)
    store(half, acc.to(tl.float16), 32, 32)


def test_an_accumulator_is_read_after_the_loop(core):
    x, w = floats(3, 32, 16), floats(3, 16, 32)
    plain, half = np.full((32, 32), 7, np.float32), np.zeros((32, 32), np.float16)
    scaled[(1,)](x, w, plain, half, 0.5, 21, KS=3)
    want = np.einsum("kij,kjl->il", x, w)
    np.testing.assert_array_equal(half, want.astype(np.float16))
    np.testing.assert_array_equal(plain[:21], want[:21] * np.float32(0.5))
    np.testing.assert_array_equal(plain[21:], 7)


@triton.jit
def read_in_order(x, w, out, n):
    a, b = load(x, 16, 16), smt.view(load(w, 16, 32), (0, 0), (16, 32), (8, 16))
    a = smt.view(a, (0, 0), (16, 16), (8, 8))
    acc = tl.zeros((16, 32), tl.float32)
    for k in range(n):
        store(out + k * 2 * 16 * 32, acc, 16, 32)
        smt.dot(a, b, smt.view(acc, (0, 0), (16, 32), (8, 16)))
        acc = acc * 2
        store(out + (k * 2 + 1) * 16 * 32, acc, 16, 32)


def test_reads_inside_a_loop_see_what_was_added_before(core):
    x, w, out = floats(16, 16), floats(16, 32), np.zeros((6, 16, 32), np.float32)
    read_in_order[(1,)](x, w, out, 3)
    acc = np.zeros((16, 32), np.float32)
    for k in range(3):
        np.testing.assert_array_equal(out[2 * k], acc)
        acc = (acc + x @ w) * 2
        np.testing.assert_array_equal(out[2 * k + 1], acc)


@triton.jit
def two_names(x, w, out, n):
    a, b = load(x, 16, 16), smt.view(load(w, 16, 32), (0, 0), (16, 32), (8, 16))
    a = smt.view(a, (0, 0), (16, 16), (8, 8))
    acc = tl.full((16, 32), 1.0, tl.float32)
    before = acc
    never = acc
    for _ in range(n):
        smt.dot(a, b, smt.view(acc, (0, 0), (16, 32), (8, 16)))
    store(out, acc, 16, 32)
    store(out + 16 * 32, before, 16, 32)
    store(out + 2 * 16 * 32, never + before, 16, 32)


def test_two_names_of_one_accumulator_are_two_values(core):
    x, w, out = floats(16, 16), floats(16, 32), np.zeros((3, 16, 32), np.float32)
    two_names[(1,)](x, w, out, 2)
    np.testing.assert_array_equal(out[0], 1 + 2 * (x @ w))
    np.testing.assert_array_equal(out[1], 1)
    np.testing.assert_array_equal(out[2], 2)


@triton.jit
def of_packed(x, w, out, n, COLUMN: tl.constexpr):
    """A packed accumulator; the view of it is taken before the loop."""
    a, b = load(x, 16, 16), smt.view(load(w, 16, 16), (0, 0), (16, 16), (8, 16))
    a = smt.view(a, (0, 0), (16, 16), (8, 8))
    acc = smt.view(tl.zeros((32, 32), tl.float32), (0, 0), (32, 32), (8, 16))
    part = smt.view(acc, (8, COLUMN), (16, 16))
    for _ in range(n):
        smt.dot(a, b, part)
    store(out, smt.view(acc, (0, 0), (32, 32), (1, 1)), 32, 32)


@pytest.mark.parametrize("column", [0, 16])
def test_a_part_of_a_packed_accumulator(core, column):
    x, w, out = floats(16, 16), floats(16, 16), np.full((32, 32), 7, np.float32)
    of_packed[(1,)](x, w, out, 3, COLUMN=column)
    want = np.zeros((32, 32), np.float32)
    want[8:24, column : column + 16] = 3 * (x @ w)
    np.testing.assert_array_equal(out, want)


@triton.jit
def over_the_edge(x, w, out, row, column):
    a, b = load(x, 16, 16), smt.view(load(w, 16, 16), (0, 0), (16, 16), (8, 16))
    a = smt.view(a, (0, 0), (16, 16), (8, 8))
    acc = load(out, 32, 32)
    smt.dot(a, b, smt.view(acc, (row, column), (16, 16), (8, 16)))
    store(out, acc, 32, 32)


@pytest.mark.parametrize("row, column", [(-5, 3), (24, 20), (9, -16), (40, 0)])
def test_what_lies_outside_of_the_accumulator_goes_nowhere(core, row, column):
    x, w, out = floats(16, 16), floats(16, 16), floats(32, 32)
    want = np.zeros((128, 128), np.float32)
    want[40:72, 40:72] = out
    want[40 + row : 56 + row, 40 + column : 56 + column] += x @ w
    over_the_edge[(1,)](x, w, out, row, column)
    np.testing.assert_array_equal(out, want[40:72, 40:72])


@triton.jit
def in_branches(x, w, out, flag):
    a, b = load(x, 16, 16), smt.view(load(w, 16, 16), (0, 0), (16, 16), (8, 16))
    a = smt.view(a, (0, 0), (16, 16), (8, 8))
    acc = tl.full((16, 16), 2.0, tl.float32)
    if flag > 0:
        smt.dot(a, b, smt.view(acc, (0, 0), (16, 16), (8, 16)))
    else:
        smt.dot(a, b, smt.view(acc, (0, 0), (16, 16), (8, 16)), overwrite=True)
    store(out, acc, 16, 16)


@pytest.mark.parametrize("flag", [0, 1])
def test_branches_hand_the_accumulator_on(core, flag):
    x, w, out = floats(16, 16), floats(16, 16), np.zeros((16, 16), np.float32)
    in_branches[(1,)](x, w, out, flag)
    np.testing.assert_array_equal(out, x @ w + 2 * flag)


@triton.jit
def nested(x, w, out):
    """A view of a view, and two views taken before either is used."""
    a, b = load(x, 16, 16), smt.view(load(w, 16, 16), (0, 0), (16, 16), (8, 16))
    a = smt.view(a, (0, 0), (16, 16), (8, 8))
    acc = tl.zeros((32, 32), tl.float32)
    left = smt.view(acc, (0, 0), (32, 16), (8, 16))
    right = smt.view(acc, (16, 16), (16, 16), (8, 16))
    smt.dot(a, b, smt.view(left, (16, 0), (16, 16)))
    smt.dot(a, b, right)
    smt.dot(a, b, smt.view(left, (16, 0), (16, 16)))
    smt.dot(a, b, right)
    store(out, acc, 32, 32)


def test_views_of_views_and_of_parts_side_by_side(core):
    x, w, out = floats(16, 16), floats(16, 16), np.full((32, 32), 7, np.float32)
    nested[(1,)](x, w, out)
    want = np.zeros((32, 32), np.float32)
    want[16:, :16], want[16:, 16:] = 2 * (x @ w), 2 * (x @ w)
    np.testing.assert_array_equal(out, want)


@triton.jit
def into_a_variable(x, out):
    value = load(x, 32, 32)
    to = smt.view(tl.zeros((32, 32), tl.float32), (0, 0), (32, 32), (8, 8))
    smt.view(value * 2, (0, 0), (32, 32), (8, 8), to)
    store(out, smt.view(to, (0, 0), (32, 32), (1, 1)), 32, 32)


def test_a_variable_as_destination(core):
    x, out = floats(32, 32), np.zeros((32, 32), np.float32)
    into_a_variable[(1,)](x, out)
    np.testing.assert_array_equal(out, 2 * x)


@triton.jit
def integers(x, w, out, K: tl.constexpr):
    a = smt.view(load(x, 16, K), (0, 0), (16, K), (8, 8))
    b = smt.view(load(w, K, 16), (0, 0), (K, 16), (8, 16))
    acc = tl.zeros((16, 16), tl.int32)
    smt.dot(a, b, smt.view(acc, (0, 0), (16, 16), (8, 16)))
    smt.dot(a, b, smt.view(acc, (0, 0), (16, 16), (8, 16)))
    store(out, acc, 16, 16)


def test_bytes_add_up_in_words(core):
    x, w = (RNG.integers(-128, 128, s, dtype=np.int8) for s in ((16, 64), (64, 16)))
    out = np.zeros((16, 16), np.int32)
    integers[(1,)](x, w, out, K=64)
    np.testing.assert_array_equal(out, 2 * (x.astype(np.int32) @ w.astype(np.int32)))
