"""Corners of the language: pointers to pointers, values of several parts, hints, seldom-used options."""

from collections import namedtuple

import numpy as np
import triton
import triton.language as tl

from .arrays import STORAGE, given, integers, normal, numbers, output, uniform
from .case import Case

# --- Pointers ---


@triton.jit
def through_a_table(x, table, out, N: tl.constexpr):
    """Pointers stored in memory, loaded back one by one and as a tensor, and written through."""
    i = tl.arange(0, N)
    pointers = table.to(tl.pointer_type(tl.pointer_type(tl.float32)))
    tl.store(pointers + i, x + 2 * i, mask=i < N - 1)
    tl.store(pointers + N - 1, x)
    loaded = tl.load(pointers + i)
    tl.store(out + i, tl.load(loaded))
    one = tl.load(pointers + 3)
    tl.store(out + N + i, tl.load(one + i))
    tl.store(table + i, i.to(tl.int64))  # addresses are not the same twice


@triton.jit
def seen_as(x, out, KIND: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x.to(tl.pointer_type(KIND), bitcast=True) + i))


@triton.jit
def chosen_pointers(x, y, out, n, BLOCK: tl.constexpr):
    """A pointer that a branch chooses, a tensor of pointers to two arrays, and one that a loop moves."""
    i = tl.arange(0, BLOCK)
    p = x if n > 3 else y
    both = tl.where(i < 4, x + i, y + i)
    tl.store(out + i, tl.load(p + i) + 2 * tl.load(both))
    for _ in range(n):
        p += 2
    tl.store(out + BLOCK + i, tl.load(p + i))


def chosen_reference(x, y, n, **_):
    p = x if n > 3 else y
    return {"out": np.concatenate([p[:8] + 2 * np.append(x[:4], y[4:8]), p[2 * n : 2 * n + 8]])}


# --- Values of several parts ---

Affine = namedtuple("Affine", ["scale", "shift"])


@tl.core._aggregate
class Interval:
    low: tl.tensor
    high: tl.tensor

    @triton.constexpr_function
    def __init__(self, low, high):
        self.low = low
        self.high = high

    @triton.jit
    def widened(self, by):
        return Interval(self.low - by, self.high + by)


@triton.jit
def named_parts(maps, x, out, n, BLOCK: tl.constexpr):
    """A named tuple as argument, and one that goes through a loop."""
    i = tl.arange(0, BLOCK)
    state = Affine(tl.load(x + i), tl.zeros((BLOCK,), tl.float32))
    for _ in range(n):
        state = Affine(state.scale * maps.scale, state.shift + maps.shift)
    tl.store(out + i, state.scale + state.shift)


@triton.jit
def nested_parts(arrays, n, BLOCK: tl.constexpr):
    """A tuple of tuples as argument."""
    inputs, rest = arrays
    i = tl.arange(0, BLOCK)
    tl.store(rest[0] + i, tl.load(inputs[0] + i) * rest[1] + tl.load(inputs[1] + i), mask=i < n)


@triton.jit
def intervals(x, out, n, BLOCK: tl.constexpr):
    """An object of two tensors that a loop carries and a branch chooses."""
    i = tl.arange(0, BLOCK)
    a = tl.load(x + i)
    both = Interval(a, a)
    for k in range(n):
        if k % 2 == 0:  # noqa: SIM108 - a branch is what is tested
            both = both.widened(1.0)
        else:
            both = both.widened(0.25)
    tl.store(out + i, both.low)
    tl.store(out + BLOCK + i, both.high)


# --- Functions of the language ---


@triton.jit
def of_pairs(a0, a1, b0, b1):
    """Two elements of each source at once; a branch between them."""
    if a0 > a1:  # noqa: SIM108 - a branch is what is tested
        most = a0 - b0
    else:
        most = a1 + b1
    return most, a1, b0 * 2, b1


