"""Runs words of instructions on the vector registers of a RISC-V core: many of them in one launch."""

from collections.abc import Callable, Sequence

import attrs
import numpy as np

from vertebra.core import select, toolchain
from vertebra.core.runtime import Binary
from vertebra.core.target import Core, Mode
from vertebra.core.vector_state import VectorState

_FLAGS = ("-mcpu=generic_rv64+m+a+f+d+c+v",)
_OLD_MODE = "t2"


def _program(name: str, body: str) -> str:
    return f"""
    .text
    .globl {name}
    .type {name}, @function
{name}:
    mv t3, a2
    mv t4, a3
    ld a1, 0(a0)
    ld a2, 8(a0)
    mv a3, t3
    mv a4, t4
{body}
    ret
    .size {name}, .-{name}
"""


def assemble(core: Core, body: str, name: str = "words"):
    """A loaded kernel that runs `body`; a1 and a2 hold its two pointers, a3 and a4 its range of programs."""
    made = toolchain.compile_source(_program(name, body), triple=core.triple, flags=_FLAGS, language="s")
    return select.runtime_for(core).load(Binary(name, made, 0, ("*u8", "*u8"), core))


def _all_registers(instruction: str, pointer: str) -> str:
    moves = [
        f"{instruction} v{first}, ({pointer})\n    add {pointer}, {pointer}, t0" for first in (0, 8, 16, 24)
    ]
    return "\n    ".join(["vsetvli t0, zero, e8, m8, ta, ma", *moves])


@attrs.frozen
class Step:
    """A word to run on the registers `before`, with its SEW and LMUL 1 unless `vtype` says otherwise.

    mode: that of `before`.
    """

    word: int
    before: VectorState
    vtype: int | None = None
    mode: Mode | None = None

    def text(self) -> str:
        vtype = (self.before.sew.bit_length() - 4) << 3 if self.vtype is None else self.vtype
        lines = [_all_registers("vle8.v", "a1"), f"li t1, {vtype}", "vsetvl t0, zero, t1"]
        word = f".insn 4, {self.word:#x}"
        if self.mode:
            enter, leave = (text.replace("$0", _OLD_MODE) for text in (self.mode.enter, self.mode.leave))
            lines += [enter, word, leave]
        else:
            lines.append(word)
        return "\n    ".join([*lines, _all_registers("vse8.v", "a2"), ""])


def launch_once(kernel, args: Sequence) -> None:
    kernel.launch((1, 1, 1), args)


def run(core: Core, steps: Sequence[Step], launch: Callable = launch_once) -> np.ndarray:
    """All vector registers after each step: (steps, 32, VLEN / 8) uint8.

    launch: (kernel, arguments) runs one program.
    """
    kernel = assemble(core, "".join(step.text() for step in steps))
    before = np.stack([step.before.v for step in steps])
    after = np.zeros_like(before)
    launch(kernel, (before, after))
    return after
