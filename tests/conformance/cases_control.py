"""Branches, early returns and while loops."""

import numpy as np
import triton
import triton.language as tl

from .arrays import given, normal, output
from .case import Case


@triton.jit
def chosen_pointer(a, b, out, which, BLOCK: tl.constexpr):
    """A pointer that comes out of a branch."""
    i = tl.arange(0, BLOCK)
    if which > 0:  # noqa: SIM108 - a statement is what is tested
        source = a
    else:
        source = b
    tl.store(out + i, tl.load(source + i))


@triton.jit
def chosen_block(a, b, out, which, n, BLOCK: tl.constexpr):
    """A tensor of pointers that comes out of a branch, with different strides on its ways."""
    i = tl.arange(0, BLOCK)
    if which > 0:
        source = a + i
        limit = n
    else:
        source = b + i * 2
        limit = n // 2
    tl.store(out + i, tl.load(source, mask=i < limit, other=-1.0))


def chosen_block_reference(a, b, which, n, out, **_):
    values = a[:n] if which > 0 else b[: n // 2 * 2 : 2]
    return {"out": np.pad(values, (0, len(out) - len(values)), constant_values=-1.0)}


@triton.jit
def ternary_pointer(a, b, out, which, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    source = a if which > 0 else b
    tl.store(out + i, tl.load(source + i))


@triton.jit
def collatz(x, out):
    """A while loop whose trip count depends on data."""
    value = tl.load(x + tl.program_id(0))
    steps = 0
    while value != 1:
        value = value // 2 if value % 2 == 0 else 3 * value + 1
        steps += 1
    tl.store(out + tl.program_id(0), steps)


def collatz_reference(x, **_):
    def steps(value):
        count = 0
        while value != 1:
            value = value // 2 if value % 2 == 0 else 3 * value + 1
            count += 1
        return count

    return {"out": np.array([steps(int(v)) for v in x])}


@triton.jit
def halving(x, out, limit, BLOCK: tl.constexpr):
    """A while loop that carries a tensor, and ends when a reduction of it says so."""
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i)
    count = 0
    while tl.sum(tl.abs(a)) > limit:
        a = a * 0.5
        count += 1
    tl.store(out + i, a)
    tl.store(out + BLOCK, count)


def halving_reference(x, limit, **_):
    count = 0
    while np.abs(x).sum() > limit:
        x = x * 0.5
        count += 1
    return {"out": np.append(x, count)}


@triton.jit
def while_pointer(x, out, BLOCK: tl.constexpr):
    """A while loop that carries a pointer: finds the first row that starts with a negative number."""
    i = tl.arange(0, BLOCK)
    row = x
    while tl.load(row) >= 0:
        row += BLOCK
    tl.store(out + i, tl.load(row + i))


@triton.jit
def branches(x, out, BLOCK: tl.constexpr):
    """if / elif / else that give tensors, on the program id and on data."""
    pid = tl.program_id(0)
    i = pid * BLOCK + tl.arange(0, BLOCK)
    a = tl.load(x + i)
    if pid == 0:
        b = a * 2
        name = 1
    elif tl.sum(a) > 0:
        b = a + 10
        name = 2
    else:
        b = a - 10
        name = 3
        if pid == 3:
            b = -b
    tl.store(out + i, b + name)


def branches_reference(x, **_):
    rows = x.copy()
    for pid, a in enumerate(x):
        if pid == 0:
            rows[pid] = 2 * a + 1
        elif a.sum() > 0:
            rows[pid] = a + 12
        else:
            rows[pid] = (-(a - 10) if pid == 3 else a - 10) + 3
    return {"out": rows}


@triton.jit
def early_return(x, out, n, BLOCK: tl.constexpr):
    """Programs that have nothing to do leave; others leave in the middle."""
    pid = tl.program_id(0)
    if pid * BLOCK >= n:
        return
    i = pid * BLOCK + tl.arange(0, BLOCK)
    a = tl.load(x + i)
    tl.store(out + i, a)
    if tl.max(a) < 1.0:
        return
    tl.store(out + i, a * 100)


def early_return_reference(x, out, n, **_):
    blocks = x.reshape(-1, 16)
    rows = np.where(blocks.max(1, keepdims=True) < 1.0, blocks, blocks * 100)
    active = np.arange(len(blocks))[:, None] * 16 < n
    return {"out": np.where(active, rows, out.reshape(-1, 16)).reshape(-1)}


@triton.jit
def logic(x, out, low, high, BLOCK: tl.constexpr):
    """and, or, not, chained conditions and min/max of scalars."""
    pid = tl.program_id(0)
    value = tl.load(x + pid)
    result = 0
    if value >= low and value < high:
        result += 1
    if value < low or value >= high:
        result += 2
    if not (value == 0):  # noqa: SIM201 - `not` is what is tested
        result += 4
    result += min(max(value, low), high) * 10
    tl.store(out + pid, result)


def logic_reference(x, low, high, **_):
    inside = (x >= low) & (x < high)
    return {"out": np.where(inside, 1, 2) + 4 * (x != 0) + np.clip(x, low, high) * 10}


CASES = [
    *(
        Case(
            id=f"{name}-{which}",
            kernel=kernel,
            args={"a": normal("f32", 16), "b": normal("f32", 16), "out": output("f32", 16), "which": which},
            meta={"BLOCK": 16},
            expect=lambda a, b, which, **_: {"out": a if which > 0 else b},
            ulps=0,
        )
        for name, kernel in (("if-gives-pointer", chosen_pointer), ("ternary-gives-pointer", ternary_pointer))
        for which in (0, 3)
    ),
    *(
        Case(
            id=f"if-gives-pointers-{which}",
            kernel=chosen_block,
            args={
                "a": normal("f32", 13),
                "b": normal("f32", 13),
                "out": output("f32", 16),
                "which": which,
                "n": 13,
            },
            meta={"BLOCK": 16},
            expect=chosen_block_reference,
            ulps=0,
        )
        for which in (0, 3)
    ),
    Case(
        id="while-on-data",
        kernel=collatz,
        grid=(9,),
        args={"x": given("i32", [1, 2, 3, 7, 27, 97, 6, 1024, 31]), "out": output("i32", 9)},
        expect=collatz_reference,
    ),
    Case(
        id="while-carries-tensor",
        kernel=halving,
        args={"x": normal("f32", 16, scale=1000), "out": output("f32", 17), "limit": 3.0},
        meta={"BLOCK": 16},
        expect=halving_reference,
        ulps=0,
    ),
    Case(
        id="while-carries-pointer",
        kernel=while_pointer,
        args={
            "x": given("f32", np.arange(48) * np.where(np.arange(48) == 32, -1, 1)),
            "out": output("f32", 16),
        },
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"out": x[32:]},
        ulps=0,
    ),
    Case(
        id="if-gives-tensors",
        kernel=branches,
        grid=(6,),
        args={
            "x": given("f32", np.outer([1, 1, -1, -1, -2, 3], np.arange(1, 17) / 8)),
            "out": output("f32", 6, 16),
        },
        meta={"BLOCK": 16},
        expect=branches_reference,
        ulps=4,
    ),
    Case(
        id="early-return",
        kernel=early_return,
        grid=(6,),
        args={
            "x": given("f32", np.outer([1, 0.01, 1, 0.02, 1, 1], np.arange(16)).reshape(-1)),
            "out": output("f32", 96),
            "n": 60,
        },
        meta={"BLOCK": 16},
        expect=early_return_reference,
    ),
    Case(
        id="scalar-logic",
        kernel=logic,
        grid=(9,),
        args={
            "x": given("i32", [-5, -1, 0, 1, 2, 3, 4, 5, 99]),
            "out": output("i32", 9),
            "low": -1,
            "high": 4,
        },
        meta={"BLOCK": 1},
        expect=logic_reference,
    ),
]
