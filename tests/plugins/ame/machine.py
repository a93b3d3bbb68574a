"""Runs words of the matrix extension on the state of an emulated core: all of them in one launch."""

from collections.abc import Sequence

import attrs
import numpy as np

from vertebra.core import select, toolchain
from vertebra.core.runtime import Binary
from vertebra.core.trial import Trial
from vertebra.kit.trials import try_all
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import INSTRUCTIONS
from vertebra.plugins.ame.state import State
from vertebra.plugins.ame.state_text import around

_FLAGS = ("-mcpu=generic_rv64+m+a+f+d+c+v",)


def core_of(geometry: Geometry):
    return attrs.evolve(AME_GENERIC, name=f"test-u{geometry.u}n{geometry.n}", ame=geometry)


def line(name: str, **numbers: int) -> str:
    return INSTRUCTIONS[name].directive(**numbers)


def assemble(core, body: str, name: str = "words"):
    """A loaded kernel that runs `body`; x30 and x31 hold its pointers, a2 and a3 its range of programs."""
    text = f"""
    .text
    .globl {name}
    .type {name}, @function
{name}:
    ld x30, 0(a0)
    ld x31, 8(a0)
{body}
    ret
    .size {name}, .-{name}
"""
    made = toolchain.compile_source(text, triple=core.triple, flags=_FLAGS, language="s")
    return select.runtime_for(core).load(Binary(name, made, 0, ("*u8", "*u8"), core))


def launch(core, body: str, *arrays: np.ndarray) -> None:
    assemble(core, body).launch((1, 1, 1), arrays)


def run(geometry: Geometry, steps: Sequence[tuple[State, Sequence[str]]]) -> list[State]:
    """The states after lines of text were run on states, one after the other in one launch."""
    found: list[State] = []

    def trial(state: State, lines: Sequence[str]) -> Trial:
        text, given, size, after = around(state, lines)
        return Trial(text, given, size, lambda *left: found.append(after(*left)))

    try_all(core_of(geometry), [trial(*step) for step in steps])
    return found
