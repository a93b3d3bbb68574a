"""What the instructions do element by element, and with rows and columns of squares."""

import numpy as np

from vertebra.plugins.ame.numbers import Flags, Numbers, decode, encode, function, fused, nan_of, scaled
from vertebra.plugins.ame.semantics import commit, low_bits, operation
from vertebra.plugins.ame.state import NV, Illegal, State, Unsupported, supported
from vertebra.plugins.ame.types import Type, integer

_INDEX = (1 << 32) - 1


class _Operands:
    """The operands of an elementwise instruction: their types, registers and numbers.

    a: the first factor, perhaps a scalar.  b: the second.  d: the destination.  All M operands have as many
    squares as the one with the narrowest type needs.
    """

    def __init__(self, insn, state: State, numbers: dict[str, int], *, control: bool = False):
        self.state, self.flags = state, Flags()
        matrices = [(o.name, numbers[o.name]) for o in insn.operands if o.file == "m"]
        self.types = {name: state.matrix_type(number) for name, number in matrices}
        self.d = self.types["md"]
        self.scalar = state.x[numbers["rs1"]] if insn.scalar else None
        self._scalar_type = None
        if insn.scalar and not control:
            self._scalar_type = supported(state.csr["amestype"], scalar=True)
        self.b = self.types.get("ms2")
        self.a = self.b if insn.scalar else self.types["ms1"]
        self._matrices = dict(matrices)

    def require(self, condition: bool) -> None:
        if not condition:
            raise Unsupported

    def place(self) -> None:
        """After all types are checked."""
        g = self.state.geometry
        self.squares = max(g.pack(type.bits) for type in self.types.values())
        self.spans = {
            name: self.state.span(number, self.types[name], self.squares)
            for name, number in self._matrices.items()
        }

    def bits(self, name: str) -> np.ndarray:
        """Of "a", "b" or "d"."""
        if name == "a" and self.scalar is not None:
            given = decode(low_bits(self.scalar, self._scalar_type), self._scalar_type)
            return encode(given, self.a, self.flags)
        name = {"a": "ms1", "b": "ms2", "d": "md"}[name]
        return self.state.read(self.spans[name], self.types[name])

    def numbers(self, name: str) -> Numbers:
        return decode(self.bits(name), {"a": self.a, "b": self.b, "d": self.d}[name])

    def finish(self, result: Numbers) -> None:
        self.finish_bits(encode(result, self.d, self.flags))

    def finish_bits(self, bits: np.ndarray) -> None:
        count = self.squares * self.state.geometry.n**2
        self.state.write(self.spans["md"], self.d, np.broadcast_to(bits, (count,)))
        commit(self.state, self.flags)


@operation
def arithmetic(insn, state: State, **numbers: int) -> None:
    """D = sign x * y + z, rounded once."""
    sign, *roles = insn.what
    o = _Operands(insn, state, numbers)
    o.require(o.a.float == o.b.float == o.d.float)
    o.place()
    one = Numbers(np.array([1.0]) if o.d.float else np.array([1], object))
    x, y, z = (one if r == "one" else None if r == "zero" else o.numbers(r) for r in roles)
    o.finish(fused(x, y, z, minus=sign == "minus", flags=o.flags))


@operation
def extreme(insn, state: State, **numbers: int) -> None:
    """NaN if either is; -0 is less than +0."""
    o = _Operands(insn, state, numbers)
    o.require(o.a == o.b == o.d)
    o.place()
    a, b = np.broadcast_arrays(o.bits("a"), o.bits("b"))
    o.finish_bits(_extreme_bits(a, b, o.d, insn.what[0], o.flags))


@operation
def scale(insn, state: State, **numbers: int) -> None:
    """A * 2**B; with a scalar, B * 2**c."""
    o = _Operands(insn, state, numbers, control=insn.scalar)
    o.require(o.a.float == o.d.float and (insn.scalar or not o.b.float))
    o.place()
    if insn.scalar:
        signed = o.scalar - (1 << 64 if o.scalar >> 63 else 0)
        o.finish(scaled(o.numbers("b"), np.array([signed], object), o.d))
    else:
        o.finish(scaled(o.numbers("a"), o.numbers("b").value, o.d))


@operation
def absolute(insn, state: State, **numbers: int) -> None:
    o = _Operands(insn, state, numbers)
    o.require(o.a.float == o.d.float)
    o.place()
    x = o.numbers("a")
    o.finish(Numbers(np.abs(x.value), x.inexact, x.signalling))


@operation
def convert(insn, state: State, **numbers: int) -> None:
    o = _Operands(insn, state, numbers)
    o.place()
    o.finish(o.numbers("a"))


@operation
def math(insn, state: State, **numbers: int) -> None:
    o = _Operands(insn, state, numbers)
    o.require(o.a.float and o.d.float)
    o.place()
    o.finish(function(insn.what[0], o.numbers("a"), o.flags))


@operation
def bits(insn, state: State, **numbers: int) -> None:
    o = _Operands(insn, state, numbers)
    o.require(o.a == o.b == o.d and not o.d.float)
    o.place()
    combine = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}[insn.what[0]]
    o.finish_bits(combine(o.bits("a"), o.bits("b")))


