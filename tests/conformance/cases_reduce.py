"""Reductions and scans along any axis, with any combine function."""

import numpy as np
import triton
import triton.language as tl

from .arrays import given, integers, normal, numbers, output, permutation, uniform
from .case import Case


@triton.jit
def reduce_2d(x, rows, columns, total, M: tl.constexpr, N: tl.constexpr, OP: tl.constexpr):
    """Reduces an M x N block along each axis, and along both."""
    i = tl.arange(0, M)
    j = tl.arange(0, N)
    a = tl.load(x + i[:, None] * N + j[None, :])
    if OP == "sum":
        by_row, by_column, all_of_it = tl.sum(a, 1), tl.sum(a, 0), tl.sum(a)
    elif OP == "max":
        by_row, by_column, all_of_it = tl.max(a, 1), tl.max(a, 0), tl.max(a)
    elif OP == "min":
        by_row, by_column, all_of_it = tl.min(a, 1), tl.min(a, 0), tl.min(a)
    else:
        by_row, by_column, all_of_it = tl.xor_sum(a, 1), tl.xor_sum(a, 0), tl.xor_sum(tl.xor_sum(a, 0), 0)
    tl.store(rows + i, by_row)
    tl.store(columns + j, by_column)
    tl.store(total, all_of_it)


@triton.jit
def extreme_of_rows(x, out, M: tl.constexpr, N: tl.constexpr, OP: tl.constexpr):
    """Of rows that are longer than a few vectors."""
    for i in range(M):
        row = tl.load(x + i * N + tl.arange(0, N))
        tl.store(out + i, tl.max(row, 0) if OP == "max" else tl.min(row, 0))


def hopeless_rows(sign):
    """Rows of NaN, of both, of infinity, and of one number among either."""
    rows = np.full((5, 256), np.nan)
    rows[1, 77] = rows[2] = sign * np.inf
    rows[3, 200] = rows[4, 3] = 7
    rows[4, 4:] = sign * np.inf
    return rows


NUMPY = {"sum": np.sum, "max": np.max, "min": np.min, "xor": np.bitwise_xor.reduce}


def reduce_case(op, dtype, x=None, out=None, ulps=0.0, atol=0.0):
    shape = (8, 32)
    out = out or dtype

    def expect(x, **_):
        x = x.astype(x.dtype if out == dtype else np.int64)  # sums of small integers are wider
        reduce = NUMPY[op]
        both = x.ravel()
        return {"rows": reduce(x, axis=1), "columns": reduce(x, axis=0), "total": [reduce(both)]}

    return Case(
        id=f"{op}-{dtype}",
        kernel=reduce_2d,
        args={
            "x": x or numbers(dtype, *shape),
            "rows": output(out, shape[0]),
            "columns": output(out, shape[1]),
            "total": output(out, 1),
        },
        meta={"M": shape[0], "N": shape[1], "OP": op},
        expect=expect,
        ulps=ulps,
        atol=atol,
        interpretable=dtype != "bf16",
    )


