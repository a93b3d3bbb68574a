"""What the instructions do, on a `State`.

Every function has the order of checks of the draft: ownership, numbers of registers, types, alignment and
span, base address, access; sources are read before anything is written.  The draft leaves order, rounding
and saturation of the sums of products to the implementation.  Here squares rise, then the place inside;
integers are exact and saturate, where their type does, after every product; floats are fused
multiply-adds, rounded to nearest even.
"""

import functools

import numpy as np

from vertebra.plugins.ame.numbers import Flags, Numbers, decode, encode, fused
from vertebra.plugins.ame.state import (
    UNSUPPORTED,
    Grant,
    Illegal,
    Misaligned,
    State,
    Unsupported,
    joined,
    split,
    supported,
)
from vertebra.plugins.ame.types import Type, integer, multiplies

# Of ame.acquire -> what comes of it where others have the unit: try, and wait for a bounded time.
_TAKEN = {0: Grant.BUSY, 1: Grant.TIMEOUT}


def acquire(insn, state: State, *, rd: int, rs1: int) -> None:
    """A new owner finds everything zero; for an owner nothing changes."""
    grant = Grant.GRANTED
    if state.x[rs1] & 3 not in _TAKEN or state.x[rs1] >> 6:
        grant = Grant.BAD_DESCRIPTOR
    elif not state.owned and state.taken:
        grant = _TAKEN[state.x[rs1] & 3]
    elif not state.owned:
        state.clear()
        state.owned = True
    state.set_x(rd, grant << 1 | (grant == Grant.GRANTED))


def release(insn, state: State) -> None:
    """No owner, no effect."""
    state.owned = False


def operation(run):
    """Ownership and register numbers come first; types that are not supported change amestatus alone."""

    @functools.wraps(run)
    def checked(insn, state: State, **numbers) -> None:
        if not state.owned:
            raise Illegal(f"{insn.text(**numbers)}: the unit is not acquired", fix="ame.acquire comes first")
        limits = {"m": state.geometry.m, "acc": state.geometry.acc, "ad": state.geometry.acc}
        for operand in insn.operands:
            number = numbers[operand.name]
            if number >= limits.get(operand.file, 32):
                raise Illegal(
                    f"{insn.text(**numbers)}: there is no {operand.text(number)}",
                    fix=f"the unit has {limits[operand.file]} of these",
                )
        try:
            run(insn, state, **numbers)
        except Unsupported:
            state.csr["amestatus"] |= UNSUPPORTED

    return checked


def commit(state: State, flags: Flags) -> None:
    state.csr["amefflags"] |= flags.float
    state.csr["amexsat"] |= int(flags.saturated)


# --- Types -------------------------------------------------------------------------------------


@operation
def get_type(insn, state: State, *, rd: int, **source: int) -> None:
    (number,) = source.values()
    state.set_x(rd, (state.md if insn.what == ("m",) else state.ad)[number])


@operation
def set_type(insn, state: State, *, rs1: int, **target: int) -> None:
    """Also clears what is in the registers."""
    (number,) = target.values()
    type = supported(state.x[rs1])
    if insn.what == ("a",):
        state.ad[number], state.acc[number] = type.code, 0
        return
    span = state.span(number, type, state.geometry.pack(type.bits))
    state.md[number], state.m[span] = type.code, 0


@operation
def zero(insn, state: State, **target: int) -> None:
    (number,) = target.values()
    if insn.what == ("acc",):
        state.accumulator_type(number)
        state.acc[number] = 0
        return
    type = state.matrix_type(number)
    state.m[state.span(number, type, state.geometry.pack(type.bits))] = 0


@operation
def index(insn, state: State, *, md: int) -> None:
    """Every element is the number of its row, or of its column."""
    g, type = state.geometry, state.matrix_type(md)
    if type.float or type.limits[1] < g.n - 1:
        raise Unsupported
    span = state.span(md, type, g.pack(type.bits))
    rows, columns = np.indices((g.n, g.n), np.uint64)
    square = rows if insn.what == ("row",) else columns
    state.write(span, type, np.tile(square.reshape(-1), g.pack(type.bits)))


# --- Transfers -----------------------------------------------------------------------------------


def _segments(insn, state: State, rs1: int, rs2: int | None, bits: int, pack: int):
    """(address of every segment, fields in each, where element (s, i, j) is among all fields)."""
    n, (layout,) = state.geometry.n, insn.what
    base = np.uint64(state.x[rs1])
    s, i, j = np.indices((pack, n, n))
    if layout in ("rm", "cm", "1r"):
        places = (s * n + (j if layout == "cm" else i)) * n + (i if layout == "cm" else j)
        return np.array([base]), pack * n * n, places
    count, fields = (n, pack * n) if layout == "st" else (pack * n, n)
    places = i * fields + s * n + j if layout == "st" else (s * n + j) * fields + i
    stride = np.uint64(state.x[rs2])
    with np.errstate(over="ignore"):
        return base + np.arange(count, dtype=np.uint64) * stride, fields, places


