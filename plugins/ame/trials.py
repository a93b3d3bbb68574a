"""Trials of the unit's instructions: random states of the whole unit and of memory, and random operands.

Types are drawn so that most of the words do something; some are such that the unit refuses them
(amestatus), which has to change nothing else.  Sums of floats are of small integers, which are exact in any
order: that order is the implementation's own.
"""

import copy
from collections.abc import Iterator

import numpy as np

from vertebra.core.errors import ConfigError
from vertebra.core.trial import Trial
from vertebra.plugins.ame import types
from vertebra.plugins.ame.geometry import Geometry, geometry_of
from vertebra.plugins.ame.numbers import Flags, Numbers, encode
from vertebra.plugins.ame.state import State, joined
from vertebra.plugins.ame.state_text import OPERANDS, around, readable
from vertebra.plugins.ame.types import PRODUCT_FLOATS, PRODUCT_INTEGERS, Type

BASE, _MEMORY = 0x4000, 512  # of the memory: where it is for the semantics, and bytes around a matrix in it
_GROUP = 4  # registers of the widest type, on the narrowest unit
_MODES = [
    {"signed": signed, "saturate": saturate, "rounding": rounding}
    for signed in (False, True)
    for saturate in (False, True)
    for rounding in (types.RNU, types.RNE, types.RDN, types.ROD)
]
INTEGERS = [types.integer(bits, **mode) for bits in (4, 8, 16, 32) for mode in _MODES]
FLOATS = list(types.FLOATS)
# Families whose matrix operands have one type, and those in which any goes with any.
_ALIKE = frozenset({"extreme", "bits", "move", "broadcast"})
_MIXED = frozenset({"convert", "pack_square", "unpack_square", "compare", "shift", "scale"})
# Families that work on one class of types, which the other one is tried on now and then.
_MOSTLY_INTEGERS, _MOSTLY_FLOATS = (INTEGERS,) * 3 + (FLOATS,), (FLOATS,) * 3 + (INTEGERS,)
_CLASSES = {"bits": _MOSTLY_INTEGERS, "index": _MOSTLY_INTEGERS, "math": _MOSTLY_FLOATS}
_SUMS = frozenset({"multiply", "reduce"})
_SCALARS = (0, 1, 2, 3, 5, 0x3F800000, 1 << 31, (1 << 64) - 3)
_DESCRIPTORS = (0, 1, 1 | 3 << 2, 2, 1 << 6)
_SPECIAL = np.array(
    [0, 1, 0x7F, 0x80, 0xFF, 0x7F80, 0x7FC0, 0x7C00, 0x7E01, 0x8000, 0x7F800000, 0x80000000], np.uint64
)
# The draft leaves these to the implementation; code may count on so many last places, and not on flags.
_APPROXIMATE = frozenset({"exp2", "log2", "tanh", "rec", "rsqrt"})
_LAST_PLACES = 2
_ATTEMPTS = 100


def trials(record, core, random: np.random.Generator) -> Iterator[Trial]:
    """Endlessly many, each on a state of its own; none where all words are illegal on a unit of this size."""
    g = geometry_of(core.extensions)
    assert g is not None, core.name
    illegal = 0
    while illegal < _ATTEMPTS:
        state, numbers = random_case(random, record, g)
        want = copy.deepcopy(state)
        try:
            with np.errstate(all="ignore"):
                record.run(want, **numbers)
        except ConfigError:
            illegal += 1
            continue
        illegal = 0
        yield _trial(record, numbers, state, want)


def _trial(record, numbers: dict[str, int], state: State, want: State) -> Trial:
    text, given, size, after = around(state, [record.directive(**numbers)], want)
    if not want.owned:
        want.clear()  # what is read is what the next owner finds
    want.acc[~readable(want)] = 0

    def check(now: np.ndarray, results: np.ndarray) -> None:
        wrong = differences(record, after(now, results), want)
        shown = [f"{Type(code).code:#x}" for code in state.md[::_GROUP]]
        assert not wrong, f"{record.text(**numbers)} on types {', '.join(shown)}: {'; '.join(wrong)}"

    return Trial(text, given, size, check)


