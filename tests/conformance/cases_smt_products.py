"""`smt.dot`: layouts, types and accumulators; elementwise work and reductions on packed matrices."""

import numpy as np
import triton
import triton.language as tl
import triton.language.extra.smt as smt

from .arrays import FLOATS, Array, given, integers, normal, output
from .case import Case, CoreTile
from .cases_smt_views import at_start

TL = {"f16": tl.float16, "bf16": tl.bfloat16, "f32": tl.float32, "f64": tl.float64, "i8": tl.int8}
TL |= {"i16": tl.int16, "i32": tl.int32}


@triton.jit
def product(
    x, w, out, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, TILE: tl.constexpr, OUT: tl.constexpr,
    TURNED: tl.constexpr,
):  # fmt: skip
    """x @ w; w is given as (K, N), or turned by hand, as (N, K)."""
    a = smt.view(tl.load(at_start(x, M, K)), (0, 0), (M, K), (TILE[0], TILE[2]))
    if TURNED:
        b = smt.view(tl.load(at_start(w, N, K)), (0, 0), (N, K), (TILE[1], TILE[2]))
    else:
        b = smt.view(tl.load(at_start(w, K, N)), (0, 0), (K, N), (TILE[2], TILE[1]))
    c = smt.dot(a, b, out_dtype=OUT)
    tl.store(at_start(out, M, N), smt.view(c, (0, 0), (M, N), (1, 1)))


def values(dtype: str, *shape: int) -> Array:
    return normal(dtype, *shape) if dtype in FLOATS else integers(dtype, *shape)


def product_case(a, b, out, *, tile=(8, 16, 4), turned=False, asked=False, size=(16, 32, 64)) -> Case:
    m, n, k = size
    exact = not {a, b} & set(FLOATS)
    sums = "i32" if exact else "f64" if "f64" in (a, b, out) else "f32"

    def expect(x, w, **_):
        w = w.T if turned else w
        return {"out": x.astype(np.int64) @ w.astype(np.int64) if exact else x @ w}

    return Case(
        id=f"smt-dot-{a}-{b}-{out}-{'x'.join(map(str, tile))}{'-turned' * turned}",
        kernel=product,
        args={
            "x": values(a, m, k),
            "w": values(b, *((n, k) if turned else (k, n))),
            "out": output(out, m, n),
        },
        meta={
            **{
                "M": m,
                "N": n,
                "K": k,
                "TILE": CoreTile(*(t.replace("u", "ui") for t in (a, b)), sums, tile),
                "TURNED": turned,
            },
            "OUT": TL[out] if asked else None,
        },
        expect=expect,
        atol=0 if exact else 1e-13 if "f64" in (a, b) else 2e-5,
        interpretable=False,
    )


@triton.jit
def both_readings(x, w, out, TILE: tl.constexpr):
    """A b that fits both layouts is read as (K, N), also where it was turned by hand."""
    a = smt.view(tl.load(at_start(x, 16, 16)), (0, 0), (16, 16), (TILE[0], TILE[2]))
    b = smt.view(tl.load(at_start(w, 16, 16)), (0, 0), (16, 16), (TILE[0], TILE[2]))
    c = smt.dot(a, tl.permute(b, (1, 0, 3, 2)))
    tl.store(at_start(out, 16, 16), smt.view(c, (0, 0), (16, 16), (1, 1)))


@triton.jit
def long_sums(x, w, out, K: tl.constexpr, TILE: tl.constexpr):
    """Sums that their own type would lose: 1 + 1 + ... beyond 2048 in float16."""
    a = smt.view(tl.load(at_start(x, 8, K)), (0, 0), (8, K), (TILE[0], TILE[2]))
    b = smt.view(tl.load(at_start(w, K, 16)), (0, 0), (K, 16), (TILE[2], TILE[1]))
    tl.store(at_start(out, 8, 16), smt.view(smt.dot(a, b), (0, 0), (8, 16), (1, 1)))


@triton.jit
def reused(x, w, out, TILE: tl.constexpr):
    """One b for several products, one a twice, and a result that is an operand itself."""
    a = smt.view(tl.load(at_start(x, 16, 16)), (0, 0), (16, 16), (TILE[0], TILE[2]))
    b = smt.view(tl.load(at_start(w, 16, 16)), (0, 0), (16, 16), (TILE[2], TILE[1]))
    first = smt.dot(a, b)
    second = smt.dot(first, b, a)
    third = smt.dot(a, b, second, overwrite=True)
    tl.store(at_start(out, 16, 16), smt.view(first, (0, 0), (16, 16), (1, 1)))
    tl.store(at_start(out + 256, 16, 16), smt.view(second, (0, 0), (16, 16), (1, 1)))
    tl.store(at_start(out + 512, 16, 16), smt.view(third, (0, 0), (16, 16), (1, 1)))


