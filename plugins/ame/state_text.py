"""Assembler text that brings a state of the unit about, and text that writes one down.

There is no way straight into most of it: types clear what they are set on, and accumulators are filled
through matrix registers.  So a state comes about in the order accumulators, types, matrix registers, control
registers, operands in X registers, and is read in the order X, control, matrix registers, accumulators.
"""

from collections.abc import Callable, Iterator, Sequence

import attrs
import numpy as np

from vertebra.plugins.ame.instructions import CSRS, INSTRUCTIONS, READ_ONLY
from vertebra.plugins.ame.state import State, joined, split
from vertebra.plugins.ame.types import Type

WRITABLE = tuple(name for name in CSRS if name not in READ_ONLY)
# X registers that states may set; all others are the caller's, or these texts' own: where inputs and outputs
# are, and two for what comes up.
OPERANDS = (5, 6, 7, *range(10, 16))
_IN, _OUT, _AT, _ANY = "x30", "x31", "x29", "x28"
_AT_NUMBER, _ANY_NUMBER = 29, 28
_ALIGNMENT = 64
_WIDEST_GROUP = 4  # registers, on any unit


def line(name: str, **numbers: int) -> str:
    return INSTRUCTIONS[name].directive(**numbers)


@attrs.define
class Writer:
    """Lines, the bytes that they read at x30, and how many they write at x31."""

    lines: list[str] = attrs.field(factory=list)
    data: list[bytes] = attrs.field(factory=list)
    taken: int = 0
    written: int = 0

    def add(self, *lines: str) -> None:
        self.lines += lines

    def input(self, data: bytes) -> None:
        """Puts the address of `data` into x29."""
        self.add(f"li {_AT}, {self.taken}", f"add {_AT}, {_AT}, {_IN}")
        padded = data + bytes(-len(data) % _ALIGNMENT)
        self.data.append(padded)
        self.taken += len(padded)

    def output(self, count: int) -> slice:
        """Puts the address of `count` bytes of output into x29."""
        self.add(f"li {_AT}, {self.written}", f"add {_AT}, {_AT}, {_OUT}")
        place = slice(self.written, self.written + count)
        self.written += -(-count // _ALIGNMENT) * _ALIGNMENT
        return place

    def number(self, register: str, value: int) -> None:
        self.add(f"li {register}, {value}")

    def csr(self, name: str) -> slice:
        place = self.output(8)
        self.add(f"csrr {_ANY}, {CSRS[name]:#x}", f"sd {_ANY}, 0({_AT})")
        return place


def around(
    state: State, lines: Sequence[str], like: State | None = None
) -> tuple[str, np.ndarray, int, Callable[..., State]]:
    """(text, inputs, bytes of outputs, function of inputs and outputs that gives the state after `lines`).

    The text finds the inputs at a1 and the outputs at a2.  Matrix registers whose state has no type
    may have one afterwards, where accumulators were filled through them.
    like: a state with the types of the accumulators afterwards; where they change.
    """
    w = Writer()
    w.add(f"mv {_IN}, a1", f"mv {_OUT}, a2")
    place = enter(w, state)
    w.add(*lines)
    read = leave(w, state, like or state)
    given = np.frombuffer(b"".join(w.data), np.uint8)
    memory = slice(place, place + state.memory.size)

    def after(given_now: np.ndarray, results: np.ndarray) -> State:
        got = read(results)
        got.memory = given_now[memory]
        return got

    return "\n    ".join(w.lines), given, w.written, after


def enter(w: Writer, state: State) -> int:
    """Brings `state` about; returns where its memory is among the inputs."""
    w.add(line("ame.release"))
    if state.owned:
        w.add(line("ame.acquire", rd=_ANY_NUMBER, rs1=0))
        _fill(w, state)
    place = w.taken
    w.input(state.memory.tobytes() or bytes(1))
    for number in OPERANDS:
        value = state.x[number]
        if _in_memory(state, value):
            w.add(f"li x{number}, {value - state.base}", f"add x{number}, x{number}, {_AT}")
        else:
            w.number(f"x{number}", value)
    return place


def _in_memory(state: State, value: int) -> bool:
    return state.base <= value < state.base + state.memory.size


def _fill(w: Writer, state: State) -> None:
    first, whole = scratch(state), list(_whole(state))
    for number, count, type in _squares(state):
        w.number(_ANY, type.code)
        w.add(line("msettyp", md=first, rs1=_ANY_NUMBER))
        w.add(*(line("asettyp", ad=number + s, rs1=_ANY_NUMBER) for s in range(count)))
        if (number, count, type) in whole:
            w.input(joined(state.acc[number : number + count].reshape(-1), type.bits).tobytes())
            w.add(line("mls.rm", md=first, rs1=_AT_NUMBER), line("mmov.a.m", acc=number, ms=first))
    for number, code in enumerate(state.md):
        if code:
            w.number(_ANY, code)
            w.add(line("msettyp", md=number, rs1=_ANY_NUMBER))
    for number, content in enumerate(state.m):
        if content.any() or first <= number < first + _WIDEST_GROUP:
            w.input(content.tobytes())
            w.add(line("mls.1r", md=number, rs1=_AT_NUMBER))
    for name in WRITABLE:
        w.number(_ANY, state.csr[name])
        w.add(f"csrw {CSRS[name]:#x}, {_ANY}")


def _squares(state: State) -> Iterator[tuple[int, int, Type]]:
    """(first, how many, type) of accumulators, as many as a matrix register holds, or fewer at the end."""
    number, g = 0, state.geometry
    while number < g.acc:
        if not (code := state.ad[number]):
            number += 1
            continue
        pack, count = g.pack(Type(code).bits), 1
        while count < min(pack, g.acc - number) and state.ad[number + count] == code:
            count += 1
        yield number, count, Type(code)
        number += count


def _whole(state: State) -> Iterator[tuple[int, int, Type]]:
    return (part for part in _squares(state) if part[1] == state.geometry.pack(part[2].bits))


def readable(state: State) -> np.ndarray:
    """Of every accumulator, whether its content can be filled and read."""
    found = np.zeros(state.geometry.acc, bool)
    for number, count, _ in _whole(state):
        found[number : number + count] = True
    return found


def scratch(state: State) -> int:
    """The first of the registers through which accumulators are filled: typed ones, or else empty ones."""
    groups = range(0, state.geometry.m, _WIDEST_GROUP)
    typed = [r for r in groups if state.md[r]]
    empty = [r for r in groups if not state.m[r : r + _WIDEST_GROUP].any() and not any(state.md[r : r + 4])]
    return empty[-1] if empty else typed[-1]


def leave(w: Writer, state: State, like: State) -> Callable[[np.ndarray], State]:
    """Reads the whole state and gives the unit back.  Returns a function of the outputs that gives it.

    like: its accumulators have the types of those that are read; what `readable` lacks is all zero then.
    Addresses in X registers are those of `state` again.
    """
    g = state.geometry
    w.add(f"mv {_ANY}, {_AT}")  # where the memory is
    memory = w.output(8)
    w.add(f"sd {_ANY}, 0({_AT})")
    x = {}
    for number in OPERANDS:
        x[number] = w.output(8)
        w.add(f"sd x{number}, 0({_AT})")
    owned = w.csr("ameown")
    w.add(line("ame.acquire", rd=5, rs1=0))  # who has it already finds it as it was
    csrs = {name: w.csr(name) for name in WRITABLE}
    m = []
    for number in range(g.m):
        data, code = w.output(g.register_bytes), None
        w.add(line("mss.1r", ms1=number, rs1=_AT_NUMBER))
        code = w.output(8)
        w.add(line("mgettyp", rd=_ANY_NUMBER, ms1=number), f"sd {_ANY}, 0({_AT})")
        m.append((data, code))
    types = []
    for number in range(g.acc):
        types.append(w.output(8))
        w.add(line("agettyp", rd=_ANY_NUMBER, ad=number), f"sd {_ANY}, 0({_AT})")
    acc = []
    for number, count, type in _whole(like):
        w.number(_ANY, type.code)
        w.add(line("msettyp", md=0, rs1=_ANY_NUMBER), line("mmov.m.a", md=0, acc=number))
        acc.append((number, count, type, w.output(count * g.n * g.n * type.bits // 8)))
        w.add(line("mss.rm", ms1=0, rs1=_AT_NUMBER))
    w.add(line("ame.release"))

    def read(out: np.ndarray) -> State:
        def value(place: slice) -> int:
            return int(out[place].view(np.uint64)[0])

        got = State.zeros(g)
        for number, place in x.items():
            moved = state.base - value(memory) if _in_memory(state, state.x[number]) else 0
            got.x[number] = value(place) + moved & (1 << 64) - 1
        got.owned = bool(value(owned))
        got.csr = {name: value(place) for name, place in csrs.items()}
        for at, (data, code) in enumerate(m):
            got.m[at], got.md[at] = out[data], value(code)
        got.ad = [value(place) for place in types]
        for number, count, type, data in acc:
            got.acc[number : number + count] = split(out[data], type.bits).reshape(count, g.n, g.n)
        return got

    return read