@operation
def shift(insn, state: State, **numbers: int) -> None:
    """The count is taken modulo the width of what is shifted; the result has that width, then converts."""
    o = _Operands(insn, state, numbers, control=insn.scalar)
    o.require(not any(type.float for type in o.types.values()))
    o.place()
    width = o.a.bits
    count = np.array([o.scalar], object) if insn.scalar else o.bits("b").astype(object)
    count = count % width
    given = o.bits("b" if insn.scalar else "a")
    signed = integer(width) if insn.what == ("sra",) else integer(width, signed=False)
    value = decode(given, signed).value
    moved = value << count if insn.what == ("sll",) else value >> count
    o.finish(decode((moved & ((1 << width) - 1)).astype(np.uint64), o.a))


@operation
def compare(insn, state: State, **numbers: int) -> None:
    """All ones where it holds."""
    o = _Operands(insn, state, numbers)
    o.require(o.a.float == o.b.float and not o.d.float)
    o.place()
    a, b = o.numbers("a"), o.numbers("b")
    holds = a.value >= b.value if insn.what == ("ge",) else a.value < b.value
    if o.a.float:
        o.flags.raise_where(NV, np.isnan(a.value) | np.isnan(b.value))
    o.finish_bits(np.where(holds, np.uint64((1 << o.d.bits) - 1), np.uint64(0)))


@operation
def select(insn, state: State, **numbers: int) -> None:
    """B where the comparison of A with zero holds, else D or zero."""
    o = _Operands(insn, state, numbers)
    o.require(o.b == o.d)
    o.place()
    how, other = insn.what
    a = o.numbers("a").value
    holds = (a >= 0) if how == "ge" else (a < 0)
    o.finish_bits(np.where(holds.astype(bool), o.bits("b"), o.bits("d") if other == "d" else np.uint64(0)))


# --- Structure -----------------------------------------------------------------------------------


@operation
def broadcast(insn, state: State, *, md: int, rs1: int, ms2: int) -> None:
    """Row or column X[rs1] in all rows or columns."""
    g, type, chosen = state.geometry, state.matrix_type(md), state.x[rs1] & _INDEX
    if state.matrix_type(ms2) != type or g.pack(type.bits) > 1:
        raise Unsupported
    if chosen >= g.n:
        raise Illegal(f"{insn.name}: index {chosen} of {g.n}")
    spans = [state.span(number, type, 1) for number in (md, ms2)]
    square = state.read(spans[1], type).reshape(g.n, g.n)
    line = square[chosen, None] if insn.what == ("row",) else square[:, chosen, None]
    state.write(spans[0], type, np.broadcast_to(line, square.shape).reshape(-1))


@operation
def pack_square(insn, state: State, *, md: int, rs1: int, ms2: int) -> None:
    """One square into one place of a packed register."""
    _one_square(state, packed=md, slot=state.x[rs1], single=ms2, into=True)


@operation
def unpack_square(insn, state: State, *, md: int, rs1: int, ms2: int) -> None:
    """One square out of one place of a packed register."""
    _one_square(state, packed=ms2, slot=state.x[rs1], single=md, into=False)


def _one_square(state: State, *, packed: int, slot: int, single: int, into: bool) -> None:
    g, flags = state.geometry, Flags()
    narrow, wide = state.matrix_type(packed), state.matrix_type(single)
    pack, area = g.pack(narrow.bits), g.n**2
    if pack == 1 or g.pack(wide.bits) > 1:
        raise Unsupported
    all_of, one = state.span(packed, narrow, pack), state.span(single, wide, 1)
    place = slice(slot % pack * area, (slot % pack + 1) * area)
    many = state.read(all_of, narrow)
    if into:
        many[place] = encode(decode(state.read(one, wide), wide), narrow, flags)
        state.write(all_of, narrow, many)
    else:
        state.write(one, wide, encode(decode(many[place], narrow), wide, flags))
    commit(state, flags)


@operation
def reduce(insn, state: State, **numbers: int) -> None:
    """Each line's sum or extreme in all its places; from left to right, rounded at every step."""
    what, along = insn.what
    o = _Operands(insn, state, numbers)
    o.require(o.a.float == o.d.float)
    o.place()
    n = state.geometry.n
    given = encode(o.numbers("a"), o.d, o.flags).reshape(o.squares, n, n)
    given = given.swapaxes(1, 2) if along == "col" else given
    total = given[..., 0]
    one = Numbers(np.array([1.0]) if o.d.float else np.array([1], object))
    for k in range(1, n):
        if what == "add":
            sum_ = fused(decode(given[..., k], o.d), one, decode(total, o.d), minus=False, flags=o.flags)
            total = encode(sum_, o.d, o.flags)
        else:
            total = _extreme_bits(given[..., k], total, o.d, what, o.flags)
    lines = np.broadcast_to(total[..., None], given.shape)
    o.finish_bits((lines.swapaxes(1, 2) if along == "col" else lines).reshape(-1))


def _extreme_bits(a: np.ndarray, b: np.ndarray, type: Type, what: str, flags: Flags) -> np.ndarray:
    x, y = decode(a, type), decode(b, type)
    less = x.value < y.value
    if type.float:
        top = np.uint64(1 << (type.bits - 1))
        less = less | ((x.value == 0) & (y.value == 0) & (a & top > b & top))
    chosen = np.where(less == (what == "max"), b, a)
    if type.float:
        flags.raise_where(NV, x.signalling | y.signalling)
        chosen = np.where(np.isnan(x.value) | np.isnan(y.value), np.uint64(nan_of(type)), chosen)
    return chosen