def reused_wanted(x, w, **_):
    return {"out": np.concatenate([c.ravel() for c in (x @ w, x + x @ w @ w, x @ w)])}


@triton.jit
def block_sums(x, w, out, n, TILE: tl.constexpr):
    """acc += dot(a, b) on tiles, over blocks of K of run time."""
    acc = smt.view(tl.zeros((16, 16), tl.float32), (0, 0), (16, 16), (TILE[0], TILE[1]))
    for k in range(n):
        left = tl.make_block_ptr(x, (16, n * 8), (n * 8, 1), (0, k * 8), (16, 8), (1, 0))
        right = tl.make_block_ptr(w, (n * 8, 16), (16, 1), (k * 8, 0), (8, 16), (1, 0))
        a = smt.view(smt.descriptor_load(left, (0, 0)), (0, 0), (16, 8), (TILE[0], TILE[2]))
        b = smt.view(smt.descriptor_load(right, (0, 0)), (0, 0), (8, 16), (TILE[2], TILE[1]))
        acc += smt.dot(a, b)
    tl.store(at_start(out, 16, 16), smt.view(acc, (0, 0), (16, 16), (1, 1)))


@triton.jit
def fewer_rows(x, w, out, m, n, k, TILE: tl.constexpr):
    """Operands that end inside of their tiles; the product's own tails are not stored."""
    left = tl.make_block_ptr(x, (m, k), (k, 1), (0, 0), (32, 32), (1, 0))
    right = tl.make_block_ptr(w, (k, n), (n, 1), (0, 0), (32, 32), (1, 0))
    a = smt.view(smt.descriptor_load(left, (0, 0)), (0, 0), (32, 32), (TILE[0], TILE[2]))
    b = smt.view(smt.descriptor_load(right, (0, 0)), (0, 0), (32, 32), (TILE[2], TILE[1]))
    to = tl.make_block_ptr(out, (m, n), (n, 1), (0, 0), (32, 32), (1, 0))
    tl.store(to, smt.view(smt.dot(a, b), (0, 0), (32, 32), (1, 1)), boundary_check=(0, 1))


@triton.jit
def from_products(x, w, out, TILE: tl.constexpr):
    """The result of one product becomes an operand of the next by one view, after work on its tiles."""
    a = smt.view(tl.load(at_start(x, 16, 32)), (0, 0), (16, 32), (TILE[0], TILE[2]))
    b = smt.view(tl.load(at_start(w, 32, 64)), (0, 0), (32, 64), (TILE[2], TILE[1]))
    c = smt.dot(a, b)
    c = tl.where(c > 0, c * 0.5, 0.0)
    again = smt.view(tl.load(at_start(w, 32, 64)), (0, 0), (64, 32), (TILE[2], TILE[1]))
    d = smt.dot(smt.view(c, (0, 0), (16, 64), (TILE[0], TILE[2])), again)
    tl.store(at_start(out, 16, 32), smt.view(d, (0, 0), (16, 32), (1, 1)))


def from_products_wanted(x, w, **_):
    below = np.zeros((64, 32))
    below[:32] = w[:, :32]
    return {"out": np.maximum(x @ w, 0) * 0.5 @ below}


@triton.jit
def rows_in_tiles(x, out, KIND: tl.constexpr):
    """Reductions, broadcasts and permutations on tiles."""
    a = smt.view(tl.load(at_start(x, 16, 32)), (0, 0), (16, 32), (8, 16))
    if KIND == "max":
        found = tl.max(tl.max(a, 3), 1)
    elif KIND == "sum":
        found = tl.sum(tl.sum(a, 3), 1)
    else:
        turned = tl.permute(a, (1, 0, 3, 2))
        found = tl.sum(tl.sum(turned, 2), 0)
    a = a - found[:, None, :, None]
    tl.store(at_start(out, 16, 32), smt.view(a, (0, 0), (16, 32), (1, 1)))