def differences(record, got: State, want: State) -> list[str]:
    """What of `got`, after `record`, is not as in `want`, in words."""
    approximate = record.what[:1] and record.what[0] in _APPROXIMATE
    wrong = []
    for name in ("x", "md", "ad", "csr", "owned"):
        one, other = getattr(got, name), getattr(want, name)
        if name == "csr" and approximate:
            one = one | {"amefflags": other["amefflags"]}
        if one != other:
            wrong.append(f"{name} is {one}, not {other}")
    for name in ("m", "acc", "memory"):
        one, other = getattr(got, name), getattr(want, name)
        if not np.array_equal(one, other) and not (approximate and name == "m" and _near(got, want)):
            places = np.argwhere(one != other)
            at = tuple(int(n) for n in places[0])
            wrong.append(f"{name}{list(at)} is {one[at]:#x}, not {other[at]:#x} ({len(places)} such places)")
    return wrong


def _near(got: State, want: State) -> bool:
    """Whether all matrix registers hold the same, up to the last places of the floats in them."""
    for at in range(0, want.geometry.m, _GROUP):
        type = Type(want.md[at])
        one, other = (s.m[at : at + _GROUP].reshape(-1) for s in (got, want))
        if type.float:
            one, other = (data.view(f"<i{type.bits // 8}").astype(np.int64) for data in (one, other))
        if (abs(one.astype(np.int64) - other) > _LAST_PLACES * type.float).any():
            return False
    return True


# --- States --------------------------------------------------------------------------------------