@triton.jit
def reduce_3d(x, out0, out1, out2, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """Each of three axes in turn; keep_dims."""
    i = tl.arange(0, A)[:, None, None]
    j = tl.arange(0, B)[None, :, None]
    k = tl.arange(0, C)[None, None, :]
    a = tl.load(x + (i * B + j) * C + k)
    tl.store(out0 + j * C + k, tl.sum(a, 0, keep_dims=True))
    tl.store(out1 + i * C + k, tl.max(a, 1, keep_dims=True))
    tl.store(out2 + i * B + j, tl.min(a, 2, keep_dims=True))


@triton.jit
def softmax_rows(x, out, n, N: tl.constexpr):
    row = tl.program_id(0)
    j = tl.arange(0, N)
    a = tl.load(x + row * n + j, mask=j < n, other=float("-inf"))
    e = tl.exp(a - tl.max(a, 0))
    tl.store(out + row * n + j, e / tl.sum(e, 0), mask=j < n)


def softmax_reference(x, **_):
    e = np.exp(x - x.max(1, keepdims=True))
    return {"out": e / e.sum(1, keepdims=True)}


@triton.jit
def positions(x, out, M: tl.constexpr, N: tl.constexpr):
    """Rows of out: argmax and argmin of each row; the first of equals wins."""
    i = tl.arange(0, M)
    a = tl.load(x + i[:, None] * N + tl.arange(0, N)[None, :])
    tl.store(out + i, tl.argmax(a, 1))
    tl.store(out + M + i, tl.argmin(a, 1))


@triton.jit
def position_and_value(x, values, places, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i, mask=i < n, other=-1e30)
    value, place = tl.max(a, 0, return_indices=True)
    tl.store(values, value)
    tl.store(places, place)
    value, place = tl.min(tl.where(i < n, a, 1e30), 0, return_indices=True)
    tl.store(values + 1, value)
    tl.store(places + 1, place)


@triton.jit
def product(a, b):
    return a * b


@triton.jit
def larger_magnitude(a, b):
    return tl.where(tl.abs(b) > tl.abs(a), b, a)


@triton.jit
def custom_reduce(x, out, M: tl.constexpr, N: tl.constexpr):
    """Rows of out: the product of each row; its number of largest magnitude."""
    i = tl.arange(0, M)
    a = tl.load(x + i[:, None] * N + tl.arange(0, N)[None, :])
    tl.store(out + i, tl.reduce(a, 1, product))
    tl.store(out + M + i, tl.reduce(a, 1, larger_magnitude))


def custom_reference(x, **_):
    biggest = np.abs(x).argmax(1)
    return {"out": np.stack([x.prod(1), x[np.arange(len(x)), biggest]])}


@triton.jit
def welford(mean_a, m2_a, count_a, mean_b, m2_b, count_b):
    """Joins two samples' mean, sum of squared deviations, and size (Chan et al., 1979)."""
    count = count_a + count_b
    delta = mean_b - mean_a
    share = count_b / tl.maximum(count, 1.0)
    return mean_a + delta * share, m2_a + m2_b + delta * delta * count_a * share, count


@triton.jit
def moments(x, out, n, BLOCK: tl.constexpr):
    """A reduction of three operands at once: mean and variance."""
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i, mask=i < n, other=0.0)
    count = tl.where(i < n, 1.0, 0.0)
    mean, m2, count = tl.reduce((a, tl.zeros_like(a), count), 0, welford)
    tl.store(out, mean)
    tl.store(out + 1, m2 / count)
    tl.store(out + 2, count)


@triton.jit
def first_order(a1, b1, a2, b2):
    """Composition of x -> a1 x + b1 and x -> a2 x + b2; does not commute."""
    return a1 * a2, b1 * a2 + b2


@triton.jit
def recurrence(a, b, out, N: tl.constexpr, REVERSE: tl.constexpr):
    """h[i] = a[i] h[i-1] + b[i], as a scan of two operands."""
    i = tl.arange(0, N)
    _, h = tl.associative_scan((tl.load(a + i), tl.load(b + i)), 0, first_order, reverse=REVERSE)
    tl.store(out + i, h)


def recurrence_reference(a, b, reverse):
    h, state = np.zeros_like(b), 0.0
    for i in range(len(b))[:: -1 if reverse else 1]:
        h[i] = state = a[i] * state + b[i]
    return {"out": h}


@triton.jit
def scan_2d(
    x, out, M: tl.constexpr, N: tl.constexpr, AXIS: tl.constexpr, REVERSE: tl.constexpr, OP: tl.constexpr
):
    at = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    a = tl.load(x + at)
    if OP == "sum":
        b = tl.cumsum(a, AXIS, reverse=REVERSE)
    elif OP == "product":
        b = tl.cumprod(a, AXIS, reverse=REVERSE)
    else:
        b = tl.associative_scan(a, AXIS, larger_magnitude, reverse=REVERSE)
    tl.store(out + at, b)


def magnitude_scan(x, axis):
    x = np.moveaxis(x, axis, 0).copy()
    for i in range(1, len(x)):
        x[i] = np.where(np.abs(x[i]) > np.abs(x[i - 1]), x[i], x[i - 1])
    return np.moveaxis(x, 0, axis)


SCANS = {"sum": np.cumsum, "product": np.cumprod, "magnitude": magnitude_scan}


