"""Runs words of the matrix extension on the state of an emulated core: all of them in one launch."""

from collections.abc import Sequence

import attrs
import numpy as np

from vertebra.core import select, toolchain
from vertebra.core.runtime import Binary
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import CSRS, INSTRUCTIONS, READ_ONLY
from vertebra.plugins.ame.state import State, joined, split
from vertebra.plugins.ame.types import Type

_FLAGS = ("-mcpu=generic_rv64+m+a+f+d+c+v",)
_WRITABLE = [name for name in CSRS if name not in READ_ONLY]
# X registers of our own: where inputs and outputs are, and two for what comes up.
_IN, _OUT, _AT, _ANY = "x30", "x31", "x29", "x28"
_OPERANDS = (5, 6, 7, *range(10, 16))  # those that states may set, none of them the caller's
_BUFFER = 1024  # bytes for a vector's buffer, at most
_PAGE = 64


def core_of(geometry: Geometry):
    return attrs.evolve(AME_GENERIC, name=f"test-u{geometry.u}n{geometry.n}", ame=geometry)


def line(name: str, **numbers: int) -> str:
    return INSTRUCTIONS[name].directive(**numbers)


def assemble(core, body: str, name: str = "words"):
    """A loaded kernel that runs `body`; x30 and x31 hold its two pointers."""
    text = f"""
    .text
    .globl {name}
    .type {name}, @function
{name}:
    ld {_IN}, 0(a0)
    ld {_OUT}, 8(a0)
{body}
    ret
    .size {name}, .-{name}
"""
    made = toolchain.compile_source(text, triple=core.triple, flags=_FLAGS, language="s")
    return select.runtime_for(core).load(Binary(name, made, 0, ("*u8", "*u8"), core))


def launch(core, body: str, *arrays: np.ndarray) -> None:
    assemble(core, body).launch((1, 1, 1), arrays)