def random_case(rng: np.random.Generator, record, g: Geometry) -> tuple[State, dict[str, int]]:
    """A state and operands of `record`; they mostly suit each other, and may be illegal."""
    kind, sums = _kinds(rng, record)
    matrix = g.register_bytes * _GROUP
    state = State.zeros(g, rng.integers(0, 256, _MEMORY + 4 * matrix).astype(np.uint8), BASE)
    for number in range(0, g.m, _GROUP):
        type = _operand_type(rng, record, kind)
        bits = interesting(rng, type, matrix * 8 // type.bits, small=record.family in _SUMS)
        state.md[number] = type.code
        state.m[number : number + _GROUP] = joined(bits, type.bits).reshape(_GROUP, -1)
    state.ad = [sums.code] * g.acc
    values = interesting(rng, sums, g.acc * g.n**2, small=record.family in _SUMS)
    state.acc[:] = values.reshape(state.acc.shape)
    state.acc[~readable(state)] = 0
    scalar = _any(rng, INTEGERS + FLOATS)
    state.csr["amestype"] = scalar.code
    for name in ("amefflags", "amexsat"):
        state.csr[name] = int(rng.integers(0, 2))
    numbers = _operands(rng, record, g)
    for operand in record.operands:
        if operand.file == "x":
            state.x[numbers[operand.name]] = _any(rng, _SCALARS)
    _suit(rng, record, state, numbers, kind, scalar)
    state.x[0] = 0
    return state, numbers


def _any(rng: np.random.Generator, choices):
    return choices[rng.integers(len(choices))]


def _kinds(rng: np.random.Generator, record) -> tuple[Type, Type]:
    """The types that most operands and all accumulators have."""
    kind = _any(rng, _any(rng, _CLASSES.get(record.family, (INTEGERS, FLOATS))))
    if record.family != "multiply":
        return kind, kind
    if kind.float:
        return kind, _any(rng, PRODUCT_FLOATS[kind])
    narrow = types.integer(_any(rng, PRODUCT_INTEGERS), signed=bool(rng.integers(2)))
    return narrow, _any(rng, (types.INT32, types.INT32_SAT))


def _operand_type(rng: np.random.Generator, record, kind: Type) -> Type:
    if record.family in _MIXED:
        return _any(rng, INTEGERS + FLOATS)
    if record.family == "multiply" and not kind.float:
        return types.integer(_any(rng, PRODUCT_INTEGERS), signed=bool(rng.integers(2)))
    if record.family in _ALIKE or record.family == "multiply" or rng.random() < 0.6:
        return kind
    return _any(rng, FLOATS if kind.float else INTEGERS)


def _operands(rng: np.random.Generator, record, g: Geometry) -> dict[str, int]:
    """Matrix registers that begin a group, and different X registers; x0 now and then."""
    matrix = rng.permutation(np.arange(0, g.m, _GROUP))
    scalar = rng.permutation(OPERANDS)
    numbers = {}
    for at, operand in enumerate(record.operands):
        if operand.file == "m":
            numbers[operand.name] = int(matrix[at])
        elif operand.file == "x":
            address = operand.name == "rs1" and record.family in ("load", "store")
            numbers[operand.name] = int(scalar[at]) if address or rng.random() < 0.95 else 0
        else:
            numbers[operand.name] = int(rng.integers(0, g.acc))
    return numbers


def _suit(rng, record, state: State, numbers: dict[str, int], kind: Type, scalar: Type) -> None:
    """Gives scalars and accumulators what the family needs of them."""
    family, g, x = record.family, state.geometry, state.x
    if family == "acquire":
        state.owned, state.taken = bool(rng.integers(2)), False
        x[numbers["rs1"]] = _any(rng, _DESCRIPTORS)
    elif family == "set_type":
        x[numbers["rs1"]] = kind.code
    elif family == "broadcast_scalar":
        x[numbers["rs2"]] = scalar.code
    elif family == "move" and "acc" in numbers:
        numbers["acc"] -= numbers["acc"] % min(g.pack(kind.bits), g.acc)
    elif family in ("pack_square", "unpack_square"):
        packed, single = ("md", "ms2") if family == "pack_square" else ("ms2", "md")
        for operand, several in ((packed, True), (single, False)):
            if fitting := [t for t in INTEGERS + FLOATS if (g.pack(t.bits) > 1) == several]:
                state.md[numbers[operand]] = _any(rng, fitting).code
    elif family == "broadcast":
        x[numbers["rs1"]] = int(rng.integers(0, g.n))
        if rng.random() < 0.8 and (fitting := [t for t in INTEGERS + FLOATS if g.pack(t.bits) == 1]):
            state.md[numbers["md"]] = state.md[numbers["ms2"]] = _any(rng, fitting).code
    elif family in ("load", "store"):
        # From the middle of the memory on, segments that overlap, or not, stay inside.
        segment = g.n * (g.pack(kind.bits) if record.what == ("st",) else 1) * max(kind.bits, 8) // 8
        x[numbers["rs1"]] = BASE + state.memory.size // 2 + 8 * int(rng.integers(0, 4))
        if "rs2" in numbers:
            x[numbers["rs2"]] = int(rng.integers(-2, 3)) * (segment // 2 + 1) & (1 << 64) - 1


def interesting(rng: np.random.Generator, type: Type, count: int, *, small: bool = False) -> np.ndarray:
    """Bits of `count` elements: random, of usual floats, or special; small: floats are small integers."""
    if type.float and small:
        return encode(Numbers(rng.integers(-8, 9, count).astype(float)), type, Flags())
    bits = rng.integers(0, 1 << type.bits, count, np.uint64)
    if type.float:
        usual = rng.standard_normal(count) * 2.0 ** rng.integers(-3, 8)
        bits = np.where(rng.random(count) < 0.6, encode(Numbers(usual), type, Flags()), bits)
    special = rng.choice(_SPECIAL, count) & np.uint64((1 << type.bits) - 1)
    return np.where(rng.random(count) < 0.15, special, bits).astype(np.uint64)
