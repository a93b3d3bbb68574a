"""Register bytes as numbers that NumPy computes with, and sums rounded once."""

import numpy as np

from vertebra.core.matrix import BITS, INTEGERS
from vertebra.core.vector_state import VectorState


def integers(data: np.ndarray, kind: str) -> np.ndarray:
    """The elements of register bytes as int64.  kind: an integer type's name."""
    signed = kind.startswith("i")
    bits = INTEGERS[kind]
    if bits >= 8:
        return data.view(f"{'i' if signed else 'u'}{bits // 8}").astype(np.int64)
    nibbles = np.stack([data & 15, data >> 4], axis=-1).reshape(-1).astype(np.int64)
    return (nibbles ^ 8) - 8 if signed else nibbles


def floats(data: np.ndarray, kind: str) -> np.ndarray:
    """The elements of register bytes as float64, which holds all of them exactly.  kind: f16, bf16 or f32."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        if kind == "bf16":
            return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        return data.view(np.float16 if kind == "f16" else np.float32).astype(np.float64)


def add_f32(acc: np.ndarray, product: np.ndarray) -> np.ndarray:
    """acc + product rounded once to float32; acc is float32, product float64 and exact.

    The sum in float64 is made odd where it is not exact, so that the second rounding cannot tie.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        a = acc.astype(np.float64)
        total = a + product
        part = total - a
        lost = (a - (total - part)) + (product - part)
        inexact = np.isfinite(total) & (lost != 0) & (total.view(np.int64) & 1 == 0)
        total = np.where(inexact, np.nextafter(total, np.where(lost > 0, np.inf, -np.inf)), total)
        result = total.astype(np.float32)
    return np.where(np.isnan(result), np.float32(np.nan), result)


def dot(insn, state: VectorState, *, vd: int, vs1: int, vs2: int) -> None:
    """C[i, j] += sum over k of A[i, k] B[k, j], of a `vertebra.core.matrix.DotInstruction`.

    Integers are added modulo 2**bits; floats in float32, k rising, product and sum rounded as one.
    """
    m, n, k = insn.tiles[state.vlen]
    a, b, acc = (state.group(x, insn.operand(o).group) for x, o in ((vs1, "vs1"), (vs2, "vs2"), (vd, "vd")))
    if insn.acc != "f32":
        kind = f"i{BITS[insn.acc] // 8}"
        products = integers(a, insn.a).reshape(m, k) @ integers(b, insn.b).reshape(n, k).T
        sums = acc.view(kind)
        sums += products.astype(kind).reshape(-1)
        return
    a, b = floats(a, insn.a).reshape(m, k), floats(b, insn.b).reshape(n, k)
    total = acc.view(np.float32).reshape(m, n)
    with np.errstate(invalid="ignore", over="ignore"):
        for step in range(k):
            total = add_f32(total, np.outer(a[:, step], b[:, step]))
    acc.view(np.float32)[:] = total.reshape(-1)
