"""for loops, and the pointers and tensors that they carry."""

import numpy as np
import triton
import triton.language as tl

from .arrays import integers, normal, output
from .case import Case


@triton.jit
def strided_sum(x, out, start, stop, step):
    """A loop with run-time bounds, and its trip count."""
    total = 0
    count = 0
    for k in range(start, stop, step):
        total += tl.load(x + k)
        count += 1
    tl.store(out, total)
    tl.store(out + 1, count)


@triton.jit
def countdown(x, out, N: tl.constexpr):
    """A loop that runs downwards."""
    at = 0
    for k in tl.range(N - 1, -1, -1):
        tl.store(out + at, tl.load(x + k))
        at += 1  # noqa: SIM113 - kernels have no enumerate


@triton.jit
def matmul_pointers(a, b, c, m, n, k, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """A loop that carries two tensors of pointers, with a mask on the last step only."""
    i = tl.program_id(0) * BM + tl.arange(0, BM)
    j = tl.program_id(1) * BN + tl.arange(0, BN)
    kk = tl.arange(0, BK)
    left = a + (i[:, None] % m) * k + kk[None, :]
    right = b + kk[:, None] * n + (j[None, :] % n)
    acc = tl.zeros((BM, BN), tl.float32)
    for step in range(tl.cdiv(k, BK)):
        x = tl.load(left, mask=kk[None, :] < k - step * BK, other=0.0)
        y = tl.load(right, mask=kk[:, None] < k - step * BK, other=0.0)
        acc += tl.dot(x, y, input_precision="ieee")
        left += BK
        right += BK * n
    tl.store(c + i[:, None] * n + j[None, :], acc, mask=(i[:, None] < m) & (j[None, :] < n))


@triton.jit
def nested_pointers(x, out, planes, rows, plane_stride, row_stride, BLOCK: tl.constexpr):
    """Nested loops, each of which moves the same pointers on."""
    i = tl.arange(0, BLOCK)
    at = x + i
    total = tl.zeros((BLOCK,), tl.float32)
    for _ in range(planes):
        row = at
        for _ in range(rows):
            total += tl.load(row)
            row += row_stride
        at += plane_stride
    tl.store(out + i, total)


@triton.jit
def carried_offsets(x, out, n, steps, BLOCK: tl.constexpr):
    """A loop that carries a tensor of offsets, which wraps around."""
    i = tl.arange(0, BLOCK)
    offsets = i
    total = tl.zeros((BLOCK,), tl.float32)
    for _ in range(steps):
        total = total * 2 + tl.load(x + offsets)
        offsets = (offsets + 7) % n
    tl.store(out + i, total)
    tl.store(out + BLOCK + i, offsets.to(tl.float32))


def carried_reference(x, out, n, steps, **_):
    offsets = np.arange(out.shape[1])
    total = np.zeros(out.shape[1])
    for _ in range(steps):
        total = total * 2 + x[offsets]
        offsets = (offsets + 7) % n
    return {"out": np.stack([total, offsets])}


@triton.jit
def carried_unsigned(x, out, n, BLOCK: tl.constexpr):
    """Loops that carry offsets and numbers without sign, extended by zeros where they are used."""
    i = tl.arange(0, BLOCK)
    offsets = (i + 2).to(tl.uint32)
    wrapped = (i - 5).to(tl.uint32).to(tl.int64)
    for _ in range(n):
        tl.store(out + offsets.to(tl.int64), tl.load(x + (offsets - 1).to(tl.int64)) + 1)
        offsets += 1
        wrapped = (wrapped.to(tl.uint32) + 3).to(tl.int64)
    tl.store(out + 2 * BLOCK + i, wrapped)


def carried_unsigned_reference(x, out, n, **_):
    block = out.size // 3
    out[2 : 1 + block + n] = x[1 : block + n] + 1
    out[2 * block :] = (np.arange(block) - 5 + 3 * n) % 2**32
    return {"out": out}


@triton.jit
def ping_pong(a, b, steps, BLOCK: tl.constexpr):
    """Two pointers that change places in every step."""
    i = tl.arange(0, BLOCK)
    source = a
    target = b
    for _ in range(steps):
        tl.store(target + i, tl.load(source + i) + 1)
        source, target = target, source


def ping_pong_reference(a, b, steps, **_):
    for step in range(steps):
        if step % 2 == 0:
            b = a + 1
        else:
            a = b + 1
    return {"a": a, "b": b}


@triton.jit
def loop_with_branch(x, out, n, BLOCK: tl.constexpr):
    """A loop whose body updates the accumulators in some steps only."""
    i = tl.arange(0, BLOCK)
    even = tl.zeros((BLOCK,), tl.float32)
    odd = tl.full((BLOCK,), 1.0, tl.float32)
    for k in range(n):
        row = tl.load(x + k * BLOCK + i)
        if k % 2 == 0:
            even += row
        else:
            odd = tl.maximum(odd, row)
    tl.store(out + i, even)
    tl.store(out + BLOCK + i, odd)


@triton.jit
def unrolled(x, out, N: tl.constexpr, BLOCK: tl.constexpr):
    """static_range: the loop variable is a constexpr, usable as a shape."""
    i = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in tl.static_range(N):
        total += tl.load(x + k * BLOCK + i) * (k + 1)
        if k == N - 1:
            total = -total
        tl.store(out + BLOCK + k, tl.sum(tl.load(x + tl.arange(0, 2 ** (k + 1)))))
    tl.store(out + i, total)


def unrolled_reference(x, **_):
    total = -sum(row * (k + 1) for k, row in enumerate(x))
    return {"out": np.concatenate([total, [x[0, : 2 ** (k + 1)].sum() for k in range(len(x))]])}


@triton.jit
def fibonacci(out, n):
    """A loop whose carried scalars change places, in 64 bits."""
    a = tl.full((), 0, tl.int64)
    b = tl.full((), 1, tl.int64)
    for k in range(n):
        tl.store(out + k, a)
        a, b = b, a + b


def fibonacci_reference(out, **_):
    values = [0, 1]
    while len(values) < len(out):
        values.append(values[-1] + values[-2])
    return {"out": np.array(values[: len(out)])}


@triton.jit
def triangle(x, out, n, BLOCK: tl.constexpr):
    """Nested loops whose inner bound depends on the outer variable, with a persistent grid."""
    i = tl.arange(0, BLOCK)
    for row in range(tl.program_id(0), n, tl.num_programs(0)):
        total = tl.zeros((BLOCK,), tl.float32)
        for k in range(row + 1):
            total += tl.load(x + k * BLOCK + i)
        tl.store(out + row * BLOCK + i, total)


CASES = [
    *(
        Case(
            id=f"loop-{name}",
            kernel=strided_sum,
            args={"x": integers("i32", 40, low=-9, high=9), "out": output("i32", 2), **bounds},
            expect=lambda x, start, stop, step, **_: {
                "out": [x[start:stop:step].sum(), len(range(start, stop, step))]
            },
        )
        for name, bounds in (
            ("whole", {"start": 0, "stop": 40, "step": 1}),
            ("strided", {"start": 3, "stop": 38, "step": 7}),
            ("empty", {"start": 5, "stop": 5, "step": 1}),
            ("reversed-bounds", {"start": 9, "stop": 2, "step": 2}),
        )
    ),
    Case(
        id="loop-downwards",
        kernel=countdown,
        args={"x": normal("f32", 9), "out": output("f32", 9)},
        meta={"N": 9},
        expect=lambda x, **_: {"out": x[::-1]},
        ulps=0,
    ),
    Case(
        id="loop-carries-pointers",
        kernel=matmul_pointers,
        grid=(2, 3),
        args={
            "a": normal("f32", 27, 41),
            "b": normal("f32", 41, 35),
            "c": output("f32", 27, 35),
            **{"m": 27, "n": 35, "k": 41},
        },
        meta={"BM": 16, "BN": 16, "BK": 16},
        expect=lambda a, b, **_: {"c": a @ b},
        ulps=16,
        atol=1e-5,
    ),
    Case(
        id="loop-carries-pointers-nested",
        kernel=nested_pointers,
        args={
            "x": normal("f32", 4, 5, 20),
            "out": output("f32", 16),
            **{"planes": 4, "rows": 3, "plane_stride": 100, "row_stride": 20},
        },
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"out": x[:, :3, :16].sum((0, 1))},
        ulps=8,
        atol=1e-5,
    ),
    Case(
        id="loop-carries-offsets",
        kernel=carried_offsets,
        args={"x": normal("f32", 19), "out": output("f32", 2, 16), "n": 19, "steps": 6},
        meta={"BLOCK": 16},
        expect=carried_reference,
        ulps=8,
        atol=1e-5,
    ),
    *(
        Case(
            id=f"loop-carries-unsigned-{n}",
            kernel=carried_unsigned,
            args={"x": integers("i64", 40, low=-9, high=9), "out": output("i64", 48), "n": n},
            meta={"BLOCK": 16},
            expect=carried_unsigned_reference,
        )
        for n in (1, 3)
    ),
    *(
        Case(
            id=f"loop-swaps-pointers-{steps}",
            kernel=ping_pong,
            args={"a": normal("f32", 16), "b": output("f32", 16), "steps": steps},
            meta={"BLOCK": 16},
            expect=ping_pong_reference,
            ulps=4,
            atol=1e-6,
        )
        for steps in (0, 1, 4, 5)
    ),
    Case(
        id="branch-in-loop",
        kernel=loop_with_branch,
        args={"x": normal("f32", 7, 16), "out": output("f32", 2, 16), "n": 7},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"out": np.stack([x[::2].sum(0), np.maximum(x[1::2].max(0), 1.0)])},
        ulps=4,
        atol=1e-6,
    ),
    Case(
        id="static-range",
        kernel=unrolled,
        args={"x": normal("f32", 3, 16), "out": output("f32", 19)},
        meta={"N": 3, "BLOCK": 16},
        expect=unrolled_reference,
        ulps=4,
        atol=1e-5,
    ),
    Case(
        id="loop-swaps-scalars",
        kernel=fibonacci,
        args={"out": output("i64", 80), "n": 80},
        expect=fibonacci_reference,
    ),
    Case(
        id="loop-bounded-by-loop",
        kernel=triangle,
        grid=(3,),
        args={"x": normal("f32", 8, 16), "out": output("f32", 8, 16), "n": 8},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"out": np.cumsum(x, 0)},
        ulps=8,
        atol=1e-5,
    ),
]
