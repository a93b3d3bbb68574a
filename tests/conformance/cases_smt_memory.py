"""Memory of a program's own, hints and parallel loops of `smt`; tiles of `tle`; scans; what loads keep."""

import numpy as np
import triton
import triton.language as tl
import triton.language.extra.smt as smt
from triton.language.extra import tle

from .arrays import given, integers, normal, numbers, output, uniform
from .case import Case
from .cases_smt_views import at_start, packed, store_tiles

# --- Memory ---


@triton.jit
def converting(x, out):
    """What is stored to memory of float32, the default, is converted to it."""
    kept = smt.alloc((16, 32))
    tl.store(kept, tl.load(at_start(x, 16, 32)))
    a = tl.load(kept)
    tl.store(at_start(out, 16, 32), a / 3)


@triton.jit
def plain_and_packed(x, out):
    """One piece of memory written plainly, changed through a packed view, read both ways."""
    kept = smt.alloc((16, 32), tl.float32)
    tl.store(kept, tl.load(at_start(x, 16, 32)))
    seen = smt.view(kept, (0, 0), (16, 32), (8, 8))
    part = smt.view(seen, (8, 8), (8, 16))
    tl.store(part, tl.load(part) + 100)
    store_tiles(out, tl.load(seen))
    tl.store(at_start(out + 512, 16, 32), tl.load(kept))


def plain_and_packed_wanted(x, **_):
    after = x.copy()
    after[8:, 8:24] += 100
    return {"out": np.concatenate([packed(after, (0, 0), (16, 32), (8, 8)).ravel(), after.ravel()])}


@triton.jit
def alloc_eras(x, out, ERA: tl.constexpr):
    a = smt.view(tl.load(at_start(x, 16, 32)), (0, 0), (16, 32), (8, 16))
    if ERA == "type":
        kept = smt.view(smt.alloc((16, 32), type=tl.float16, storage="tcm"), (0, 0), (16, 32), (8, 16))
    elif ERA == "scope":
        kept = smt.view(smt.alloc([16, 32], tl.float16, scope="fragment"), (0, 0), (16, 32), (8, 16))
    elif ERA == "micro-third":
        kept = smt.alloc((16, 32), tl.float16, (8, 16), "l2")
    else:
        kept = smt.alloc((16, 32), (8, 16), tl.float16)
    tl.store(kept, a)
    store_tiles(out, tl.load(kept))


@triton.jit
def kept_over_turns(x, out, n):
    """Memory made in a loop is the same in each turn: it lives as long as the program."""
    for k in range(n):
        kept = smt.alloc((1, 16))
        if k == 0:
            tl.store(kept, tl.load(at_start(x, 1, 16)))
        tl.store(kept, tl.load(kept) + 1)
        tl.store(at_start(out, 1, 16), tl.load(kept))


@triton.jit
def rotating(x, out, n, COPIES: tl.constexpr):
    """Blocks are loaded COPIES - 1 turns ahead of their use, into buffers in turn."""
    buffers = smt.alloc_copies((1, 16), tl.float32, "l2", COPIES)
    p = tl.make_block_ptr(x, (n, 16), (16, 1), (0, 0), (1, 16), (1, 0))
    for k in range(COPIES - 1):
        tl.store(buffers[k % COPIES], smt.descriptor_load(p, (k, 0)))
    for k in range(n):
        tl.store(buffers[(k + COPIES - 1) % COPIES], smt.descriptor_load(p, (k + COPIES - 1, 0)))
        to = tl.make_block_ptr(out, (n, 16), (16, 1), (k, 0), (1, 16), (1, 0))
        tl.store(to, tl.load(buffers[k % COPIES]) * 2)


@triton.jit
def by_number(x, out, i):
    """Buffers by numbers that are known and that are not, under names, and through a branch."""
    buffers = smt.alloc_copies((2, 8), dtype=tl.int32, copies=3)
    for k in tl.static_range(3):
        tl.store(buffers[k], tl.load(at_start(x + k * 16, 2, 8)))
    first = buffers[0]
    tl.store(buffers[i], tl.load(buffers[i]) * 2)
    chosen = first
    if i > 0:
        chosen = buffers[i - 1]
    tl.store(at_start(out, 2, 8), tl.load(chosen))
    for k in tl.static_range(3):
        tl.store(at_start(out + 16 + k * 16, 2, 8), tl.load(buffers[k]))


def by_number_wanted(x, i, **_):
    after = x.copy()
    after[i] *= 2
    return {"out": np.concatenate([after[max(i - 1, 0)][None], after])}


# --- Loads keep what they saw ---