def scan_case(op, axis, reverse, dtype="f32", x=None, ulps=16.0, atol=1e-5):
    shape = (8, 16)

    def expect(x, **_):
        turned = np.flip(x, axis) if reverse else x
        scanned = SCANS[op](turned, axis).astype(x.dtype)
        return {"out": np.flip(scanned, axis) if reverse else scanned}

    return Case(
        id=f"cumulative-{op}-{dtype}-axis{axis}{'-reverse' if reverse else ''}",
        kernel=scan_2d,
        args={"x": x or numbers(dtype, *shape), "out": output(dtype, *shape)},
        meta={"M": shape[0], "N": shape[1], "AXIS": axis, "REVERSE": reverse, "OP": op},
        expect=expect,
        ulps=ulps,
        atol=atol,
    )


@triton.jit
def sorting(x, out, M: tl.constexpr, N: tl.constexpr):
    at = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    a = tl.load(x + at)
    tl.store(out + at, tl.sort(a, descending=False))
    tl.store(out + M * N + at, tl.sort(a, descending=True))


@triton.jit
def counting(x, out, N: tl.constexpr, BINS: tl.constexpr):
    a = tl.load(x + tl.arange(0, N))
    tl.store(out + tl.arange(0, BINS), tl.histogram(a, BINS))


@triton.jit
def any_set(x, out, M: tl.constexpr, N: tl.constexpr):
    i = tl.arange(0, M)
    a = tl.load(x + i[:, None] * N + tl.arange(0, N)[None, :])
    tl.store(out + i, tl.reduce_or(a == 3, 1))


@triton.jit
def unit_axes(x, out, N: tl.constexpr):
    """Axes of size one."""
    j = tl.arange(0, N)
    row = tl.load(x + j[None, :])
    tl.store(out + j, tl.sum(row, 0))
    tl.store(out + N, tl.max(tl.sum(tl.load(x + tl.arange(0, 1)), 0, keep_dims=True)))