CASES = [
    *(product_case(t, t, t) for t in FLOATS),
    *(product_case(t, t, "f32", asked=True, turned=True) for t in ("f16", "bf16")),
    product_case("f16", "f32", "f16"),
    product_case("f32", "f16", "f32", turned=True),
    product_case("bf16", "f32", "f32", asked=True),
    product_case("f16", "f64", "f64", asked=True),
    *(product_case(t, t, "i32", turned=turned) for t in ("i8", "i16", "i32") for turned in (False, True)),
    product_case("i8", "i8", "i8", asked=True),
    *(
        product_case(a, b, "i32", turned=turned)
        for a, b in (("u8", "u8"), ("i8", "u8"), ("u8", "i8"), ("u16", "i8"), ("i8", "i32"), ("u32", "u16"))
        for turned in (False, True)
    ),
    *(
        product_case("f32", "f32", "f32", tile=tile)
        for tile in ((1, 1, 2), (1, 32, 2), (16, 1, 64), (2, 8, 32), (4, 4, 4), (16, 32, 64))
    ),
    product_case("f16", "f16", "f16", tile=(16, 32, 8), size=(16, 64, 32)),
    product_case("i8", "i8", "i32", tile=(4, 4, 8)),
    product_case("f32", "f32", "f32", tile=(1, 2, 4), size=(1, 2, 4)),
    Case(
        id="smt-dot-both-readings",
        kernel=both_readings,
        args={"x": normal("f32", 16, 16), "w": normal("f32", 16, 16), "out": output("f32", 16, 16)},
        meta={"TILE": CoreTile("f32", "f32", "f32", (8, 8, 8), square=True)},
        expect=lambda x, w, **_: {"out": x @ w.T},
        atol=1e-5,
        interpretable=False,
    ),
    *(
        Case(
            id=f"smt-dot-long-{dtype}",
            kernel=long_sums,
            args={
                "x": given(dtype, np.ones((8, 8192))),
                "w": given(dtype, np.ones((8192, 16))),
                "out": output(dtype, 8, 16),
            },
            meta={"K": 8192, "TILE": CoreTile(dtype, dtype, "f32", (8, 16, 8))},
            expect=lambda **_: {"out": np.full((8, 16), 8192)},
            interpretable=False,
        )
        for dtype in ("f16", "bf16")
    ),
    Case(
        id="smt-dot-reused",
        kernel=reused,
        args={"x": normal("f32", 16, 16), "w": normal("f32", 16, 16), "out": output("f32", 768)},
        meta={"TILE": CoreTile("f32", "f32", "f32", (8, 8, 8), square=True)},
        expect=reused_wanted,
        atol=2e-4,
        interpretable=False,
    ),
    *(
        Case(
            id=f"smt-dot-blocks-{n}",
            kernel=block_sums,
            args={
                "x": normal("f32", 16, max(n, 1) * 8),
                "w": normal("f32", max(n, 1) * 8, 16),
                "out": output("f32", 16, 16),
                "n": n,
            },
            meta={"TILE": CoreTile("f32", "f32", "f32", (8, 16, 8))},
            expect=lambda x, w, n, **_: {"out": (x @ w) * (n > 0)},
            atol=1e-5,
            interpretable=False,
        )
        for n in (0, 1, 5)
    ),
    *(
        Case(
            id=f"smt-dot-tails-{m}x{n}x{k}",
            kernel=fewer_rows,
            args={
                "x": normal("f32", m, k),
                "w": normal("f32", k, n),
                "out": output("f32", m, n),
                **{"m": m, "n": n, "k": k},
            },
            meta={"TILE": CoreTile("f32", "f32", "f32", (8, 16, 4))},
            expect=lambda x, w, **_: {"out": x @ w},
            atol=1e-5,
            interpretable=False,
        )
        for m, n, k in ((32, 32, 32), (31, 17, 29), (1, 1, 1), (9, 32, 5))
    ),
    Case(
        id="smt-dot-of-a-product",
        kernel=from_products,
        args={"x": normal("f32", 16, 32), "w": normal("f32", 32, 64), "out": output("f32", 16, 32)},
        meta={"TILE": CoreTile("f32", "f32", "f32", (8, 16, 4))},
        expect=from_products_wanted,
        atol=1e-4,
        interpretable=False,
    ),
    *(
        Case(
            id=f"smt-rows-in-tiles-{kind}",
            kernel=rows_in_tiles,
            args={"x": normal("f32", 16, 32), "out": output("f32", 16, 32)},
            meta={"KIND": kind},
            expect=lambda x, k=kind, **_: {"out": x - (x.max if k == "max" else x.sum)(1, keepdims=True)},
            atol=1e-5,
            interpretable=False,
        )
        for kind in ("max", "sum", "turned")
    ),
]