@triton.jit
def mapped_pairs(x, y, out, M: tl.constexpr, N: tl.constexpr):
    at = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    a, b = tl.map_elementwise(of_pairs, tl.load(x + at), tl.load(y + at), pack=2)
    tl.store(out + at, a)
    tl.store(out + M * N + at, b)


def mapped_pairs_reference(x, y, **_):
    a, b = x.copy(), y.copy()
    a[:, ::2] = np.where(x[:, ::2] > x[:, 1::2], x[:, ::2] - y[:, ::2], x[:, 1::2] + y[:, 1::2])
    b[:, ::2] *= 2
    return {"out": np.stack([a, b])}


@triton.jit
def rotate(a, b, c, d):
    return b, c, d, a


@triton.jit
def rotated(x, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.map_elementwise(rotate, tl.load(x + i), pack=4)[0])


@triton.jit
def ties(x, out, N: tl.constexpr):
    a = tl.load(x + tl.arange(0, N))
    tl.store(out, tl.argmax(a, 0))
    tl.store(out + 1, tl.argmin(a, 0))
    tl.store(out + 2, tl.max(a, 0, return_indices=True)[1])
    tl.store(out + 3, tl.min(a, 0, return_indices=True)[1])
    # Without the rule any of the places is right: whether it is one of them is what counts.
    most, place = tl.max(a, 0, return_indices=True, return_indices_tie_break_left=False)
    tl.store(out + 4, (tl.load(x + place) == most).to(tl.int32))
    place = tl.argmin(a, 0, tie_break_left=False)
    tl.store(out + 5, (tl.load(x + place) == tl.min(a, 0)).to(tl.int32))


@triton.jit
def items(x, out):
    one = tl.load(x + tl.arange(0, 1))
    tl.store(out, one.item() * 2)
    tl.store(out + 1, tl.fdiv(one.item(), tl.load(x + 1)))
    row = tl.unsqueeze(tl.load(x + tl.arange(0, 4)), 0)
    tl.store(out + 2 + tl.arange(0, 4), tl.squeeze(row, 0) + tl.ravel(row))


@triton.jit
def every_hint(x, out, n, BLOCK: tl.constexpr):
    tl.assume(n >= 0)
    tl.static_assert(BLOCK % 8 == 0)
    i = tl.max_constancy(tl.max_contiguous(tl.multiple_of(tl.arange(0, BLOCK), 8), 8), 1)
    a = tl.load(x + i, mask=i < n, other=0, cache_modifier=".ca", eviction_policy="evict_last", volatile=True)
    a += tl.load(x + i, mask=i < n, other=0, cache_modifier=".cg", eviction_policy="evict_first")
    a += tl.load(x + i, mask=i < n, other=0, cache_modifier=".cv")
    tl.debug_barrier()
    tl.store(out + i, a, cache_modifier=".wb", eviction_policy="evict_first")
    tl.store(out + i, a, cache_modifier=".cs")
    tl.store(out + i, a, cache_modifier=".cg")
    tl.store(out + i, a, cache_modifier=".wt")