def _transfer(insn, state: State, number: int, rs1: int, rs2: int | None):
    """(type, registers, addresses of all bytes by segment, fields per segment, places of elements)."""
    g = state.geometry
    if insn.what == ("1r",):
        type, pack, span = integer(g.u, signed=False), 1, slice(number, number + 1)
    else:
        type = state.matrix_type(number)
        pack = g.pack(type.bits)
        span = state.span(number, type, pack)
    align = -(-type.bits // 8)
    if state.x[rs1] % align:
        raise Misaligned(
            f"{insn.name}: address {state.x[rs1]:#x} of elements of {type.bits} bits",
            fix=f"use a multiple of {align}",
        )
    starts, fields, places = _segments(insn, state, rs1, rs2, type.bits, pack)
    with np.errstate(over="ignore"):
        width = np.arange(-(-fields * type.bits // 8), dtype=np.uint64)
        addresses = starts[:, None] + width
    return type, span, state.bytes_at(addresses), fields, places


@operation
def load(insn, state: State, *, md: int, rs1: int, rs2: int | None = None) -> None:
    type, span, at, fields, places = _transfer(insn, state, md, rs1, rs2)
    rows = [split(row, type.bits)[:fields] for row in state.memory[at]]
    state.write(span, type, np.concatenate(rows)[places.reshape(-1)])


@operation
def store(insn, state: State, *, ms1: int, rs1: int, rs2: int | None = None) -> None:
    """Segments are written one after the other: the last one stays where they overlap."""
    type, span, at, fields, places = _transfer(insn, state, ms1, rs1, rs2)
    string = np.empty(places.size, np.uint64)
    string[places.reshape(-1)] = state.read(span, type)
    for row, values in zip(at, string.reshape(-1, fields), strict=True):
        state.memory[row] = joined(values, type.bits)


@operation
def move(insn, state: State, **operands: int) -> None:
    (way,) = insn.what
    g = state.geometry
    target, source = operands.values()
    if way == "m.m":
        type = state.matrix_type(target)
        if state.matrix_type(source) != type:
            raise Unsupported
        spans = [state.span(number, type, g.pack(type.bits)) for number in (target, source)]
        state.m[spans[0]] = state.m[spans[1]].copy()
        return
    matrix, acc = (target, source) if way == "m.a" else (source, target)
    type = state.matrix_type(matrix)
    pack = g.pack(type.bits)
    if pack > g.acc or any(code != type.code for code in state.ad[acc : acc + pack]):
        raise Unsupported
    if acc + pack > g.acc:
        raise Illegal(f"{insn.name}: {pack} squares need acc{acc} to acc{acc + pack - 1}")
    span = state.span(matrix, type, pack)
    if way == "m.a":
        state.write(span, type, state.acc[acc : acc + pack].reshape(-1))
    else:
        state.acc[acc : acc + pack] = state.read(span, type).reshape(pack, g.n, g.n)


@operation
def broadcast_scalar(insn, state: State, *, md: int, rs1: int, rs2: int) -> None:
    """Every element is X[rs1], of type X[rs2], converted."""
    type, source = state.matrix_type(md), supported(state.x[rs2], scalar=True)
    pack = state.geometry.pack(type.bits)
    span, flags = state.span(md, type, pack), Flags()
    bits = encode(decode(low_bits(state.x[rs1], source), source), type, flags)
    state.write(span, type, np.repeat(bits, pack * state.geometry.n**2))
    commit(state, flags)


def low_bits(value: int, type: Type) -> np.ndarray:
    return np.array([value & ((1 << type.bits) - 1)], np.uint64)


@operation
def element(insn, state: State, *, rs1: int, **operands: int) -> None:
    """One element of the given width of one register's bits."""
    way, width = insn.what
    size = int(width) // 8
    if size * 8 > state.geometry.n * state.geometry.u:
        raise Illegal(f"{insn.name}: a row has {state.geometry.n * state.geometry.u} bits")
    if way == "m.x":
        row = state.m[operands["md"]]
        at = state.x[rs1] % (row.size // size) * size
        value = state.x[operands["rs2"]] & ((1 << 8 * size) - 1)
        row[at : at + size] = np.frombuffer(value.to_bytes(size, "little"), np.uint8)
        return
    row = state.m[operands["ms2"]]
    at = state.x[rs1] % (row.size // size) * size
    state.set_x(operands["rd"], int.from_bytes(row[at : at + size].tobytes(), "little"))


# --- Products ------------------------------------------------------------------------------------


@operation
def multiply(insn, state: State, *, acc: int, ms1: int, ms2: int) -> None:
    """C[i, j] += or -= sum over s, q of A[s, i, q] B[s, q, j]; at, bt: with A, or B, transposed."""
    g, (side, sign) = state.geometry, insn.what
    c, a, b = state.accumulator_type(acc), state.matrix_type(ms1), state.matrix_type(ms2)
    if not multiplies(a, b, c):
        raise Unsupported
    squares = max(g.pack(a.bits), g.pack(b.bits))
    spans = [state.span(number, type, squares) for number, type in ((ms1, a), (ms2, b))]
    left, right = (
        decode(state.read(span, type), type).value.reshape(squares, g.n, g.n)
        for span, type in zip(spans, (a, b), strict=True)
    )
    left = left.swapaxes(1, 2) if side == "at" else left
    right = right.swapaxes(1, 2) if side == "bt" else right
    total, flags, minus = state.acc[acc].copy(), Flags(), sign == "minus"
    if not c.float and not c.saturating:
        products = np.einsum("siq,sqj->ij", left.astype(np.int64), right.astype(np.int64))
        total = (total + (-products if minus else products).astype(np.uint64)) & np.uint64(0xFFFFFFFF)
    else:
        for s in range(squares):
            for q in range(g.n):
                x, y = (Numbers(v) for v in (left[s, :, q, None], right[s, q, None, :]))
                total = encode(fused(x, y, decode(total, c), minus=minus, flags=Flags()), c, flags)
    state.acc[acc] = total
    state.csr["amexsat"] |= int(flags.saturated)