@triton.jit
def swap(x, y, KIND: tl.constexpr):
    if KIND == "pointers":
        i = tl.arange(0, 64)
        a, b = tl.load(x + i), tl.load(y + i)
        tl.store(x + i, b)
        tl.store(y + i, a)
    else:
        left = tl.make_block_ptr(x, (64,), (1,), (0,), (64,), (0,))
        right = tl.make_block_ptr(y, (64,), (1,), (0,), (64,), (0,))
        a, b = tl.load(left), tl.load(right)
        tl.store(left, b)
        tl.store(right, a)


@triton.jit
def snapshot(x, out):
    """Tiles of memory that changes after it was read."""
    kept = smt.view(smt.alloc((16, 32)), (0, 0), (16, 32), (8, 8))
    tl.store(kept, smt.view(tl.load(at_start(x, 16, 32)), (0, 0), (16, 32), (8, 8)))
    before = tl.load(kept)
    plain = smt.view(before, (0, 0), (16, 32), (1, 1))
    tl.store(kept, before + 1)
    tl.store(kept, tl.load(kept) * 2)
    tl.store(at_start(out, 16, 32), plain)
    tl.store(at_start(out + 512, 16, 32), smt.view(tl.load(kept), (0, 0), (16, 32), (1, 1)))


@triton.jit
def wrapped(x, out, n, m, BM: tl.constexpr, BN: tl.constexpr):
    """Rows and columns that wrap around, packed."""
    i = (tl.program_id(0) * BM + tl.arange(0, BM)) % m
    j = (5 + tl.arange(0, BN)) % n
    a = tl.load(x + i[:, None] * n + j[None, :])
    store_tiles(out + tl.program_id(0) * BM * BN, smt.view(a, (0, 0), (BM, BN), (4, 8)))


def wrapped_wanted(x, **_):
    m, n = x.shape
    columns = (5 + np.arange(16)) % n
    parts = [x[(8 * p + np.arange(8)) % m][:, columns] for p in range(3)]
    return {"out": np.concatenate([packed(a, (0, 0), (8, 16), (4, 8)).ravel() for a in parts])}


# --- Hints, loops, half precision ---


@triton.jit
def hints(x, out, n, BLOCK: tl.constexpr):
    """On any value, of any kind, more than once."""
    i = tl.arange(0, BLOCK)
    smt.compile_hint(i, "index")
    smt.compile_hint(n, "number", 8)
    smt.compile_hint(x, "pointer", True)
    a = tl.load(x + i, mask=i < n, other=0)
    smt.compile_hint(a, "first")
    smt.compile_hint(a, "second", 42)
    smt.compile_hint(a, "second", 43)
    smt.compile_hint(a, "third", -(2**31))
    smt.compile_hint(a, "none", 0)
    smt.compile_hint(a, "empty", "")
    smt.compile_hint(i < n, "mask", False)
    total = tl.sum(a, 0)
    smt.compile_hint(total, "scalar")
    product = tl.dot(a.reshape(8, 8), a.reshape(8, 8), input_precision="ieee")
    smt.compile_hint(product, "mr", 4)
    tl.store(out + i, product.reshape(BLOCK) + total, mask=i < n)


def hints_wanted(x, n, **_):
    a = np.where(np.arange(64) < n, x, 0).reshape(8, 8)
    return {"out": ((a @ a).ravel() + a.sum())[:n]}


@triton.jit
def counted(out, first, last, step: tl.constexpr):
    """As many turns as `range` would have; none where it would have none."""
    for s in smt.parallel(first, last, step):
        tl.store(out + s, s)


@triton.jit
def serial(x, out, n):
    """An ordinary loop: it hands scalars on."""
    total = 0.0
    for s in smt.parallel(0, n, bind_sub_block=False):
        total = total * 0.5 + tl.load(x + s)
        tl.store(out + s, total)


def serial_wanted(x, n, **_):
    found, total = [], 0.0
    for v in x[:n]:
        total = total * 0.5 + v
        found.append(total)
    return {"out": np.array(found)}


@triton.jit
def half_reductions(x, out, BLOCK: tl.constexpr):
    a = tl.load(x + tl.arange(0, BLOCK))
    tl.store(out, tl.max(a, 0).to(tl.float16))
    tl.store(out + 1, tl.min(a, 0).to(tl.float16))
    tl.store(out + 2, tl.sum(a, 0).to(tl.float16))


# --- Tiles by number ---


@triton.jit
def moved_tiles(x, out, row, column, number):
    """Indices of both widths, together; the source of an insertion stays as it is."""
    a = tl.load(at_start(x, 16, 32))
    tile = tle.extract_tile(a, (row, column), (4, 8))
    b = tle.insert_tile(a, tile + 1, number)
    b = tle.insert_tile(b, tile * 2, index=[0, column])
    tl.store(at_start(out, 16, 32), b)
    tl.store(at_start(out + 512, 16, 32), a)


