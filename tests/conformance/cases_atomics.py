"""Read-modify-write operations, alone and from many programs at once."""

import numpy as np
import triton
import triton.language as tl

from .arrays import given, integers, normal, numbers, output
from .case import Case

RMW = {
    "add": lambda a, b: a + b,
    "max": np.maximum,
    "min": np.minimum,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "xchg": lambda a, b: b,
}


@triton.jit
def update(x, by, old, n, OP: tl.constexpr, BLOCK: tl.constexpr):
    """Updates x elementwise, once each, and keeps what was there."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    b = tl.load(by + i, mask=mask)
    if OP == "add":
        was = tl.atomic_add(x + i, b, mask=mask)
    elif OP == "max":
        was = tl.atomic_max(x + i, b, mask=mask)
    elif OP == "min":
        was = tl.atomic_min(x + i, b, mask=mask)
    elif OP == "and":
        was = tl.atomic_and(x + i, b, mask=mask)
    elif OP == "or":
        was = tl.atomic_or(x + i, b, mask=mask)
    elif OP == "xor":
        was = tl.atomic_xor(x + i, b, mask=mask)
    else:
        was = tl.atomic_xchg(x + i, b, mask=mask)
    tl.store(old + i, was, mask=mask)


def update_case(op, dtype, **kwargs):
    return Case(
        id=f"atomic-{op}-{dtype}",
        kernel=update,
        grid=(3,),
        args={"x": numbers(dtype, 40), "by": numbers(dtype, 40), "old": output(dtype, 40), "n": 40},
        meta={"OP": op, "BLOCK": 16},
        expect=lambda x, by, **_: {"x": RMW[op](x, by), "old": x},
        **kwargs,
    )


@triton.jit
def contended(x, bins, sums, most, n, BINS: tl.constexpr, BLOCK: tl.constexpr):
    """Many programs count into few bins, through duplicate addresses inside a block too."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    a = tl.load(x + i, mask=mask, other=0)
    tl.atomic_add(bins + a % BINS, 1, mask=mask)
    tl.atomic_add(sums, tl.sum(a.to(tl.float32), 0))
    tl.atomic_max(most, tl.max(a, 0))


def contended_reference(x, bins, sums, most, **_):
    counts = np.bincount(x % len(bins), minlength=len(bins))
    return {"bins": bins + counts, "sums": sums + x.sum(), "most": [max(x.max(), most[0])]}


@triton.jit
def tickets(counter, out):
    """Every program draws a number; none is drawn twice."""
    tl.store(out + tl.atomic_add(counter, 1), tl.program_id(0))


@triton.jit
def compare_and_swap(x, old, BLOCK: tl.constexpr):
    """Replaces 3 by 100, elementwise."""
    i = tl.arange(0, BLOCK)
    was = tl.atomic_cas(x + i, tl.full((BLOCK,), 3, tl.int32), tl.full((BLOCK,), 100, tl.int32))
    tl.store(old + i, was)


@triton.jit
def spin_lock(lock, x, steps, BLOCK: tl.constexpr):
    """Plain loads and stores, which a lock of compare-and-swap protects."""
    i = tl.arange(0, BLOCK)
    for _ in range(steps):
        while tl.atomic_cas(lock, 0, 1) == 1:
            pass
        tl.store(x + i, tl.load(x + i) + 1)
        tl.debug_barrier()
        tl.atomic_xchg(lock, 0)


@triton.jit
def scalar_and_half(x, total, BLOCK: tl.constexpr):
    """Additions to one scalar of half precision: exact, as the numbers are small integers."""
    tl.atomic_add(total, tl.sum(tl.load(x + tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)), 0))


CASES = [
    *(update_case("add", d) for d in ("i32", "u32", "i64", "f32", "f64")),
    *(update_case(op, d) for op in ("max", "min") for d in ("i32", "u32", "i64", "u64", "f32")),
    *(update_case(op, "i32") for op in ("and", "or", "xor")),
    update_case("xor", "u64"),
    update_case("xchg", "i32"),
    update_case("xchg", "f32", interpretable=False),  # integers only, there
    Case(
        id="atomic-contended",
        kernel=contended,
        grid=(64,),
        args={
            "x": integers("i32", 1000, low=0, high=1000),
            "bins": output("i32", 8, fill=5),
            "sums": output("f32", 1, fill=1),
            "most": output("i32", 1, fill=2),
            "n": 1000,
        },
        meta={"BINS": 8, "BLOCK": 16},
        expect=contended_reference,
        ulps=4,
    ),
    Case(
        id="atomic-tickets",
        kernel=tickets,
        grid=(200,),
        args={"counter": given("i32", [0]), "out": output("i32", 200, fill=-1)},
        expect=lambda **_: {"counter": [200], "out": np.arange(200)},
        canonical=np.sort,
    ),
    Case(
        id="atomic-compare-and-swap",
        kernel=compare_and_swap,
        args={"x": integers("i32", 32, low=2, high=4), "old": output("i32", 32)},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"x": np.where(x == 3, 100, x), "old": x},
    ),
    Case(
        id="atomic-lock",
        kernel=spin_lock,
        grid=(8,),
        args={"lock": given("i32", [0]), "x": normal("f64", 16), "steps": 5},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"x": x + 40, "lock": [0]},
        ulps=40,
    ),
    Case(
        id="atomic-add-f16",
        kernel=scalar_and_half,
        grid=(8,),
        args={"x": given("f16", np.arange(128) % 7), "total": given("f16", [3])},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"total": [3 + x.sum()]},
        ulps=0,
    ),
]