CASES = [
    reduce_case("sum", "f32", ulps=32, atol=1e-5),
    reduce_case("sum", "f64", ulps=32, atol=1e-14),
    reduce_case("sum", "f16", ulps=8, atol=0.25),
    reduce_case("sum", "bf16", ulps=8, atol=2.0),
    reduce_case("sum", "i32", integers("i32", 8, 32, low=-(10**6), high=10**6)),
    reduce_case("sum", "i64"),
    reduce_case("sum", "u32"),
    reduce_case("sum", "i8", out="i32"),
    reduce_case("sum", "u8", out="u32"),
    *(reduce_case(op, d) for op in ("max", "min") for d in ("f32", "i8", "u16", "i64", "f16")),
    reduce_case("max", "bf16"),
    reduce_case("max", "u32"),
    reduce_case("xor", "i32"),
    reduce_case("xor", "u8"),
    Case(
        id="reduce-each-of-three-axes",
        kernel=reduce_3d,
        args={
            "x": normal("f32", 4, 8, 16),
            "out0": output("f32", 8, 16),
            "out1": output("f32", 4, 16),
            "out2": output("f32", 4, 8),
        },
        meta={"A": 4, "B": 8, "C": 16},
        expect=lambda x, **_: {"out0": x.sum(0), "out1": x.max(1), "out2": x.min(2)},
        ulps=8,
        atol=1e-6,
    ),
    Case(
        id="softmax",
        kernel=softmax_rows,
        grid=(5,),
        args={"x": normal("f32", 5, 50, scale=5), "out": output("f32", 5, 50), "n": 50},
        meta={"N": 64},
        expect=softmax_reference,
        ulps=16,
    ),
    Case(
        id="argmax-argmin",
        kernel=positions,
        args={"x": normal("f32", 8, 32), "out": output("i32", 2, 8)},
        meta={"M": 8, "N": 32},
        expect=lambda x, **_: {"out": np.stack([x.argmax(1), x.argmin(1)])},
    ),
    Case(
        id="argmax-argmin-ties",
        kernel=positions,
        args={"x": integers("i32", 8, 32, low=0, high=3), "out": output("i32", 2, 8)},
        meta={"M": 8, "N": 32},
        expect=lambda x, **_: {"out": np.stack([x.argmax(1), x.argmin(1)])},
    ),
    Case(
        id="max-with-index",
        kernel=position_and_value,
        args={"x": normal("f32", 27), "values": output("f32", 2), "places": output("i32", 2), "n": 27},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"values": [x.max(), x.min()], "places": [x.argmax(), x.argmin()]},
        ulps=0,
    ),
    Case(
        id="reduce-custom",
        kernel=custom_reduce,
        args={"x": uniform("f32", 8, 16, low=-1.5, high=1.5), "out": output("f32", 2, 8)},
        meta={"M": 8, "N": 16},
        expect=custom_reference,
        ulps=16,
    ),
    Case(
        id="reduce-three-operands",
        kernel=moments,
        args={"x": normal("f32", 50), "out": output("f32", 3), "n": 50},
        meta={"BLOCK": 64},
        expect=lambda x, n, **_: {"out": [x.mean(), x.var(), n]},
        ulps=32,
        atol=1e-6,
    ),
    *(
        Case(
            id=f"scan-two-operands{'-reverse' if reverse else ''}",
            kernel=recurrence,
            args={"a": uniform("f32", 32, low=-1), "b": normal("f32", 32), "out": output("f32", 32)},
            meta={"N": 32, "REVERSE": reverse},
            expect=lambda a, b, reverse=reverse, **_: recurrence_reference(a, b, reverse),
            ulps=32,
            atol=1e-5,
        )
        for reverse in (False, True)
    ),
    *(scan_case("sum", axis, reverse) for axis in (0, 1) for reverse in (False, True)),
    scan_case("sum", 1, False, "i32", ulps=0, atol=0),
    scan_case("product", 0, False, x=uniform("f32", 8, 16, low=-1.5, high=1.5)),
    scan_case("product", 1, True, x=uniform("f32", 8, 16, low=-1.5, high=1.5)),
    scan_case("product", 1, False, "i64", ulps=0, atol=0),
    scan_case("magnitude", 0, False, ulps=0, atol=0),
    scan_case("magnitude", 1, True, ulps=0, atol=0),
    Case(
        id="sort",
        kernel=sorting,
        args={"x": normal("f32", 4, 32), "out": output("f32", 2, 4, 32)},
        meta={"M": 4, "N": 32},
        expect=lambda x, **_: {"out": np.stack([np.sort(x, 1), np.sort(x, 1)[:, ::-1]])},
        ulps=0,
    ),
    Case(
        id="sort-i16",
        kernel=sorting,
        args={"x": permutation("i16", 64), "out": output("i16", 2, 4, 16)},
        meta={"M": 4, "N": 16},
        expect=lambda x, **_: {
            "out": np.stack([np.sort(x.reshape(4, 16), 1), np.sort(x.reshape(4, 16), 1)[:, ::-1]])
        },
    ),
    Case(
        id="histogram",
        kernel=counting,
        args={"x": integers("i32", 64, low=0, high=15), "out": output("i32", 16)},
        meta={"N": 64, "BINS": 16},
        expect=lambda x, **_: {"out": np.bincount(x, minlength=16)},
    ),
    Case(
        id="reduce-or",
        kernel=any_set,
        args={"x": integers("i32", 8, 16, low=0, high=30), "out": output("i8", 8)},
        meta={"M": 8, "N": 16},
        expect=lambda x, **_: {"out": (x == 3).any(1)},
    ),
    Case(
        id="reduce-axes-of-one",
        kernel=unit_axes,
        args={"x": normal("f32", 16), "out": output("f32", 17)},
        meta={"N": 16},
        expect=lambda x, **_: {"out": np.append(x, x[0])},
        ulps=0,
    ),
    Case(
        id="max-of-nan",
        kernel=reduce_2d,
        args={
            "x": given(
                "f32", np.where(np.arange(64).reshape(4, 16) % 7 == 2, np.nan, np.arange(64).reshape(4, 16))
            ),
            "rows": output("f32", 4),
            "columns": output("f32", 16),
            "total": output("f32", 1),
        },
        meta={"M": 4, "N": 16, "OP": "max"},
        expect=lambda x, **_: {"rows": np.nanmax(x, 1), "columns": np.nanmax(x, 0), "total": [np.nanmax(x)]},
        ulps=0,
    ),
    *(
        Case(
            id=f"{name}-of-nothing-but-nan-or-infinity-{dtype}",
            kernel=extreme_of_rows,
            args={"x": given(dtype, hopeless_rows(sign)), "out": output(dtype, 5)},
            meta={"M": 5, "N": 256, "OP": name},
            expect=lambda x, sign=sign, **_: {"out": np.array([np.nan, sign * np.inf, sign * np.inf, 7, 7])},
            ulps=0,
        )
        for name, sign in (("max", -1), ("min", 1))
        for dtype in ("f32", "f64", "f16")
    ),
]