@triton.jit
def every_loop(x, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for k in tl.range(0, n, num_stages=3, loop_unroll_factor=2):
        total += tl.load(x + k * BLOCK + i)
    for k in tl.range(0, n, 2, flatten=True, disallow_acc_multi_buffer=True):
        total += 2 * tl.load(x + k * BLOCK + i)
    for k in tl.range(n - 1, -1, -1, warp_specialize=True, disable_licm=True):
        total = total / 2 + tl.load(x + k * BLOCK + i)
    k = 0
    while tl.condition(k < n, disable_licm=True):
        total += tl.load(x + k * BLOCK + i)
        k += 2
    tl.store(out + i, total)


def every_loop_reference(x, n, **_):
    total = x.sum(0) + 2 * x[::2].sum(0)
    for row in x[::-1]:
        total = total / 2 + row
    return {"out": total + x[::2].sum(0)}


@triton.jit
def waits_for_nothing(x, out, BLOCK: tl.constexpr):
    """A kernel that overlaps with its neighbours on a GPU."""
    i = tl.arange(0, BLOCK)
    tl.extra.cuda.gdc_wait()
    tl.store(out + i, tl.load(x + i) + 1)
    tl.extra.cuda.gdc_launch_dependents()


@triton.jit
def atomics_with_orders(x, old, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    mask = i < n
    a = tl.atomic_add(x + i, 3, mask=mask, sem="relaxed", scope="sys")
    a += tl.atomic_max(x + i, 5, mask=mask, sem="acquire", scope="cta")
    a += tl.atomic_xchg(x + i, i.to(x.dtype.element_ty), mask=mask, sem="release", scope="gpu")
    tl.store(old + i, a, mask=mask)


def atomics_reference(x, old, n, **_):
    first = np.maximum(x + 3, 5)
    counts = np.arange(len(x))
    return {
        "x": np.where(counts < n, counts, x),
        "old": np.where(counts < n, x + (x + 3) + first, old),
    }


@triton.jit
def normals(out, seed, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.randn(seed, i))
    a, b, c, d = tl.rand4x(seed, i)
    tl.store(out + N + i, a + b + c + d)
    tl.store(out + 2 * N + i, tl.randint(seed, i.to(tl.int64) + (1 << 33)).to(tl.float32))


def philox_words(counters: np.ndarray, seed: int) -> np.ndarray:
    """Philox-4x32-10 (Salmon et al., 2011) as i32, one column for each 64-bit counter."""
    c = [counters & 0xFFFFFFFF, counters >> 32, counters * 0, counters * 0]
    c = [part.astype(np.uint64) for part in c]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        first, second = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        low = np.uint64(0xFFFFFFFF)
        c = [
            (second >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            second & low,
            (first >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            first & low,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c).astype(np.uint32).view(np.int32).astype(np.int64)


def normals_reference(out, seed, **_):
    counters = np.arange(out.shape[1], dtype=np.int64)
    words = philox_words(counters, seed)
    # Negative words are mirrored, and the scale keeps the largest below one.
    uniforms = np.where(words < 0, -words - 1, words) * 4.6566127342e-10
    u = np.maximum(uniforms[0], 1e-7)
    gauss = np.sqrt(-2 * np.log(u)) * np.cos(6.283185307179586 * uniforms[1])
    far = philox_words(counters + (1 << 33), seed)[0] & 0xFFFFFFFF
    return {"out": np.stack([gauss, uniforms.sum(0), far])}


@triton.jit
def functions_for_operators(x, y, out, BLOCK: tl.constexpr):
    """What has an operator too, or a shorter name; and a branch on the hardware, which is no GPU."""
    i = tl.arange(0, BLOCK)
    a, b = tl.load(x + i), tl.load(y + i)
    tl.static_print("BLOCK is", BLOCK)
    tl.store(out + i, tl.mul(tl.add(a, b), tl.sub(a, b)))
    tl.store(out + BLOCK + i, tl.cast(tl.cast(a, tl.float64), tl.float32))
    row, column = tl.broadcast(tl.view(a, [1, BLOCK]), tl.view(b, [BLOCK, 1]))
    tl.store(out + 2 * BLOCK + i, tl.sum(row * column, 0))
    if tl.target_info.is_cuda() or tl.target_info.is_hip():
        tl.store(out + 3 * BLOCK + i, b)
    else:
        tl.store(out + 3 * BLOCK + i, tl.to_tensor(2) * a)


@triton.jit
def merged(x, out, M: tl.constexpr, N: tl.constexpr):
    """Rows whose first half ascends and whose second half descends, merged."""
    at = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    half = tl.arange(0, N)[None, :] < N // 2
    a = tl.load(x + at)
    low = tl.sort(tl.where(half, a, 1000), 1)
    high = tl.sort(tl.where(half, -1000, a), 1, descending=True)
    mixed = tl.where(half, low, tl.flip(tl.sort(tl.where(half, 1000, a), 1), 1))
    tl.store(out + at, tl.bitonic_merge(mixed, 1) + 0 * high)


@triton.jit
def library_words(out, N: tl.constexpr):
    """The generator's own function, and what Triton's library makes of its words."""
    i = tl.arange(0, N).to(tl.uint32)
    a, b, c, d = tl.philox(77, i, i * 0, i * 0, i * 0)
    e, f, g, h = tl.randint4x(77, i)
    same = (a == e) & (b == f) & (c == g) & (d == h)
    p, q, r, s = tl.randn4x(77, i)
    u, v = tl.pair_uniform_to_normal(tl.uint_to_uniform_float(a), tl.uint_to_uniform_float(b))
    tl.store(out + tl.arange(0, N), (same & (p == u) & (q == v) & (r == r) & (s == s)).to(tl.int32))


CASES = [
    Case(
        id="functions-for-operators",
        kernel=functions_for_operators,
        args={"x": normal("f32", 16), "y": normal("f32", 16), "out": output("f32", 64)},
        meta={"BLOCK": 16},
        expect=lambda x, y, **_: {"out": np.concatenate([(x + y) * (x - y), x, x * y.sum(), 2 * x])},
        ulps=8,
        atol=1e-5,
        interpretable=False,
    ),
    *(
        Case(
            id=f"bitonic-merge-{d}",
            kernel=merged,
            args={"x": integers(d, 4, 16, low=-100, high=100), "out": output(d, 4, 16)},
            meta={"M": 4, "N": 16},
            expect=lambda x, **_: {"out": np.sort(x, 1)},
        )
        for d in ("i32", "i16")
    ),
    Case(
        id="library-words",
        kernel=library_words,
        args={"out": output("i32", 32)},
        meta={"N": 32},
        expect=lambda **_: {"out": np.ones(32, int)},
        interpretable=False,
    ),
    Case(
        id="pointers-in-memory",
        kernel=through_a_table,
        args={"x": normal("f32", 16), "table": output("i64", 8), "out": output("f32", 16)},
        meta={"N": 8},
        expect=lambda x, **_: {
            "out": np.concatenate([np.append(x[:14:2], x[0]), x[6:14]]),
            "table": np.arange(8),
        },
        ulps=0,
        interpretable=False,  # the interpreter has no pointers to pointers
    ),
    *(
        Case(
            id=f"pointer-cast-{to}-{dtype}",
            kernel=seen_as,
            args={"x": numbers(dtype, 32), "out": output(to, 16)},
            meta={"KIND": kind, "BLOCK": 16},
            expect=lambda x, out, dtype=dtype, **_: {"out": x.astype(STORAGE[dtype]).view(out.dtype)[:16]},
            interpretable=False,  # its pointers keep the type that they had
        )
        for dtype, to, kind in (("i32", "i16", tl.int16), ("u8", "i8", tl.int8), ("f64", "i64", tl.int64))
    ),
    *(
        Case(
            id=f"chosen-pointers-{n}",
            kernel=chosen_pointers,
            args={"x": normal("f32", 24), "y": normal("f32", 24), "out": output("f32", 16), "n": n},
            meta={"BLOCK": 8},
            expect=chosen_reference,
        )
        for n in (2, 5)
    ),
    Case(
        id="named-tuples",
        kernel=named_parts,
        args={"x": normal("f32", 16), "out": output("f32", 16), "n": 3, "scale": 2.0, "shift": -0.5},
        prepare=lambda args: {
            **{name: arg for name, arg in args.items() if name not in ("scale", "shift")},
            "maps": Affine(args["scale"], args["shift"]),
        },
        meta={"BLOCK": 16},
        expect=lambda x, n, scale, shift, **_: {"out": x * scale**n + n * shift},
        ulps=2,
        interpretable=False,
    ),
    Case(
        id="nested-tuples",
        kernel=nested_parts,
        args={"x": normal("f32", 16), "y": normal("f32", 16), "out": output("f32", 16), "by": 3.0, "n": 11},
        prepare=lambda args: {
            "arrays": ((args["x"], args["y"]), (args["out"], args["by"])),
            "n": args["n"],
        },
        meta={"BLOCK": 16},
        expect=lambda x, y, out, by, n: {"out": np.where(np.arange(16) < n, x * by + y, out)},
        ulps=2,
        atol=1e-6,
        interpretable=False,
    ),
    Case(
        id="aggregates",
        kernel=intervals,
        args={"x": normal("f32", 16), "out": output("f32", 32), "n": 5},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"out": np.concatenate([x - 3.5, x + 3.5])},
        ulps=2,
        atol=1e-6,
        interpretable=False,
    ),
    *(
        Case(
            id=f"map-elementwise-pack2-{d}",
            kernel=mapped_pairs,
            args={"x": numbers(d, 4, 16), "y": numbers(d, 4, 16), "out": output(d, 2, 4, 16)},
            meta={"M": 4, "N": 16},
            expect=mapped_pairs_reference,
            interpretable=False,
        )
        for d in ("f32", "i16", "f16")
    ),
    Case(
        id="map-elementwise-pack4",
        kernel=rotated,
        args={"x": normal("f32", 64), "out": output("f32", 64)},
        meta={"BLOCK": 64},
        expect=lambda x, **_: {"out": np.roll(x.reshape(16, 4), -1, 1).ravel()},
        ulps=0,
        interpretable=False,
    ),
    *(
        Case(
            id=f"ties-{d}",
            kernel=ties,
            args={"x": given(d, [3, 1, 7, 7, 1, 2, 7, 3]), "out": output("i32", 6)},
            meta={"N": 8},
            expect=lambda **_: {"out": np.array([2, 1, 2, 1, 1, 1])},
            interpretable=d != "bf16",
        )
        for d in ("i8", "u8", "i32", "i64", "f16", "bf16", "f32", "f64")
    ),
    Case(
        id="items",
        kernel=items,
        args={"x": uniform("f32", 4, low=1), "out": output("f32", 6)},
        expect=lambda x, **_: {"out": np.concatenate([[x[0] * 2, x[0] / x[1]], 2 * x])},
        interpretable=False,
    ),
    Case(
        id="every-hint",
        kernel=every_hint,
        args={"x": normal("f32", 16), "out": output("f32", 16), "n": 13},
        meta={"BLOCK": 16},
        expect=lambda x, n, **_: {"out": np.where(np.arange(16) < n, 3 * x, 0)},
        ulps=2,
    ),
    *(
        Case(
            id=f"every-loop-{n}",
            kernel=every_loop,
            args={"x": normal("f32", n, 16), "out": output("f32", 16), "n": n},
            meta={"BLOCK": 16},
            expect=every_loop_reference,
            ulps=4,
            atol=1e-5,
            interpretable=False,
        )
        for n in (1, 6)
    ),
    Case(
        id="waits-for-nothing",
        kernel=waits_for_nothing,
        args={"x": integers("i32", 16), "out": output("i32", 16)},
        meta={"BLOCK": 16},
        expect=lambda x, **_: {"out": x + 1},
        interpretable=False,
    ),
    *(
        Case(
            id=f"atomic-orders-{d}",
            kernel=atomics_with_orders,
            args={"x": integers(d, 16, low=0, high=9), "old": output(d, 16), "n": 13},
            meta={"BLOCK": 16},
            expect=atomics_reference,
        )
        for d in ("i32", "i64", "u32", "u64")
    ),
    Case(
        id="random-numbers",
        kernel=normals,
        args={"out": output("f32", 3, 64), "seed": 4242},
        meta={"N": 64},
        expect=normals_reference,
        ulps=8,
        atol=1e-6,
    ),
]
