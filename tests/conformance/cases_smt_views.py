"""`smt.view` and `smt.descriptor_load`: packing, unpacking and repacking of parts, inside or not."""

import numpy as np
import triton
import triton.language as tl
import triton.language.extra.smt as smt

from .arrays import Array, normal, numbers, output
from .case import Case


def window(x, offsets, shape, sizes):
    """x[offsets:][:shape], in `sizes`; 0 outside of x and of the shape."""
    out = np.zeros(sizes, x.dtype)
    for i in range(min(shape[0], sizes[0])):
        for j in range(min(shape[1], sizes[1])):
            r, c = offsets[0] + i, offsets[1] + j
            if 0 <= r < x.shape[0] and 0 <= c < x.shape[1]:
                out[i, j] = x[r, c]
    return out


def packed(x, offsets, shape, tile):
    """The part of matrix x at `offsets`, of `shape`, in tiles."""
    rows, columns = (-(-s // t) for s, t in zip(shape, tile, strict=True))
    whole = window(x, offsets, shape, (rows * tile[0], columns * tile[1]))
    return whole.reshape(rows, tile[0], columns, tile[1]).transpose(0, 2, 1, 3)


def unpacked(x):
    rows, columns, height, width = x.shape
    return x.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def tiles(shape, tile) -> tuple[int, ...]:
    return (*(-(-s // t) for s, t in zip(shape, tile, strict=True)), *tile)


@triton.jit
def at_start(p, R: tl.constexpr, C: tl.constexpr):
    """A pointer to the first (R, C) elements of a contiguous matrix."""
    return tl.make_block_ptr(p, (R, C), (C, 1), (0, 0), (R, C), (1, 0))


@triton.jit
def in_tiles(p, R: tl.constexpr, C: tl.constexpr, r: tl.constexpr, c: tl.constexpr):
    """The same of a contiguous packed matrix."""
    return tl.make_block_ptr(
        p, (R, C, r, c), (C * r * c, r * c, c, 1), (0, 0, 0, 0), (R, C, r, c), (3, 2, 1, 0)
    )


@triton.jit
def store_tiles(p, x):
    tl.store(in_tiles(p, x.shape[0], x.shape[1], x.shape[2], x.shape[3]), x)


# --- Views of tensors ---


@triton.jit
def pack_part(
    x, out, row, column, S: tl.constexpr, SHAPE: tl.constexpr, TILE: tl.constexpr, KNOWN: tl.constexpr
):
    """A part of x * 2, at offsets of run time or not."""
    a = tl.load(at_start(x, S[0], S[1])) * 2
    store_tiles(out, smt.view(a, (row, column) if KNOWN is None else KNOWN, SHAPE, TILE))


@triton.jit
def unpack_part(
    x, out, row, column, S: tl.constexpr, SHAPE: tl.constexpr, TILE: tl.constexpr, KNOWN: tl.constexpr
):
    a = smt.view(tl.load(at_start(x, S[0], S[1])), (0, 0), S, TILE) * 2
    part = smt.view(a, (row, column) if KNOWN is None else KNOWN, SHAPE, (1, 1))
    tl.store(at_start(out, SHAPE[0], SHAPE[1]), part)


@triton.jit
def repack_part(
    x, out, row, column, S: tl.constexpr, SHAPE: tl.constexpr, TILE: tl.constexpr, KNOWN: tl.constexpr
):
    """From tiles of 4x8; without a packed size the tile stays."""
    a = smt.view(tl.load(at_start(x, S[0], S[1])), (0, 0), S, (4, 8)) * 2
    store_tiles(out, smt.view(a, (row, column) if KNOWN is None else KNOWN, SHAPE, TILE))


PLACES = {
    "whole": ((0, 0), (16, 32)),
    "part": ((4, 16), (8, 8)),
    "odd": ((3, 5), (8, 16)),
    "larger": ((0, 0), (32, 64)),
    "larger-inside": ((9, 20), (16, 32)),
    "over-the-end": ((13, 27), (8, 16)),
    "before-the-start": ((-5, -11), (16, 32)),
    "outside": ((16, 32), (8, 16)),
    "far-outside": ((1000, -1000), (8, 16)),
    "narrow": ((2, 3), (2, 4)),
}


def part_cases(name, kernel, want, tile):
    for place, (offsets, shape) in PLACES.items():
        for known in (False, True):
            yield Case(
                id=f"smt-{name}-{place}-{'known' if known else 'runtime'}",
                kernel=kernel,
                args={
                    "x": normal("f32", 16, 32),
                    "out": output("f32", *(want(np.zeros((16, 32)), offsets, shape).shape)),
                    "row": offsets[0],
                    "column": offsets[1],
                },
                meta={"S": (16, 32), "SHAPE": shape, "TILE": tile, "KNOWN": offsets if known else None},
                expect=lambda x, o=offsets, s=shape, **_: {"out": want(x * 2, o, s)},
                interpretable=False,
            )


@triton.jit
def every_type(x, out):
    """Packed, by rows of tiles another way, and plain again."""
    a = smt.view(tl.load(at_start(x, 16, 32)), (0, 0), (16, 32), (8, 4))
    a = smt.view(a, (0, 0), (16, 32), (2, 16))
    tl.store(at_start(out, 16, 32), smt.view(a, (0, 0), (16, 32), (1, 1)))


@triton.jit
def second_user(x, first, second, m, n, row, SHAPE: tl.constexpr):
    """A block that is viewed once, and one that has another use: the same numbers, larger than the block."""
    p = tl.make_block_ptr(x, (m, n), (n, 1), (row, 0), (16, 32), (1, 0))
    store_tiles(first, smt.view(smt.descriptor_load(p, (0, 0)), (4, 0), SHAPE, (4, 8)))
    a = smt.descriptor_load(p, (0, 0))
    store_tiles(second, smt.view(a, (4, 0), SHAPE, (4, 8)))
    tl.store(second, tl.load(second) + 0 * tl.max(tl.max(a, 1), 0))


def second_user_wanted(x, row, **_):
    want = packed(window(x, (row, 0), (16, 32), (16, 32)), (4, 0), (32, 32), (4, 8))
    return {"first": want, "second": want}


@triton.jit
def into_destinations(x, out, row):
    """The result goes where the destination says, and is the value too."""
    a = tl.load(at_start(x, 16, 32))
    kept = tl.zeros((2, 4, 8, 8), tl.float32) + 5
    same = smt.view(a, (row, 0), (16, 32), (8, 8), kept)
    store_tiles(out, kept)
    smt.view(same + 1, (0, 0), (16, 32), (8, 8), in_tiles(out + 512, 2, 4, 8, 8))


@triton.jit
def order_of_dimensions(x, out, m, n):
    """A block pointer whose order counts upwards."""
    p = tl.make_block_ptr(x, (n, m), (1, n), (4, 2), (32, 16), (0, 1))
    store_tiles(out, smt.view(smt.descriptor_load(p, (0, 0)), (0, 0), (32, 16), (8, 8)))


@triton.jit
def unpack_and_cut(x, out, m, n):
    """A plain view of tiles, of which the store keeps what is inside."""
    a = smt.view(tl.load(in_tiles(x, 2, 4, 8, 8)), (0, 0), (16, 32), (1, 1))
    to = tl.make_block_ptr(out, (m, n), (n, 1), (0, 0), (16, 32), (1, 0))
    tl.store(to, a, boundary_check=(0, 1))


@triton.jit
def store_some_tiles(x, out, rows):
    """Tiles of a grid with fewer rows of them."""
    a = tl.load(in_tiles(x, 4, 2, 8, 8))
    to = tl.make_block_ptr(out, (rows, 2, 8, 8), (128, 64, 8, 1), (0, 0, 0, 0), (4, 2, 8, 8), (3, 2, 1, 0))
    tl.store(to, a, boundary_check=(0, 1))


# --- Loads ---


@triton.jit
def load_at(x, out, m, n, row, column, wide):
    """Offsets from those of the pointer, of both widths; every side is checked."""
    p = tl.make_block_ptr(x, (m, n), (n, 1), (2, 3), (8, 16), (1, 0))
    a = smt.descriptor_load(p, (row, column + wide))
    tl.store(at_start(out, 8, 16), a)


def load_case(name, row, column) -> Case:
    return Case(
        id=f"smt-load-{name}",
        kernel=load_at,
        args={
            "x": normal("f32", 19, 33),
            "out": output("f32", 8, 16),
            **{"m": 19, "n": 33, "row": row, "column": column - 2**33, "wide": 2**33},
        },
        expect=lambda x, **_: {"out": window(x, (2 + row, 3 + column), (8, 16), (8, 16))},
        interpretable=False,
    )


@triton.jit
def load_eras(x, out, m, n, ERA: tl.constexpr):
    """The 16 rows from row 8 on in tiles of 8x8, by each signature that there was."""
    p = tl.make_block_ptr(x, (m, n), (n, 1), (0, 0), (16, 32), (1, 0))
    if ERA == "view":
        store_tiles(out, smt.view(smt.descriptor_load(p, (8, 0)), (0, 0), (16, 32), (8, 8)))
    elif ERA == "shape":
        store_tiles(out, smt.descriptor_load(p, (8, 0), (16, 32), (8, 8)))
    elif ERA == "named":
        store_tiles(out, smt.descriptor_load(base=p, offsets=[8, 0], shape=[16, 32], micro_size=[8, 8]))
    elif ERA == "destination":
        smt.descriptor_load(p, (8, 0), (16, 32), (8, 8), in_tiles(out, 2, 4, 8, 8))
    elif ERA == "copy":
        kept = smt.alloc((16, 32))
        smt.descriptor_load(p, (8, 0), kept)
        store_tiles(out, smt.view(tl.load(kept), (0, 0), (16, 32), (8, 8)))
    elif ERA == "like":
        kept = smt.view(smt.alloc((16, 32)), (0, 0), (16, 32), (8, 8))
        smt.descriptor_load(tl.advance(p, (8, 0)), kept)
        store_tiles(out, tl.load(kept))


# --- Views of memory ---


@triton.jit
def tiles_of_memory(x, out, m, n, row, column):
    """Blocks seen in tiles, and parts of these; sizes known at run time only."""
    whole = tl.make_block_ptr(x, (m, n), (n, 1), (8, 0), (16, 32), (1, 0))
    seen = smt.view(whole, (0, 0), (16, 32), (8, 8))
    store_tiles(out, tl.load(seen) + 1)
    part = smt.view(seen, (row, column), (8, 16))
    tl.store(part, tl.load(part) * 2)
    again = smt.view(seen, (0, 16), (8, 16), (8, 8))
    store_tiles(out + 512, tl.load(again))


def tiles_of_memory_wanted(x, out, row, column, **_):
    after = x.copy()
    after[8 + row : 16 + row, column : column + 16] *= 2
    first = packed(x, (8, 0), (16, 32), (8, 8)) + 1
    second = packed(after, (8, 16), (8, 16), (8, 8))
    return {"x": after, "out": np.concatenate([first.ravel(), second.ravel()])}


@triton.jit
def beyond_the_tensor(x, out, m, n):
    """A view of a block that is larger than its tensor stops at the tensor's end."""
    block = tl.make_block_ptr(x, (m, n), (n, 1), (0, 0), (32, 64), (1, 0))
    seen = smt.view(block, (0, 0), (32, 64), (8, 16))
    a = tl.load(seen)
    store_tiles(out, a)
    tl.store(seen, a * 3)


@triton.jit
def advanced_view(x, out, n, STEPS: tl.constexpr):
    """A pointer that a loop moves on, seen in tiles in each turn."""
    p = tl.make_block_ptr(x, (STEPS * 8, 32), (32, 1), (0, 0), (8, 32), (1, 0))
    for k in range(STEPS):
        store_tiles(out + k * 256, tl.load(smt.view(p, (0, 0), (8, 32), (8, 8))) * 2)
        p = tl.advance(p, (8, 0))


TYPES = ("f16", "bf16", "f32", "f64", "i8", "i16", "i32", "i64", "u8")
TILED = Array("f32", (2, 4, 8, 8), lambda rng: rng.standard_normal((2, 4, 8, 8)))
CASES = [
    *part_cases("pack", pack_part, lambda x, o, s: packed(x, o, s, (4, 8)), (4, 8)),
    *part_cases("unpack", unpack_part, lambda x, o, s: window(x, o, s, s), (4, 8)),
    *part_cases("repack", repack_part, lambda x, o, s: packed(x, o, s, (2, 16)), (2, 16)),
    *part_cases("keep-tile", repack_part, lambda x, o, s: packed(x, o, s, (4, 8)), None),
    *(
        Case(
            id=f"smt-repack-{dtype}",
            kernel=every_type,
            args={"x": numbers(dtype, 16, 32), "out": output(dtype, 16, 32)},
            expect=lambda x, **_: {"out": x},
            ulps=0,
            interpretable=False,
        )
        for dtype in TYPES
    ),
    *(
        Case(
            id=f"smt-load-second-user-{row}",
            kernel=second_user,
            args={
                "x": normal("f32", 21, 27),
                "first": output("f32", 8, 4, 4, 8),
                "second": output("f32", 8, 4, 4, 8),
                **{"m": 21, "n": 27, "row": row},
            },
            meta={"SHAPE": (32, 32)},
            expect=second_user_wanted,
            interpretable=False,
        )
        for row in (-3, 0, 15, 21, 400)
    ),
    Case(
        id="smt-view-destinations",
        kernel=into_destinations,
        args={"x": normal("f32", 16, 32), "out": output("f32", 1024), "row": 3},
        expect=lambda x, **_: {
            "out": np.concatenate([packed(x, (3, 0), (16, 32), (8, 8)).ravel() + one for one in (0, 1)])
        },
        interpretable=False,
    ),
    Case(
        id="smt-load-order-0-1",
        kernel=order_of_dimensions,
        args={"x": normal("f32", 15, 33), "out": output("f32", 4, 2, 8, 8), "m": 15, "n": 33},
        expect=lambda x, **_: {"out": packed(x.T, (4, 2), (32, 16), (8, 8))},
        interpretable=False,
    ),
    *(
        Case(
            id=f"smt-unpack-store-{m}x{n}",
            kernel=unpack_and_cut,
            args={"x": TILED, "out": output("f32", m, n), "m": m, "n": n},
            expect=lambda x, m, n, **_: {"out": unpacked(x)[:m, :n]},
            interpretable=False,
        )
        for m, n in ((16, 32), (9, 31), (1, 1), (16, 7))
    ),
    Case(
        id="smt-store-tiles-checked",
        kernel=store_some_tiles,
        args={"x": normal("f32", 4, 2, 8, 8), "out": output("f32", 3, 2, 8, 8), "rows": 3},
        expect=lambda x, **_: {"out": x[:3]},
        interpretable=False,
    ),
    *(
        load_case(*place)
        for place in (
            ("inside", 4, 5),
            ("last-rows", 12, 0),
            ("corner", 13, 20),
            ("before", -7, -11),
            ("outside", 17, 0),
            ("before-all", -2000, -5),
        )
    ),
    *(
        Case(
            id=f"smt-load-era-{era}",
            kernel=load_eras,
            args={"x": normal("f32", 19, 29), "out": output("f32", 2, 4, 8, 8), "m": 19, "n": 29},
            meta={"ERA": era},
            expect=lambda x, **_: {"out": packed(x, (8, 0), (16, 32), (8, 8))},
            interpretable=False,
        )
        for era in ("view", "shape", "named", "destination", "copy", "like")
    ),
    *(
        Case(
            id=f"smt-view-of-memory-{row}-{column}",
            kernel=tiles_of_memory,
            args={
                "x": normal("f32", 32, 32),
                "out": output("f32", 512 + 128),
                **{"m": 32, "n": 32, "row": row, "column": column},
            },
            expect=tiles_of_memory_wanted,
            interpretable=False,
        )
        for row, column in ((0, 0), (8, 16), (0, 8))
    ),
    Case(
        id="smt-view-beyond-the-tensor",
        kernel=beyond_the_tensor,
        args={"x": normal("f32", 24, 48), "out": output("f32", 4, 4, 8, 16), "m": 24, "n": 48},
        expect=lambda x, **_: {"x": x * 3, "out": packed(x, (0, 0), (32, 64), (8, 16))},
        interpretable=False,
    ),
    Case(
        id="smt-view-advanced",
        kernel=advanced_view,
        args={"x": normal("f32", 24, 32), "out": output("f32", 3, 4, 8, 8), "n": 3},
        meta={"STEPS": 3},
        expect=lambda x, **_: {"out": packed(x * 2, (0, 0), (24, 32), (8, 8))},
        interpretable=False,
    ),
]
