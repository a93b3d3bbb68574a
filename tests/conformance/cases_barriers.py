"""Iterations and programs that run at once, and wait for each other at barriers."""

import numpy as np
import triton
import triton.language as tl
import triton.language.extra.smt as smt

from .arrays import normal, numbers, output
from .case import Case


@triton.jit
def meet(x, y, n, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """All iterations arrive, then wait for all."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    bar = smt.mbarrier(flag=0, expect_count=COUNT)
    a = tl.load(x + i, mask=i < n, other=0.0)
    for _ in smt.parallel(0, COUNT):
        smt.barrier_arrive(bar)
        smt.barrier_wait(bar, flag=1)
    tl.store(y + i, a * 2, mask=i < n)


def meet_case(count: int) -> Case:
    return Case(
        id=f"barrier-meet-{count}",
        kernel=meet,
        grid=(3,),
        args={"x": normal("f32", 40), "y": output("f32", 40), "n": 40},
        meta={"COUNT": count, "BLOCK": 16},
        expect=lambda x, **_: {"y": x * 2},
        interpretable=False,
    )


@triton.jit
def pass_round(x, y, n, BLOCK: tl.constexpr):
    """Iteration s gives to s + 1, through memory that both see."""
    bar = smt.mbarrier(0, 0, 0, n)
    i = tl.arange(0, BLOCK)
    for s in smt.parallel(n):
        tl.store(y + s * BLOCK + i, tl.load(x + s * BLOCK + i) * 3)
        smt.barrier_arrive(bar)
        smt.barrier_wait(bar, 1)
        tl.atomic_add(y + n * BLOCK + s * BLOCK + i, tl.load(y + ((s + 1) % n) * BLOCK + i))


def pass_round_wanted(x, y, n):
    block = x.size // n
    rows = x.reshape(n, block) * 3
    return {"y": np.concatenate([rows, np.roll(rows, -1, 0) + y.reshape(2 * n, block)[n:]]).ravel()}


@triton.jit
def produce(x, y, z, m, n, BLOCK: tl.constexpr):
    """The first n iterations write blocks, the others wait and read all of them."""
    bar = smt.mbarrier(flag=0, expect_count=n)
    i = tl.arange(0, BLOCK)
    for s in smt.parallel(0, m):
        if s < n:
            tl.store(y + s * BLOCK + i, tl.load(x + s * BLOCK + i) + 1)
            smt.barrier_arrive(bar)
        else:
            smt.barrier_wait(bar, flag=1)
            total = tl.zeros((BLOCK,), tl.float32)
            for k in range(n):
                total += tl.load(y + k * BLOCK + i)
            tl.store(z + (s - n) * BLOCK + i, total)


def produce_case(producers: int, consumers: int) -> Case:
    block = 32
    return Case(
        id=f"barrier-produce-{producers}-{consumers}",
        kernel=produce,
        args={
            "x": normal("f32", producers * block),
            "y": output("f32", producers * block),
            "z": output("f32", consumers * block),
            "m": producers + consumers,
            "n": producers,
        },
        meta={"BLOCK": block},
        expect=lambda x, **_: {
            "y": x + 1,
            "z": np.tile((x.reshape(producers, block) + 1).sum(0), consumers),
        },
        atol=1e-5,
        interpretable=False,
    )


@triton.jit
def ping_pong(x, y, n, PHASES: tl.constexpr, BLOCK: tl.constexpr):
    """One iteration fills two buffers in turn, the other empties them; full and empty change parity."""
    full = smt.mbarrier_copies(0, 0, 0, 1, copies=2)
    empty = smt.mbarrier_copies(0, 0, 0, 1, copies=2)
    buffer = smt.alloc_copies((1, BLOCK), copies=2)
    for s in smt.parallel(0, 2):
        for k in range(PHASES):
            turn = k % 2
            here = buffer[turn]
            if s == 0:
                if k >= 2:
                    smt.barrier_wait(empty[turn], flag=(k // 2) % 2)
                row = tl.make_block_ptr(x, (PHASES, n), (n, 1), (k, 0), (1, BLOCK), (1, 0))
                tl.store(here, tl.load(row, boundary_check=(0, 1)))
                smt.barrier_arrive(full[turn])
            else:
                smt.barrier_wait(full[turn], flag=(k // 2 + 1) % 2)
                row = tl.make_block_ptr(y, (PHASES, n), (n, 1), (k, 0), (1, BLOCK), (1, 0))
                tl.store(row, tl.load(here) * 2, boundary_check=(0, 1))
                smt.barrier_arrive(empty[turn])


@triton.jit
def choose(x, y, n, BLOCK: tl.constexpr):
    """Barriers by static and run-time index, under another name, and through a branch."""
    bars = smt.mbarrier_copies(0, 0, 0, 2, copies=3)
    first = bars[0]
    i = tl.arange(0, BLOCK)
    for s in smt.parallel(0, 4):
        mine = first
        if s % 2 == 1:
            mine = bars[n - 1]
        tl.store(y + s * BLOCK + i, tl.load(x + s * BLOCK + i))
        smt.barrier_arrive(mine)
        smt.barrier_wait(mine, flag=1)
        other = tl.load(y + ((s + 2) % 4) * BLOCK + i)
        tl.store(y + (4 + s) * BLOCK + i, other)


@triton.jit
def global_sum(x, mid, out, n, BLOCK: tl.constexpr):
    """Every program writes a part and arrives; the first one waits for all of them."""
    pid, count = tl.program_id(0), tl.num_programs(0)
    bar = smt.global_mbarrier(2)
    if pid == 0:
        smt.barrier_set_expect(bar, count)
    i = pid * BLOCK + tl.arange(0, BLOCK)
    tl.store(mid + pid, tl.sum(tl.load(x + i, mask=i < n, other=0.0)))
    smt.barrier_arrive(bar)
    if pid == 0:
        smt.barrier_wait(bar, flag=1)
        total = 0.0
        for k in range(count):
            total += tl.load(mid + k)
        tl.store(out, total)


@triton.jit
def columns(x, mid, y, P: tl.constexpr, BLOCK: tl.constexpr):
    """Low programs produce, high ones consume in reverse, as a convolution by columns does."""
    pid = tl.program_id(0)
    bar = smt.global_mbarrier(0)
    if pid < P:
        i = pid * BLOCK + tl.arange(0, BLOCK)
        tl.store(mid + i, tl.load(x + i) * 2)
        smt.barrier_arrive(bar)
    else:
        if pid == P:
            smt.barrier_set_expect(bar, P)
        smt.barrier_wait(bar)
        i = (2 * P - 1 - pid) * BLOCK + tl.arange(0, BLOCK)
        tl.store(y + i, tl.load(mid + i) + 1)


@triton.jit
def backwards(x, y, BLOCK: tl.constexpr):
    """Each program waits for the one after it: all have to be there at once."""
    pid, count = tl.program_id(0), tl.num_programs(0)
    bar = smt.global_mbarrier(7)
    i = tl.arange(0, BLOCK)
    smt.barrier_set_expect(bar, count)
    tl.store(y + pid * BLOCK + i, tl.load(x + pid * BLOCK + i))
    smt.barrier_arrive(bar)
    smt.barrier_wait(bar, flag=1)
    after = tl.load(y + ((pid + 1) % count) * BLOCK + i)
    tl.store(y + (count + pid) * BLOCK + i, after)


@triton.jit
def shared_columns(
    a, b, c, M, N, BM: tl.constexpr, BN: tl.constexpr, K: tl.constexpr, SM: tl.constexpr, SN: tl.constexpr
):
    """A product by sub-blocks: those of the first row pack their part of B, which the others wait for."""
    pm, pn = tl.program_id(0), tl.program_id(1)
    left = tl.make_block_ptr(a, (M, K), (K, 1), (pm * BM, 0), (BM, K), (1, 0))
    right = tl.make_block_ptr(b, (K, N), (N, 1), (0, pn * BN), (K, BN), (1, 0))
    down = (min(BM, M - BM * pm) + SM - 1) // SM
    across = (min(BN, N - BN * pn) + SN - 1) // SN
    packed = smt.view(smt.alloc((K, BN)), (0, 0), (K, BN), (8, 16))
    bar = smt.mbarrier(flag=0, expect_count=across)
    for s in smt.parallel(0, down * across):
        row, column = s // across, s % across
        rows = smt.view(smt.descriptor_load(left, (0, 0)), (row * SM, 0), (SM, K), (8, 8))
        place = smt.view(packed, (0, column * SN), (K, SN))
        if row == 0:
            part = smt.view(smt.descriptor_load(right, (0, 0)), (0, column * SN), (K, SN), (8, 16))
            tl.store(place, part, boundary_check=(0, 1, 2, 3))
            smt.barrier_arrive(bar)
        else:
            smt.barrier_wait(bar, flag=1)
        product = smt.dot(rows, tl.load(place, boundary_check=(0, 1, 2, 3)))
        to = tl.make_block_ptr(
            c, (M, N), (N, 1), (pm * BM + row * SM, pn * BN + column * SN), (SM, SN), (1, 0)
        )
        tl.store(to, smt.view(product, (0, 0), (SM, SN), (1, 1)), boundary_check=(0, 1))


def shared_columns_case(m: int, n: int) -> Case:
    k = 32
    return Case(
        id=f"barrier-shared-columns-{m}x{n}",
        kernel=shared_columns,
        grid=(-(-m // 64), -(-n // 64)),
        args={
            "a": normal("f32", m, k),
            "b": normal("f32", k, n),
            "c": output("f32", m, n),
            "M": m,
            "N": n,
        },
        meta={"BM": 64, "BN": 64, "K": k, "SM": 16, "SN": 32},
        expect=lambda a, b, **_: {"c": a @ b},
        atol=1e-5,
        interpretable=False,
    )


@triton.jit
def split_k(a, b, c, K, M: tl.constexpr, N: tl.constexpr, BK: tl.constexpr, SM: tl.constexpr):
    """One iteration packs blocks of B into two buffers in turn, all multiply their rows by them."""
    WORKERS: tl.constexpr = M // SM
    steps = (K + BK - 1) // BK
    full = smt.mbarrier_copies(0, 0, 0, 1, copies=2)
    empty = smt.mbarrier_copies(0, 0, 0, WORKERS, copies=2)
    buffers = smt.alloc_copies((BK, N), copies=2)
    for s in smt.parallel(0, WORKERS + 1):
        if s == WORKERS:
            for k in range(steps):
                if k >= 2:
                    smt.barrier_wait(empty[k % 2], flag=(k // 2) % 2)
                right = tl.make_block_ptr(b, (K, N), (N, 1), (k * BK, 0), (BK, N), (1, 0))
                tl.store(buffers[k % 2], tl.load(right, boundary_check=(0, 1)))
                smt.barrier_arrive(full[k % 2])
        else:
            acc = tl.zeros((SM, N), tl.float32)
            for k in range(steps):
                left = tl.make_block_ptr(a, (M, K), (K, 1), (s * SM, k * BK), (SM, BK), (1, 0))
                rows = smt.view(tl.load(left, boundary_check=(0, 1)), (0, 0), (SM, BK), (8, 8))
                smt.barrier_wait(full[k % 2], flag=(k // 2 + 1) % 2)
                block = smt.view(tl.load(buffers[k % 2]), (0, 0), (BK, N), (8, 16))
                smt.barrier_arrive(empty[k % 2])
                acc += smt.view(smt.dot(rows, block), (0, 0), (SM, N), (1, 1))
            to = tl.make_block_ptr(c, (M, N), (N, 1), (s * SM, 0), (SM, N), (1, 0))
            tl.store(to, acc)


# --- without barriers ------------------------------------------------------------------------


@triton.jit
def blocks(x, y, n, first, step: tl.constexpr, BLOCK: tl.constexpr):
    """Blocks first, first + step, ... of an array, the last one cut."""
    for s in smt.parallel(first, tl.cdiv(n, BLOCK), step):
        i = s * BLOCK + tl.arange(0, BLOCK)
        tl.store(y + i, tl.load(x + i, mask=i < n) * 2 + 1, mask=i < n)


def blocks_case(n: int, first: int, step: int) -> Case:
    def expect(x, y, **_):
        number = np.arange(n) // 16
        return {"y": np.where((number >= first) & ((number - first) % step == 0), x * 2 + 1, y)}

    return Case(
        id=f"parallel-blocks-{n}-{first}-{step}",
        kernel=blocks,
        args={"x": numbers("i32", n), "y": output("i32", n), "n": n, "first": first},
        meta={"step": step, "BLOCK": 16},
        expect=expect,
        interpretable=False,
    )


@triton.jit
def slices(x, y, N: tl.constexpr, SUB: tl.constexpr):
    """A tensor that iterations fill by slices of their own, carried out of the loop."""
    whole = tl.make_block_ptr(x, (N, N), (N, 1), (0, 0), (N, N), (1, 0))
    a = smt.view(smt.descriptor_load(whole, (0, 0)), (0, 0), (N, N), (8, 8))
    acc = tl.zeros((N, N), tl.float32)
    for s in smt.parallel(0, N // SUB):
        sub = smt.view(smt.descriptor_load(whole, (s * SUB, 0)), (0, 0), (SUB, N), (8, 8))
        smt.dot(sub, a, smt.view(acc, (s * SUB, 0), (SUB, N), (8, 8)))
    tl.store(tl.make_block_ptr(y, (N, N), (N, 1), (0, 0), (N, N), (1, 0)), acc * 0.5)


@triton.jit
def carried(x, y, n, BLOCK: tl.constexpr):
    """A tensor that all iterations add to runs one after the other."""
    acc = tl.zeros((BLOCK,), tl.int32)
    i = tl.arange(0, BLOCK)
    for s in smt.parallel(0, n):
        acc += tl.load(x + s * BLOCK + i)
    tl.store(y + i, acc)


@triton.jit
def private(x, y, n, BLOCK: tl.constexpr):
    """Memory that an iteration has for itself."""
    for s in smt.parallel(0, n):
        own = smt.alloc((8, BLOCK))
        source = tl.make_block_ptr(x, (8 * n, BLOCK), (BLOCK, 1), (s * 8, 0), (8, BLOCK), (1, 0))
        target = tl.make_block_ptr(y, (8 * n, BLOCK), (BLOCK, 1), (s * 8, 0), (8, BLOCK), (1, 0))
        tl.store(own, tl.load(source) * 3)
        for _ in range(5):
            tl.store(own, tl.load(own) + 1)
        tl.store(target, tl.load(own))


@triton.jit
def nested(x, y, n, m, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    for s in smt.parallel(0, n):
        for t in smt.parallel(0, m):
            at = (s * m + t) * BLOCK + i
            tl.store(y + at, tl.load(x + at) + s * 100 + t)


@triton.jit
def nested_waits(y, n, m):
    """Iterations of the inner loops meet those of the same inner loop, and then those of all."""
    every = smt.mbarrier(0, 0, 0, n * m)
    for s in smt.parallel(0, n):
        for t in smt.parallel(0, m):
            tl.store(y + s * m + t, s + 10 * t)
            smt.barrier_arrive(every)
            smt.barrier_wait(every, 1)
            tl.store(y + n * m + s * m + t, tl.load(y + (n * m - 1) - (s * m + t)))


def nested_waits_wanted(y, n, m):
    found = np.add.outer(np.arange(n), 10 * np.arange(m)).ravel()
    return {"y": np.concatenate([found, found[::-1]])}


@triton.jit
def share(y, n, BLOCK: tl.constexpr):
    """As many sub-blocks as the program has threads."""
    parts = smt.get_num_of_thread()
    for s in smt.parallel(0, parts):
        for k in range(s, n, parts):
            i = k * BLOCK + tl.arange(0, BLOCK)
            tl.store(y + i, i)


ROUND = {"x": normal("f32", 5 * 16), "y": numbers("f32", 10 * 16), "n": 5}
CASES = [
    *map(meet_case, (1, 2, 3, 40)),
    Case(
        id="barrier-pass-round",
        kernel=pass_round,
        args=ROUND,
        meta={"BLOCK": 16},
        expect=pass_round_wanted,
        atol=1e-5,
        interpretable=False,
    ),
    *(produce_case(*counts) for counts in ((1, 1), (3, 2), (2, 9))),
    *(
        Case(
            id=f"barrier-ping-pong-{phases}",
            kernel=ping_pong,
            args={"x": normal("f32", phases, 13), "y": output("f32", phases, 13), "n": 13},
            meta={"PHASES": phases, "BLOCK": 16},
            expect=lambda x, **_: {"y": x * 2},
            interpretable=False,
        )
        for phases in (1, 2, 7)
    ),
    Case(
        id="barrier-choose",
        kernel=choose,
        args={"x": normal("f32", 64), "y": output("f32", 128), "n": 3},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"y": np.concatenate([x, np.roll(x.reshape(4, 16), 2, 0).ravel()])},
        interpretable=False,
    ),
    *(
        Case(
            id=f"barrier-global-sum-{count}",
            kernel=global_sum,
            grid=(count,),
            args={
                "x": normal("f32", 16 * count - 3),
                "mid": output("f32", count),
                "out": output("f32", 1),
                "n": 16 * count - 3,
            },
            meta={"BLOCK": 16},
            expect=lambda x, **_: {
                "mid": np.pad(x, (0, 3)).reshape(-1, 16).sum(1),
                "out": x.sum(keepdims=True),
            },
            atol=1e-4,
            interpretable=False,
        )
        for count in (1, 9)
    ),
    Case(
        id="barrier-columns",
        kernel=columns,
        grid=(10,),
        args={"x": normal("f32", 80), "mid": output("f32", 80), "y": output("f32", 80)},
        meta={"P": 5, "BLOCK": 16},
        expect=lambda x, **_: {"mid": x * 2, "y": x * 2 + 1},
        interpretable=False,
    ),
    Case(
        id="barrier-all-programs",
        kernel=backwards,
        grid=(33,),
        args={"x": normal("f32", 33 * 8), "y": output("f32", 66 * 8)},
        meta={"BLOCK": 8},
        expect=lambda x, **_: {"y": np.concatenate([x, np.roll(x.reshape(33, 8), -1, 0).ravel()])},
        interpretable=False,
    ),
    *(shared_columns_case(*sizes) for sizes in ((64, 64), (50, 70), (16, 16))),
    *(
        Case(
            id=f"barrier-split-k-{k}",
            kernel=split_k,
            args={"a": normal("f32", 32, k), "b": normal("f32", k, 32), "c": output("f32", 32, 32), "K": k},
            meta={"M": 32, "N": 32, "BK": 16, "SM": 8},
            expect=lambda a, b, **_: {"c": a @ b},
            atol=1e-4,
            interpretable=False,
        )
        for k in (16, 80, 75)
    ),
    *(blocks_case(*sizes) for sizes in ((1, 0, 1), (100, 0, 1), (100, 1, 2), (64, 9, 1), (333, 0, 5))),
    Case(
        id="parallel-slices",
        kernel=slices,
        args={"x": normal("f32", 32, 32), "y": output("f32", 32, 32)},
        meta={"N": 32, "SUB": 8},
        expect=lambda x, **_: {"y": x @ x * 0.5},
        atol=1e-5,
        interpretable=False,
    ),
    Case(
        id="parallel-carried",
        kernel=carried,
        args={"x": numbers("i32", 7 * 16), "y": output("i32", 16), "n": 7},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"y": x.reshape(7, 16).sum(0, dtype=np.int32)},
        interpretable=False,
    ),
    Case(
        id="parallel-private",
        kernel=private,
        args={"x": normal("f32", 9 * 8, 16), "y": output("f32", 9 * 8, 16), "n": 9},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"y": x * 3 + 5},
        atol=1e-5,
        interpretable=False,
    ),
    *(
        Case(
            id=f"parallel-nested-{n}-{m}",
            kernel=nested,
            args={"x": numbers("i32", 24 * 8), "y": output("i32", n * m * 8), "n": n, "m": m},
            meta={"BLOCK": 8},
            expect=lambda x, n, m, **_: {
                "y": x[: n * m * 8] + np.repeat(np.add.outer(100 * np.arange(n), np.arange(m)).ravel(), 8)
            },
            interpretable=False,
        )
        for n, m in ((4, 6), (1, 5), (3, 1))
    ),
    Case(
        id="parallel-nested-waits",
        kernel=nested_waits,
        args={"y": output("i32", 24), "n": 3, "m": 4},
        expect=lambda y, n, m: nested_waits_wanted(y, n, m),
        interpretable=False,
    ),
    *(
        Case(
            id=f"parallel-share-{programs}",
            kernel=share,
            grid=(programs,),
            args={"y": output("i32", 7 * 16), "n": 7},
            meta={"BLOCK": 16},
            expect=lambda y, **_: {"y": np.arange(7 * 16)},
            interpretable=False,
        )
        for programs in (1, 3)
    ),
]
