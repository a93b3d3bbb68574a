"""What the IME instructions do, on the contents of vector registers.

Rounding is to nearest even whatever `frm` says, NaN results are the canonical quiet NaN, subnormals
are numbers, and no flag changes: the specification is silent, and its examples agree.
"""

import numpy as np

from vertebra.core.elements import add_f32, floats, integers
from vertebra.core.vector_state import VectorState
from vertebra.plugins.ime.geometry import tile_of

# The mode of a hart in which 16-bit floats are bfloat16: the bit BF16 of the control register MCPM.
BF16 = "MCPM.BF16"


def _bf16(state: VectorState) -> bool:
    return state.mode == BF16


# --- Elements --------------------------------------------------------------------------------


def halves(data: np.ndarray, bf16: bool) -> np.ndarray:
    """The 16-bit floats in register bytes as float64, which holds all of them exactly."""
    return floats(data, "bf16" if bf16 else "f16")


def to_half(values: np.ndarray, bf16: bool) -> np.ndarray:
    """float64 rounded once to the 16-bit format, as uint16."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if not bf16:
            return np.where(np.isnan(values), np.uint16(0x7E00), values.astype(np.float16).view(np.uint16))
        exponent = np.frexp(values)[1] - 8  # of the last of 8 significant bits
        step = np.ldexp(1.0, np.maximum(exponent, -133))
        rounded = (np.rint(values / step) * step).astype(np.float32)  # exact, or infinite
        bits = (
            np.where(np.isfinite(values), rounded, values).astype(np.float32).view(np.uint32) >> 16
        ).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), bits)


# --- Matrix instructions -----------------------------------------------------------------------


def _integer_tiles(insn, state: VectorState, vs1: int, vs2: int, stored_k: int, side: int):
    """(rows of A, columns of B), as many as their registers hold."""
    a = integers(state.group(vs1, insn.operand("vs1").group), insn.a)
    b = integers(state.group(vs2, 1), insn.b)
    return a, b.reshape(side, stored_k)


def dot(insn, state: VectorState, *, vd: int, vs1: int, vs2: int) -> None:
    """C[i, n] += sum over k of A[i + slide, k] B[k, n], modulo 2**32."""
    m, n, k = tile_of(state.vlen, 32, insn.element_bits)
    a, b = _integer_tiles(insn, state, vs1, vs2, k, n)
    window = a.reshape(-1, k)[insn.slide : insn.slide + m]
    acc = state.group(vd, 2).view(np.int32)
    acc += (window @ b.T).astype(np.int32).reshape(-1)


def sparse_dot(
    insn, state: VectorState, *, vd: int, vs1: int, vs2: int, selector: int, immediate: int
) -> None:
    """C += A @ B where B keeps two of every four elements of a column, at the places its mask says.

    The mask is a nibble per group of four, the lowest bit for the first element, column after
    column; `immediate` chooses the part of register v0 or v1 that holds it.  A group whose
    nibble has not exactly two bits adds nothing.
    """
    m, n, k = tile_of(state.vlen, 32, insn.element_bits, sparse=True)
    a, stored = _integer_tiles(insn, state, vs1, vs2, k // 2, n)
    groups = n * k // 4
    mask = integers(state.v[selector], "ui4")[immediate * groups : (immediate + 1) * groups]
    chosen = (mask[:, None] >> np.arange(4) & 1).astype(bool)  # (groups, 4)
    chosen &= (chosen.sum(axis=1) == 2)[:, None]
    dense = np.zeros((groups, 4), np.int64)
    valid = chosen.any(axis=1)
    dense[chosen] = stored.reshape(groups, 2)[valid].reshape(-1)
    acc = state.group(vd, 2).view(np.int32)
    acc += (a.reshape(m, k) @ dense.reshape(n, k).T).astype(np.int32).reshape(-1)


def scaled_dot(
    insn, state: VectorState, *, vd: int, vs1: int, vs2: int, selector: int, immediate: int
) -> None:
    """C[i, n] += (sum over k of A[i, k] B[k, n]) S[n] in 16-bit floats.

    The exact sum is rounded, so is its product with the scale, and so is the sum with C.
    `immediate` chooses the n scales in register v0 or v1.
    """
    m, n, k = tile_of(state.vlen, 16, insn.element_bits)
    a, b = _integer_tiles(insn, state, vs1, vs2, k, n)
    scale = halves(state.v[selector], _bf16(state))[immediate * n : (immediate + 1) * n]
    acc = state.group(vd, 1)

    def rounded(values):
        return halves(to_half(values, _bf16(state)).view(np.uint8), _bf16(state)).reshape(m, n)

    with np.errstate(over="ignore", invalid="ignore"):
        product = rounded(rounded((a.reshape(m, k) @ b.T).astype(np.float64)) * scale)
        total = halves(acc, _bf16(state)).reshape(m, n) + product
    acc.view(np.uint16)[:] = to_half(total, _bf16(state)).reshape(-1)


def float_dot(insn, state: VectorState, *, vd: int, vs1: int, vs2: int) -> None:
    """C[i, n] += sum over k of A[i + slide, k] B[k, n] in float32, k rising, rounded at every step."""
    m, n, k = tile_of(state.vlen, 32, insn.element_bits)
    a = halves(state.group(vs1, insn.operand("vs1").group), _bf16(state)).reshape(-1, k)
    a = a[insn.slide : insn.slide + m]
    b = halves(state.v[vs2], _bf16(state)).reshape(n, k)
    acc = state.group(vd, 2).view(np.float32)
    total = acc.reshape(m, n)
    with np.errstate(invalid="ignore"):
        for step in range(k):
            total = add_f32(total, np.outer(a[:, step], b[:, step]))
    acc[:] = total.reshape(-1)


# --- Layout instructions -------------------------------------------------------------------------


def _block_bytes(state: VectorState, immediate: int) -> int:
    """Of pack and unpack: one element, or 128, 256 or 512 bits."""
    return (state.sew, 128, 256, 512)[immediate] // 8


def pack(insn, state: VectorState, *, vd: int, vs1: int, vs2: int, immediate: int) -> None:
    """The blocks of two registers in turn: first of vs1, first of vs2, second of vs1, ..."""
    size = _block_bytes(state, immediate)
    sources = [state.v[number].reshape(-1, size) for number in (vs1, vs2)]
    state.group(vd, 2)[:] = np.stack(sources, axis=1).reshape(-1)


def unpack(insn, state: VectorState, *, vd: int, vs1: int, vs2: int, immediate: int) -> None:
    """The blocks with even numbers of vs1 and vs2 go to vd, the others to vd + 1: undoes pack."""
    size = _block_bytes(state, immediate)
    blocks = np.stack([state.v[vs1], state.v[vs2]]).reshape(-1, 2, size)
    state.group(vd, 2)[:] = np.stack([blocks[:, 0], blocks[:, 1]]).reshape(-1)


def narrow(insn, state: VectorState, *, vd: int, vs1: int, vs2: int, immediate: int) -> None:
    """Halves the elements of both sources and takes blocks of 32, 64, 128 or 256 bits of them in turn.

    The results have SEW bits, or 4 where the form says so; they keep the low half, or saturate as
    signed numbers.
    """
    bits = insn.element_bits or state.sew
    size = (32, 64, 128, 256)[immediate] // 8
    sources = [_narrowed(state.v[number], bits, insn.saturating).reshape(-1, size) for number in (vs1, vs2)]
    state.v[vd] = np.stack(sources, axis=1).reshape(-1)


def _narrowed(data: np.ndarray, bits: int, saturating: bool) -> np.ndarray:
    """Signed elements of 2 * `bits` bits made half as wide, as bytes."""
    wide = data.view(f"<i{bits // 4}")
    if saturating:
        wide = np.clip(wide, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    if bits == 4:
        nibbles = wide.view(np.uint8) & 15
        return nibbles[0::2] | nibbles[1::2] << 4
    return wide.astype(f"<i{bits // 8}").view(np.uint8)
