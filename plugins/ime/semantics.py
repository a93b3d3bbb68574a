"""What the IME instructions do, on the contents of vector registers.

Rounding is to nearest even whatever `frm` says, NaN results are the canonical quiet NaN, subnormals
are numbers, and no flag changes: the specification is silent, and its examples agree.
"""

import attrs
import numpy as np

from vertebra.plugins.ime.geometry import tile_of

_REGISTERS = 32


@attrs.define
class Registers:
    """The vector state that IME instructions read and write.

    v: (32, VLEN / 8) uint8, byte 0 of a register first.  sew: the element width of vtype, in bits;
    only layout instructions look at it.  bf16: the bit MCPM.BF16, whether 16-bit floats are bfloat16.
    LMUL is 1, and all instructions work on whole registers whatever vl is.
    """

    v: np.ndarray
    sew: int = 8
    bf16: bool = False

    @classmethod
    def zeros(cls, vlen: int, **fields) -> "Registers":
        return cls(np.zeros((_REGISTERS, vlen // 8), np.uint8), **fields)

    @property
    def vlen(self) -> int:
        return self.v.shape[1] * 8

    def group(self, first: int, count: int) -> np.ndarray:
        """The bytes of `count` registers, one after the other; a view."""
        return self.v[first : first + count].reshape(-1)


# --- Elements --------------------------------------------------------------------------------


def integers(data: np.ndarray, kind: str) -> np.ndarray:
    """The elements of register bytes as int64.  kind: i8, ui8, i4 or ui4 (the low nibble comes first)."""
    signed = kind.startswith("i")
    if kind.endswith("8"):
        return data.view(np.int8 if signed else np.uint8).astype(np.int64)
    nibbles = np.stack([data & 15, data >> 4], axis=-1).reshape(-1).astype(np.int64)
    return (nibbles ^ 8) - 8 if signed else nibbles


def halves(data: np.ndarray, bf16: bool) -> np.ndarray:
    """The 16-bit floats in register bytes as float64, which holds all of them exactly."""
    bits = data.view(np.uint16)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        if bf16:
            return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        return bits.view(np.float16).astype(np.float64)


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


# --- Matrix instructions -----------------------------------------------------------------------


def _integer_tiles(insn, state: Registers, vs1: int, vs2: int, stored_k: int, side: int):
    """(rows of A, columns of B), as many as their registers hold."""
    a = integers(state.group(vs1, insn.operand("vs1").group), insn.a)
    b = integers(state.group(vs2, 1), insn.b)
    return a, b.reshape(side, stored_k)


def dot(insn, state: Registers, *, vd: int, vs1: int, vs2: int) -> None:
    """C[i, n] += sum over k of A[i + slide, k] B[k, n], modulo 2**32."""
    m, n, k = tile_of(state.vlen, 32, insn.element_bits)
    a, b = _integer_tiles(insn, state, vs1, vs2, k, n)
    window = a.reshape(-1, k)[insn.slide : insn.slide + m]
    acc = state.group(vd, 2).view(np.int32)
    acc += (window @ b.T).astype(np.int32).reshape(-1)


def sparse_dot(insn, state: Registers, *, vd: int, vs1: int, vs2: int, selector: int, immediate: int) -> None:
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


def scaled_dot(insn, state: Registers, *, vd: int, vs1: int, vs2: int, selector: int, immediate: int) -> None:
    """C[i, n] += (sum over k of A[i, k] B[k, n]) S[n] in 16-bit floats.

    The exact sum is rounded, so is its product with the scale, and so is the sum with C.
    `immediate` chooses the n scales in register v0 or v1.
    """
    m, n, k = tile_of(state.vlen, 16, insn.element_bits)
    a, b = _integer_tiles(insn, state, vs1, vs2, k, n)
    scale = halves(state.v[selector], state.bf16)[immediate * n : (immediate + 1) * n]
    acc = state.group(vd, 1)

    def rounded(values):
        return halves(to_half(values, state.bf16).view(np.uint8), state.bf16).reshape(m, n)

    with np.errstate(over="ignore", invalid="ignore"):
        product = rounded(rounded((a.reshape(m, k) @ b.T).astype(np.float64)) * scale)
        total = halves(acc, state.bf16).reshape(m, n) + product
    acc.view(np.uint16)[:] = to_half(total, state.bf16).reshape(-1)


def float_dot(insn, state: Registers, *, vd: int, vs1: int, vs2: int) -> None:
    """C[i, n] += sum over k of A[i + slide, k] B[k, n] in float32, k rising, rounded at every step."""
    m, n, k = tile_of(state.vlen, 32, insn.element_bits)
    a = halves(state.group(vs1, insn.operand("vs1").group), state.bf16).reshape(-1, k)
    a = a[insn.slide : insn.slide + m]
    b = halves(state.v[vs2], state.bf16).reshape(n, k)
    acc = state.group(vd, 2).view(np.float32)
    total = acc.reshape(m, n)
    with np.errstate(invalid="ignore"):
        for step in range(k):
            total = add_f32(total, np.outer(a[:, step], b[:, step]))
    acc[:] = total.reshape(-1)


# --- Layout instructions -------------------------------------------------------------------------


def _block_bytes(state: Registers, immediate: int) -> int:
    """Of pack and unpack: one element, or 128, 256 or 512 bits."""
    return (state.sew, 128, 256, 512)[immediate] // 8


def pack(insn, state: Registers, *, vd: int, vs1: int, vs2: int, immediate: int) -> None:
    """The blocks of two registers in turn: first of vs1, first of vs2, second of vs1, ..."""
    size = _block_bytes(state, immediate)
    sources = [state.v[number].reshape(-1, size) for number in (vs1, vs2)]
    state.group(vd, 2)[:] = np.stack(sources, axis=1).reshape(-1)


def unpack(insn, state: Registers, *, vd: int, vs1: int, vs2: int, immediate: int) -> None:
    """The blocks with even numbers of vs1 and vs2 go to vd, the others to vd + 1: undoes pack."""
    size = _block_bytes(state, immediate)
    blocks = np.stack([state.v[vs1], state.v[vs2]]).reshape(-1, 2, size)
    state.group(vd, 2)[:] = np.stack([blocks[:, 0], blocks[:, 1]]).reshape(-1)


def narrow(insn, state: Registers, *, vd: int, vs1: int, vs2: int, immediate: int) -> None:
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
