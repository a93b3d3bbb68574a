"""Functions of Triton's own library, and kernels of the kinds that people write with it."""

import numpy as np
import triton
import triton.language as tl

from .arrays import integers, normal, output, permutation, uniform
from .case import Case


@triton.jit
def random_words(out, seed, N: tl.constexpr):
    i = tl.arange(0, N)
    a, b, c, d = tl.randint4x(seed, i)
    tl.store(out + i, a)
    tl.store(out + N + i, b)
    tl.store(out + 2 * N + i, c)
    tl.store(out + 3 * N + i, d)


def philox(counter, key):
    """Philox-4x32-10 (Salmon et al., 2011): four words for each row of `counter`."""
    c = counter.astype(np.uint64)
    k = np.array(key, np.uint64)
    for _ in range(10):
        high0, low0 = c[0] * 0xD2511F53 >> 32, c[0] * 0xD2511F53 & 0xFFFFFFFF
        high1, low1 = c[2] * 0xCD9E8D57 >> 32, c[2] * 0xCD9E8D57 & 0xFFFFFFFF
        c = np.stack([high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0])
        k = (k + np.array([0x9E3779B9, 0xBB67AE85], np.uint64)) & 0xFFFFFFFF
    return c


def random_reference(out, seed, **_):
    counter = np.zeros((4, out.shape[1]))
    counter[0] = np.arange(out.shape[1])
    return {"out": philox(counter, (seed & 0xFFFFFFFF, seed >> 32))}


@triton.jit
def dropout(x, out, n, p, seed, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a = tl.load(x + i, mask=i < n)
    keep = tl.rand(seed, i) > p
    tl.store(out + i, tl.where(keep, a / (1 - p), 0.0), mask=i < n)


def dropout_reference(x, p, seed, **_):
    counter = np.zeros((4, len(x)))
    counter[0] = np.arange(len(x))
    word = philox(counter, (seed, 0))[0].astype(np.uint32).view(np.int32).astype(np.int64)
    # tl.rand maps a negative word w to -w - 1, then scales by just less than 2**-31.
    share = np.where(word < 0, -word - 1, word) * 4.6566127342e-10
    return {"out": np.where(share > p, x / (1 - p), 0)}


@triton.jit
def library_softmax(x, out, M: tl.constexpr, N: tl.constexpr):
    at = tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :]
    tl.store(out + at, tl.softmax(tl.load(x + at), 1, keep_dims=True))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@triton.jit
