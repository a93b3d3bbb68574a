"""Ways of launching: grids, arguments, decorators, functions that call functions."""

import numpy as np
import triton
import triton.language as tl

from .arrays import normal, output
from .case import Case

SCALE = tl.constexpr(2.5)


@triton.jit
def whoami(out):
    """Every program writes its ids and the size of the grid."""
    x, y, z = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    nx, ny, nz = tl.num_programs(0), tl.num_programs(1), tl.num_programs(2)
    at = out + ((z * ny + y) * nx + x) * 6
    tl.store(at, x)
    tl.store(at + 1, y)
    tl.store(at + 2, z)
    tl.store(at + 3, nx)
    tl.store(at + 4, ny)
    tl.store(at + 5, nz)


def grid_case(grid):
    nx, ny, nz = (*grid, 1, 1)[:3]

    def expect(**_):
        rows = [(x, y, z, nx, ny, nz) for z in range(nz) for y in range(ny) for x in range(nx)]
        return {"out": np.array(rows)}

    return Case(
        id="grid-" + "x".join(map(str, grid)),
        kernel=whoami,
        grid=grid,
        args={"out": output("i32", nx * ny * nz, 6)},
        expect=expect,
    )


@triton.jit
def scalars(out, i, big, unsigned, negative, real, one, sixteen):
    """Scalar arguments of every kind."""
    tl.store(out, i.to(tl.float64))
    tl.store(out + 1, (big // 1024).to(tl.float64))
    tl.store(out + 2, (unsigned // 4096).to(tl.float64))
    tl.store(out + 3, negative.to(tl.float64))
    tl.store(out + 4, real)
    tl.store(out + 5, 2.0 * one)
    tl.store(out + 6, sixteen * 1.0)


def scalars_reference(i, big, unsigned, negative, real, one, sixteen, **_):
    values = [i, big // 1024, unsigned // 4096, negative, np.float32(real), 2 * one, sixteen]
    return {"out": np.array(values, np.float64)}


@triton.jit
def truth(out, flag):
    tl.store(out, 1.0 if flag else -1.0)
    if flag:
        tl.store(out + 1, 5.0)


@triton.jit
def defaults(x, out, n=8, factor=3.0, OFFSET: tl.constexpr = 1, BLOCK: tl.constexpr = 16):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n, other=0.0) * factor + OFFSET)


@triton.jit
def optional(x, bias, out, BLOCK: tl.constexpr):
    """A pointer that may be None."""
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i)
    if bias is not None:
        a += tl.load(bias + i)
    tl.store(out + i, a)


@triton.jit
def activation(a, KIND: tl.constexpr, slope=0.125):
    if KIND == "relu":
        return tl.maximum(a, 0.0)
    elif KIND == "leaky":
        return tl.where(a > 0, a, a * slope)
    return a


@triton.jit
def split_sign(a):
    """Several results, one of them through another function."""
    return activation(a, "relu"), -activation(-a, "relu")


@triton.jit
def calling(x, out, KIND: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i)
    positive, negative = split_sign(a)
    tl.store(out + i, activation(a, KIND))
    tl.store(out + BLOCK + i, positive)
    tl.store(out + 2 * BLOCK + i, negative * SCALE)


def calling_reference(x, KIND, **_):
    kinds = {"relu": np.maximum(x, 0), "leaky": np.where(x > 0, x, x * 0.125), "none": x}
    return {"out": np.stack([kinds[KIND], np.maximum(x, 0), np.minimum(x, 0) * 2.5])}


@triton.constexpr_function
def next_power(n):
    """Runs at compile time, in plain Python."""
    return 1 << (n - 1).bit_length()


@triton.jit
def compile_time(x, out, N: tl.constexpr):
    BLOCK: tl.constexpr = next_power(N)
    tl.static_assert(BLOCK >= N)
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < N, other=BLOCK))


@triton.jit
def tuples(pointers, sizes, out, BLOCK: tl.constexpr):
    """Tuples of arguments, and a tuple made inside."""
    i = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in tl.static_range(len(pointers)):
        total += tl.load(pointers[k] + i, mask=i < sizes[k], other=0.0)
    pair = (total, total * 2)
    tl.store(out + i, pair[0])
    tl.store(out + BLOCK + i, pair[1])


@triton.autotune(configs=[triton.Config({"BLOCK": 16}), triton.Config({"BLOCK": 64}, num_warps=2)], key=["n"])
@triton.jit
def tuned(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) * 2, mask=i < n)


@triton.heuristics(
    {"BLOCK": lambda args: triton.next_power_of_2(args["n"]), "EVEN": lambda args: args["n"] % 2 == 0}
)
@triton.jit
def heuristic(x, out, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) + (1 if EVEN else 2), mask=i < n)


@triton.jit(do_not_specialize=["n"], noinline=False)
def unspecialised(x, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n), mask=i < n)


@triton.jit
def many(a, b, c, d, e, f, g, h, out, i0, i1, i2, i3, i4, i5, i6, i7, BLOCK: tl.constexpr):
    """More arguments than registers."""
    i = tl.arange(0, BLOCK)
    total = tl.load(a + i) * i0 + tl.load(b + i) * i1 + tl.load(c + i) * i2 + tl.load(d + i) * i3
    total += tl.load(e + i) * i4 + tl.load(f + i) * i5 + tl.load(g + i) * i6 + tl.load(h + i) * i7
    tl.store(out + i, total)