def moved_tiles_wanted(x, row, column, number, **_):
    b = x.copy()
    column -= 2**33
    tile = x[4 * row : 4 * row + 4, 8 * column : 8 * column + 8]
    down, across = divmod(number, 4)
    b[4 * down : 4 * down + 4, 8 * across : 8 * across + 8] = tile + 1
    b[:4, 8 * column : 8 * column + 8] = tile * 2
    return {"out": np.concatenate([b, x])}


@triton.jit
def known_tiles(x, out):
    """Every tile of a tensor of three dimensions, by number and by place, in reverse order."""
    at = tl.arange(0, 4)[:, None, None] * 64 + tl.arange(0, 8)[None, :, None] * 8 + tl.arange(0, 8)
    a = tl.load(x + at)
    b = a
    for i in tl.static_range(8):
        b = tle.insert_tile(b, tle.extract_tile(a, 7 - i, (2, 4, 4)), (i // 4, i // 2 % 2, i % 2))
    tl.store(out + at, b)


def known_tiles_wanted(x, **_):
    grid = x.reshape(2, 2, 2, 4, 2, 4)
    return {"out": grid[::-1, :, ::-1, :, ::-1].reshape(4, 8, 8)}


# --- Scans ---


@triton.jit
def add(a, b):
    return a + b


@triton.jit
def largest(a, b):
    return tl.maximum(a, b)


@triton.jit
def scans(x, out, SHAPE: tl.constexpr, AXIS: tl.constexpr, KIND: tl.constexpr, BACK: tl.constexpr):
    a = tl.load(at_start(x, SHAPE[0], SHAPE[1]))
    if KIND == "sum":
        b = tl.cumsum(a, AXIS, reverse=BACK)
    elif KIND == "prod":
        b = tl.cumprod(a, AXIS, reverse=BACK)
    elif KIND == "add":
        b = tl.associative_scan(a, AXIS, add, reverse=BACK)
    else:
        b = tl.associative_scan(a, AXIS, largest, reverse=BACK)
    tl.store(at_start(out, SHAPE[0], SHAPE[1]), b.to(out.dtype.element_ty))


NUMPY = {"sum": np.cumsum, "add": np.cumsum, "prod": np.cumprod, "max": np.maximum.accumulate}


def scan_case(kind, dtype, shape, axis, back=False, values=None) -> Case:
    def expect(x, **_):
        x = np.flip(x, axis) if back else x
        wide = x if x.dtype.kind == "f" else x.astype(np.int64)
        found = NUMPY[kind](wide, axis)
        return {"out": np.flip(found, axis) if back else found}

    exact = dtype.startswith("i")
    return Case(
        id=f"scan-{kind}-{dtype}-{'x'.join(map(str, shape))}-{axis}{'-back' * back}",
        kernel=scans,
        args={"x": values or numbers(dtype, *shape), "out": output("i32" if exact else dtype, *shape)},
        meta={"SHAPE": shape, "AXIS": axis, "KIND": kind, "BACK": back},
        expect=expect,
        ulps=shape[axis] if not exact else 0,
        atol=0 if exact else 1e-4,
        interpretable=False,
    )


SMALL = {"low": -9, "high": 9}
CASES = [
    *(
        Case(
            id=f"smt-alloc-converts-{dtype}",
            kernel=converting,
            args={"x": normal(dtype, 16, 32), "out": output("f32", 16, 32)},
            expect=lambda x, **_: {"out": x.astype(np.float32) / 3},
            interpretable=False,
        )
        for dtype in ("f16", "bf16", "f32", "f64")
    ),
    Case(
        id="smt-alloc-plain-and-packed",
        kernel=plain_and_packed,
        args={"x": normal("f32", 16, 32), "out": output("f32", 1024)},
        expect=plain_and_packed_wanted,
        interpretable=False,
    ),
    *(
        Case(
            id=f"smt-alloc-era-{era}",
            kernel=alloc_eras,
            args={"x": normal("f16", 16, 32), "out": output("f16", 2, 2, 8, 16)},
            meta={"ERA": era},
            expect=lambda x, **_: {"out": packed(x, (0, 0), (16, 32), (8, 16))},
            ulps=0,
            interpretable=False,
        )
        for era in ("type", "scope", "micro-third", "micro-second")
    ),
    *(
        Case(
            id=f"smt-alloc-over-turns-{n}",
            kernel=kept_over_turns,
            args={"x": normal("f32", 1, 16), "out": output("f32", 1, 16), "n": n},
            expect=lambda x, n, **_: {"out": x + n},
            atol=1e-5,
            interpretable=False,
        )
        for n in (1, 4)
    ),
    *(
        Case(
            id=f"smt-copies-rotate-{copies}-{n}",
            kernel=rotating,
            args={"x": normal("f32", n, 16), "out": output("f32", n, 16), "n": n},
            meta={"COPIES": copies},
            expect=lambda x, **_: {"out": x * 2},
            interpretable=False,
        )
        for copies, n in ((1, 3), (2, 1), (2, 5), (3, 2), (3, 8))
    ),
    *(
        Case(
            id=f"smt-copies-by-number-{i}",
            kernel=by_number,
            args={
                "x": integers("i32", 3, 16, low=-99, high=99),
                "out": output("i32", 4, 16),
                "i": i,
            },
            expect=by_number_wanted,
            interpretable=False,
        )
        for i in (0, 1, 2)
    ),
    *(
        Case(
            id=f"load-snapshot-swap-{kind}",
            kernel=swap,
            args={"x": normal("f32", 64), "y": normal("f32", 64)},
            meta={"KIND": kind},
            expect=lambda x, y: {"x": y, "y": x},
            ulps=0,
        )
        for kind in ("pointers", "blocks")
    ),
    Case(
        id="smt-load-snapshot",
        kernel=snapshot,
        args={"x": normal("f32", 16, 32), "out": output("f32", 32, 32)},
        expect=lambda x, **_: {"out": np.concatenate([x, (x + 1) * 2])},
        atol=1e-6,
        interpretable=False,
    ),
    Case(
        id="smt-view-of-wrapped-rows",
        kernel=wrapped,
        grid=(3,),
        args={"x": normal("f32", 19, 13), "out": output("f32", 3 * 128), "n": 13, "m": 19},
        meta={"BM": 8, "BN": 16},
        expect=wrapped_wanted,
        interpretable=False,
    ),
    Case(
        id="smt-hints",
        kernel=hints,
        args={"x": normal("f32", 64), "out": output("f32", 61), "n": 61},
        meta={"BLOCK": 64},
        expect=hints_wanted,
        atol=1e-4,
        interpretable=False,
    ),
    *(
        Case(
            id=f"smt-parallel-turns-{first}-{last}-{step}",
            kernel=counted,
            args={"out": output("i32", 16), "first": first, "last": last},
            meta={"step": step},
            expect=lambda out, first, last, s=step, **_: {
                "out": np.where(np.isin(np.arange(16), range(first, last, s)), np.arange(16), out)
            },
            interpretable=False,
        )
        for first, last, step in ((0, 0, 1), (5, 2, 1), (0, -3, 1), (-4, 0, 4), (15, 2, -3), (3, 9, -1))
        if first >= 0
    ),
    Case(
        id="smt-parallel-serial",
        kernel=serial,
        args={"x": normal("f32", 9), "out": output("f32", 9), "n": 9},
        expect=serial_wanted,
        atol=1e-6,
        interpretable=False,
    ),
    Case(
        id="half-reductions",
        kernel=half_reductions,
        args={"x": uniform("f16", 256, low=-1, high=1), "out": output("f16", 3)},
        meta={"BLOCK": 256},
        expect=lambda x, **_: {"out": np.array([x.max(), x.min(), x.sum()])},
        atol=0.05,
    ),
    *(
        Case(
            id=f"tle-{row}-{column}-{number}",
            kernel=moved_tiles,
            args={
                "x": normal("f32", 16, 32),
                "out": output("f32", 32, 32),
                **{"row": row, "column": column + 2**33, "number": number},
            },
            expect=moved_tiles_wanted,
            interpretable=False,
        )
        for row, column, number in ((0, 0, 0), (3, 1, 7), (2, 3, 15))
    ),
    Case(
        id="tle-known",
        kernel=known_tiles,
        args={"x": normal("f32", 4, 8, 8), "out": output("f32", 4, 8, 8)},
        expect=known_tiles_wanted,
        ulps=0,
        interpretable=False,
    ),
    *(
        scan_case(kind, "f32", (8, 16), axis, back)
        for kind in ("sum", "prod", "add", "max")
        for axis in (0, 1)
        for back in (False, True)
    ),
    *(
        scan_case(kind, "i32", (4, 32), 1, back, integers("i32", 4, 32, **SMALL))
        for kind in ("sum", "max")
        for back in (False, True)
    ),
    scan_case("prod", "i32", (2, 16), 1, False, integers("i32", 2, 16, low=-3, high=3)),
    *(scan_case("sum", "f64", shape, axis) for shape, axis in (((2, 1 << 15), 1), ((1 << 12, 2), 0))),
    scan_case("add", "i32", (1, 1 << 20), 1, True, integers("i32", 1, 1 << 20, **SMALL)),
    scan_case("sum", "f32", (1, 1 << 20), 1, False, given("f32", np.ones((1, 1 << 20)))),
    scan_case("max", "f32", (1, 1 << 17), 1, True),
]