def greatest(x, out, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    i = tl.arange(0, M)[:, None]
    a = tl.load(x + i * N + tl.arange(0, N)[None, :])
    tl.store(out + i * K + tl.arange(0, K)[None, :], tl.topk(a, K))


@triton.jit
def selu_scalar(x):
    if x > 0:  # noqa: SIM108 - a branch is what is tested
        y = x * 2
    else:
        y = tl.exp(x) - 1
    return y


@triton.jit
def mapped(x, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.map_elementwise(selu_scalar, tl.load(x + i)))


@triton.jit
def gelu(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    a = tl.load(x + i, mask=i < n).to(tl.float32)
    tl.store(out + i, 0.5 * a * (1 + tl.erf(a * 0.7071067811865476)), mask=i < n)


def gelu_reference(x, **_):
    from math import erf

    return {"out": 0.5 * x * (1 + np.vectorize(erf)(x / 2**0.5))}


@triton.jit
def rotary(x, cosine, sine, out, half, HALF: tl.constexpr):
    """Rotary embedding: pairs (x[j], x[j + half]) turn by an angle."""
    row = tl.program_id(0)
    j = tl.arange(0, HALF)
    mask = j < half
    a = tl.load(x + row * 2 * half + j, mask=mask)
    b = tl.load(x + row * 2 * half + half + j, mask=mask)
    c = tl.load(cosine + row * half + j, mask=mask)
    s = tl.load(sine + row * half + j, mask=mask)
    tl.store(out + row * 2 * half + j, a * c - b * s, mask=mask)
    tl.store(out + row * 2 * half + half + j, b * c + a * s, mask=mask)


def rotary_reference(x, cosine, sine, half, **_):
    a, b = x[:, :half], x[:, half:]
    return {"out": np.concatenate([a * cosine - b * sine, b * cosine + a * sine], 1)}


@triton.jit
def cross_entropy(logits, target, loss, n, N: tl.constexpr):
    row = tl.program_id(0)
    j = tl.arange(0, N)
    a = tl.load(logits + row * n + j, mask=j < n, other=-float("inf"))
    top = tl.max(a, 0)
    log_sum = tl.log(tl.sum(tl.exp(a - top), 0)) + top
    tl.store(loss + row, log_sum - tl.load(logits + row * n + tl.load(target + row)))


def cross_entropy_reference(logits, target, **_):
    top = logits.max(1)
    log_sum = np.log(np.exp(logits - top[:, None]).sum(1)) + top
    return {"loss": log_sum - logits[np.arange(len(logits)), target]}


@triton.jit
def quantise(x, out, scale, n, N: tl.constexpr):
    """Symmetric int8 quantisation of rows; rounds halves up."""
    row = tl.program_id(0)
    j = tl.arange(0, N)
    a = tl.load(x + row * n + j, mask=j < n, other=0.0)
    s = tl.max(tl.abs(a), 0) / 127.0
    tl.store(scale + row, s)
    tl.store(out + row * n + j, tl.floor(a / s + 0.5).to(tl.int8), mask=j < n)


def quantise_reference(x, **_):
    s = (np.abs(x).max(1) / 127).astype(np.float32).astype(np.float64)
    return {"scale": s, "out": np.floor((x / s[:, None]).astype(np.float32) + 0.5)}


@triton.jit
def descriptor_rows(x, index, out, gathered, m, n, column, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Rows picked by a descriptor, stored densely, and scattered to where they came from."""
    source = tl.make_tensor_descriptor(x, [m, n], [n, 1], [1, COLUMNS])
    target = tl.make_tensor_descriptor(out, [m, n], [n, 1], [1, COLUMNS])
    rows = tl.load(index + tl.arange(0, ROWS))
    a = source.gather(rows, column)
    tl.store(gathered + tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :], a)
    target.scatter(a, rows, column)


def descriptor_rows_reference(x, index, out, gathered, column, **_):
    width = gathered.shape[1]
    picked = x[index, column : column + width]
    out = out.copy()
    out[index, column : column + width] = picked
    gathered = np.pad(picked, ((0, 0), (0, width - picked.shape[1])))
    return {"gathered": gathered, "out": out}


CASES = [
    *(
        Case(
            id=f"random-words-{seed:#x}",
            kernel=random_words,
            args={"out": output("i32", 4, 32, fill=0), "seed": seed},
            meta={"N": 32},
            expect=random_reference,
        )
        for seed in (7, 0x1234_5678_9ABC)
    ),
    Case(
        id="dropout",
        kernel=dropout,
        grid=(3,),
        args={"x": normal("f32", 75), "out": output("f32", 75), "n": 75, "p": 0.375, "seed": 99},
        meta={"BLOCK": 32},
        expect=dropout_reference,
        ulps=2,
    ),
    Case(
        id="library-softmax",
        kernel=library_softmax,
        args={"x": normal("f32", 8, 32, scale=4), "out": output("f32", 8, 32)},
        meta={"M": 8, "N": 32},
        expect=lambda x, **_: {"out": softmax(x)},
        ulps=16,
    ),
    Case(
        id="topk",
        kernel=greatest,
        args={"x": permutation("i32", 64), "out": output("i32", 4, 4)},
        meta={"M": 4, "N": 16, "K": 4},
        expect=lambda x, **_: {"out": -np.sort(-x.reshape(4, 16), 1)[:, :4]},
    ),
    Case(
        id="map-elementwise",
        kernel=mapped,
        args={"x": normal("f32", 32), "out": output("f32", 32)},
        meta={"BLOCK": 32},
        expect=lambda x, **_: {"out": np.where(x > 0, 2 * x, np.exp(x) - 1)},
        ulps=4,
        atol=1e-7,
        interpretable=False,  # the interpreter lacks it
    ),
    *(
        Case(
            id=f"gelu-{d}",
            kernel=gelu,
            grid=(3,),
            args={"x": normal(d, 75, scale=2), "out": output(d, 75), "n": 75},
            meta={"BLOCK": 32},
            expect=gelu_reference,
            ulps=4,
            atol=1e-6,
            interpretable=d != "bf16",
        )
        for d in ("f32", "f16", "bf16")
    ),
    Case(
        id="rotary-embedding",
        kernel=rotary,
        grid=(5,),
        args={
            "x": normal("f32", 5, 24),
            "cosine": uniform("f32", 5, 12, low=-1),
            "sine": uniform("f32", 5, 12, low=-1),
            "out": output("f32", 5, 24),
            "half": 12,
        },
        meta={"HALF": 16},
        expect=rotary_reference,
        ulps=4,
        atol=1e-6,
    ),
    Case(
        id="cross-entropy",
        kernel=cross_entropy,
        grid=(6,),
        args={
            "logits": normal("f32", 6, 50, scale=3),
            "target": integers("i64", 6, low=0, high=49),
            "loss": output("f32", 6),
            "n": 50,
        },
        meta={"N": 64},
        expect=cross_entropy_reference,
        ulps=8,
        atol=1e-6,
    ),
    Case(
        id="quantise-rows",
        kernel=quantise,
        grid=(5,),
        args={"x": normal("f32", 5, 50), "out": output("i8", 5, 50), "scale": output("f32", 5), "n": 50},
        meta={"N": 64},
        expect=quantise_reference,
    ),
    Case(
        id="descriptor-gather-scatter",
        kernel=descriptor_rows,
        args={
            "x": normal("f32", 12, 24),
            "index": permutation("i32", 8),
            "out": output("f32", 12, 24),
            "gathered": output("f32", 8, 16),
            **{"m": 12, "n": 24, "column": 12},
        },
        meta={"ROWS": 8, "COLUMNS": 16},
        expect=descriptor_rows_reference,
        ulps=0,
    ),
]