def many_reference(**args):
    pairs = zip("abcdefgh", range(8), strict=True)
    return {"out": sum(args[name] * args[f"i{k}"] for name, k in pairs)}


def on_vector(id, kernel, expect, n=16, rows=None, meta=None, **kwargs):
    shape = (n,) if rows is None else (rows, n)
    extra = kwargs.pop("args", {})
    args = {"x": normal("f32", n), "out": output("f32", *shape), **extra}
    return Case(
        id=id, kernel=kernel, args=args, meta={"BLOCK": 16} if meta is None else meta, expect=expect, **kwargs
    )


CASES = [
    grid_case((5,)),
    grid_case((3, 4)),
    grid_case((2, 3, 4)),
    grid_case((1, 1, 7)),
    Case(
        id="grid-from-function",
        kernel=tuned.fn,
        grid=lambda meta: (triton.cdiv(meta["n"], meta["BLOCK"]),),
        args={"x": normal("f32", 70), "out": output("f32", 70), "n": 70},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"out": 2 * x},
    ),
    *(
        Case(
            id=f"scalar-arguments-{name}",
            kernel=scalars,
            args={
                "out": output("f64", 7),
                "i": 7 * sign,
                "big": sign * 2**45 + 1024,
                "unsigned": 2**63 + 4096,
                "negative": -16 * sign,
                "real": 0.1 * sign,
                "one": 1,
                "sixteen": 48,
            },
            expect=scalars_reference,
        )
        for name, sign in (("positive", 1), ("negative", -1))
    ),
    *(
        Case(
            id=f"scalar-argument-{flag}",
            kernel=truth,
            args={"out": output("f32", 2), "flag": flag},
            expect=lambda out, flag, **_: {"out": [1, 5] if flag else [-1, out[1]]},
            interpretable=False,  # the interpreter takes no booleans
        )
        for flag in (False, True)
    ),
    on_vector(
        "default-arguments",
        defaults,
        lambda x, **_: {"out": np.where(np.arange(16) < 8, x, 0) * 3 + 1},
        meta={},
        ulps=2,
    ),
    on_vector(
        "keyword-arguments",
        defaults,
        lambda x, **_: {"out": np.where(np.arange(16) < 5, x, 0) * 0.5 + 4},
        args={"factor": 0.5, "n": 5},
        meta={"OFFSET": 4},
        ulps=2,
    ),
    on_vector("argument-none", optional, lambda x, **_: {"out": x}, args={"bias": None}, ulps=0),
    on_vector(
        "argument-not-none",
        optional,
        lambda x, bias, **_: {"out": x + bias},
        args={"bias": normal("f32", 16)},
    ),
    *(
        on_vector(
            f"nested-functions-{kind}",
            calling,
            lambda kind=kind, **args: calling_reference(KIND=kind, **args),
            rows=3,
            meta={"KIND": kind, "BLOCK": 16},
        )
        for kind in ("relu", "leaky", "none")
    ),
    Case(
        id="constexpr-function",
        kernel=compile_time,
        args={"x": normal("f32", 11), "out": output("f32", 16)},
        meta={"N": 11},
        expect=lambda x, **_: {"out": np.pad(x, (0, 5), constant_values=16)},
        ulps=0,
    ),
    Case(
        id="tuple-arguments",
        kernel=tuples,
        args={
            "a": normal("f32", 16),
            "b": normal("f32", 16),
            "c": normal("f32", 16),
            "out": output("f32", 2, 16),
        },
        prepare=lambda args: {
            "pointers": (args["a"], args["b"], args["c"]),
            "sizes": (16, 5, 11),
            "out": args["out"],
        },
        meta={"BLOCK": 16},
        expect=lambda a, b, c, **_: {
            "out": np.stack([a + np.where(np.arange(16) < 5, b, 0) + np.where(np.arange(16) < 11, c, 0)] * 2)
            * [[1], [2]]
        },
        ulps=4,
        atol=1e-6,
    ),
    on_vector(
        "autotune",
        tuned,
        lambda x, **_: {"out": 2 * x},
        n=70,
        args={"n": 70},
        meta={},
        grid=lambda meta: (triton.cdiv(meta["n"], meta["BLOCK"]),),
        interpretable=False,  # it takes times on a device
    ),
    *(
        on_vector(
            f"heuristics-{n}",
            heuristic,
            lambda x, n=n, **_: {"out": x + (1 if n % 2 == 0 else 2)},
            n=n,
            args={"n": n},
            meta={},
        )
        for n in (10, 13)
    ),
    on_vector("do-not-specialize", unspecialised, lambda x, **_: {"out": x}, n=1, args={"n": 1}, ulps=0),
    on_vector(
        "launch-options",
        unspecialised,
        lambda x, **_: {"out": x},
        n=9,
        args={"n": 9},
        meta={"BLOCK": 16, "num_warps": 8, "num_stages": 3},
        ulps=0,
    ),
    Case(
        id="many-arguments",
        kernel=many,
        args={
            **{name: normal("f32", 16) for name in "abcdefgh"},
            "out": output("f32", 16),
            **{f"i{k}": 3 * k - 7 for k in range(8)},
        },
        meta={"BLOCK": 16},
        expect=many_reference,
        ulps=16,
        atol=1e-5,
    ),
]