@attrs.define
class _Writer:
    """Lines that bring a state about and read it, and the bytes that they take."""

    lines: list[str] = attrs.field(factory=list)
    data: list[bytes] = attrs.field(factory=list)
    taken: int = 0  # bytes of input
    written: int = 0  # bytes of output

    def add(self, *lines: str) -> None:
        self.lines += lines

    def input(self, data: bytes) -> None:
        """Puts the address of `data` into _AT."""
        self.add(f"li {_AT}, {self.taken}", f"add {_AT}, {_AT}, {_IN}")
        padded = data + bytes(-len(data) % _PAGE)
        self.data.append(padded)
        self.taken += len(padded)

    def output(self, count: int) -> slice:
        """Puts the address of `count` bytes of output into _AT."""
        self.add(f"li {_AT}, {self.written}", f"add {_AT}, {_AT}, {_OUT}")
        place = slice(self.written, self.written + count)
        self.written += -(-count // _PAGE) * _PAGE
        return place

    def number(self, register: str, value: int) -> None:
        self.add(f"li {register}, {value}")


_AT_NUMBER, _ANY_NUMBER = int(_AT[1:]), int(_ANY[1:])


def enter(w: _Writer, state: State) -> int:
    """Brings `state` about; returns where its memory is among the inputs.  It has few accumulators in use."""
    g = state.geometry
    w.add(line("ame.release"), line("ame.acquire", rd=_ANY_NUMBER, rs1=0))
    scratch = _scratch(state)
    a = 0
    while a < g.acc:
        if not state.ad[a]:
            a += 1
            continue
        type = Type(state.ad[a])
        pack = g.pack(type.bits)
        for s in range(a, min(a + pack, g.acc)):
            if state.ad[s]:
                w.number(_ANY, state.ad[s])
                w.add(line("asettyp", ad=s, rs1=_ANY_NUMBER))
        if a + pack <= g.acc and all(code == type.code for code in state.ad[a : a + pack]):
            w.number(_ANY, type.code)
            w.add(line("msettyp", md=scratch, rs1=_ANY_NUMBER))
            w.input(joined(state.acc[a : a + pack].reshape(-1), type.bits).tobytes())
            w.add(line("mls.rm", md=scratch, rs1=_AT_NUMBER), line("mmov.a.m", acc=a, ms=scratch))
        a += pack
    for number, code in enumerate(state.md):
        if code:
            w.number(_ANY, code)
            w.add(line("msettyp", md=number, rs1=_ANY_NUMBER))
    for number, content in enumerate(state.m):
        if content.any():
            w.input(content.tobytes())
            w.add(line("mls.1r", md=number, rs1=_AT_NUMBER))
    for name in _WRITABLE:
        w.number(_ANY, state.csr[name])
        w.add(f"csrw {CSRS[name]:#x}, {_ANY}")
    place = w.taken
    w.input(state.memory.tobytes() if state.memory.size else bytes(1))
    for number in _OPERANDS:
        value = state.x[number]
        if state.base <= value < state.base + _BUFFER:
            w.add(f"li x{number}, {value - state.base}", f"add x{number}, x{number}, {_AT}")
        else:
            w.number(f"x{number}", value)
    return place


def _scratch(state: State) -> int:
    """The first of four registers that the state leaves empty."""
    free = [
        r
        for r in range(0, state.geometry.m, 4)
        if not state.m[r : r + 4].any() and not any(state.md[r : r + 4])
    ]
    return free[-1]


def leave(w: _Writer, state: State):
    """Reads the whole state.  Returns a function of the outputs that gives it; x: what the word changed."""
    g = state.geometry
    w.add(f"mv {_ANY}, x12")
    x12 = w.output(8)
    w.add(f"sd {_ANY}, 0({_AT})")
    csrs = {}
    for name in _WRITABLE:
        csrs[name] = w.output(8)
        w.add(f"csrr {_ANY}, {CSRS[name]:#x}", f"sd {_ANY}, 0({_AT})")
    m = []
    for number in range(g.m):
        data = w.output(g.register_bytes)
        w.add(line("mss.1r", ms1=number, rs1=_AT_NUMBER))
        code = w.output(8)
        w.add(line("mgettyp", rd=_ANY_NUMBER, ms1=number), f"sd {_ANY}, 0({_AT})")
        m.append((data, code))
    acc = []
    for number in range(g.acc):
        code = w.output(8)
        w.add(line("agettyp", rd=_ANY_NUMBER, ad=number), f"sd {_ANY}, 0({_AT})")
        acc.append([code, None, 1])
    a = 0
    while a < g.acc:
        if not state.ad[a]:
            a += 1
            continue
        type = Type(state.ad[a])
        pack = g.pack(type.bits)
        if a + pack <= g.acc and all(code == type.code for code in state.ad[a : a + pack]):
            w.number(_ANY, type.code)
            w.add(line("msettyp", md=0, rs1=_ANY_NUMBER), line("mmov.m.a", md=0, acc=a))
            acc[a][1:] = [w.output(pack * g.n * g.n * type.bits // 8), pack]
            w.add(line("mss.rm", ms1=0, rs1=_AT_NUMBER))
        a += pack
    w.add(line("ame.release"))

    def read(out: np.ndarray) -> State:
        def number(place: slice) -> int:
            return int(out[place].view(np.uint64)[0])

        got = State.zeros(g)
        got.x[12] = number(x12)
        got.csr = {name: number(place) for name, place in csrs.items()}
        for at, (data, code) in enumerate(m):
            got.m[at], got.md[at] = out[data], number(code)
        for at, (code, data, pack) in enumerate(acc):
            got.ad[at] = number(code)
            if data is not None:
                fields = split(out[data], Type(got.ad[at]).bits)
                got.acc[at : at + pack] = fields.reshape(pack, g.n, g.n)
        return got

    return read


def run(geometry: Geometry, steps: Sequence[tuple[State, Sequence[str]]]) -> list[State]:
    """The states after lines of text were run on states, one after the other in one launch."""
    w, readers = _Writer(), []
    for state, lines in steps:
        place = enter(w, state)
        w.add(*lines)
        readers.append((place, state.memory.size, leave(w, state)))
    given = np.frombuffer(b"".join(w.data), np.uint8).copy()
    out = np.zeros(w.written, np.uint8)
    launch(core_of(geometry), "\n".join(w.lines), given, out)
    found = []
    for place, size, read in readers:
        state = read(out)
        state.memory = given[place : place + size]
        found.append(state)
    return found
