"""Runs words of vector instructions on the registers of an emulated core: all of them in one launch."""

from collections.abc import Sequence

import attrs
import numpy as np

from vertebra.core import hooks, select, toolchain
from vertebra.core.runtime import Binary
from vertebra.plugins.ime.instructions import MCPM
from vertebra.plugins.ime.semantics import Registers

_SEW = {8: 0, 16: 1, 32: 2, 64: 3}
_FLAGS = ("-mcpu=generic_rv64+m+a+f+d+c+v",)


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


def over_programs(body: str) -> str:
    """`body` once for every program of the launch, whose number is in a3."""
    return f"""
8:
    bge a3, a4, 9f
{body}
    addi a3, a3, 1
    j 8b
9:
"""


def assemble(core, body: str, name: str = "words"):
    """A loaded kernel that runs `body`; a1 and a2 hold its two pointers, a3 and a4 its range of programs."""
    made = toolchain.compile_source(_program(name, body), triple=core.triple, flags=_FLAGS, language="s")
    return select.runtime_for(core).load(Binary(name, made, 0, ("*u8", "*u8"), core))


def launch(kernel, args: Sequence, *, thunks: bool = True) -> None:
    """One program; without `thunks`, in a process of its own in which instructions trap."""
    if thunks:
        kernel.launch((1, 1, 1), args)
        return
    runner = kernel.start_process()
    try:
        kernel.launch_on(runner, (1, 1, 1), args, threads=1)
    finally:
        runner.finish()


def _all_registers(instruction: str, pointer: str) -> str:
    moves = [
        f"{instruction} v{first}, ({pointer})\n    add {pointer}, {pointer}, t0" for first in (0, 8, 16, 24)
    ]
    return "\n    ".join(["vsetvli t0, zero, e8, m8, ta, ma", *moves])


@attrs.frozen
class Step:
    """A word to run on the registers `before`, with its SEW and LMUL 1 unless `vtype` says otherwise."""

    word: int
    before: Registers
    vtype: int | None = None

    def text(self) -> str:
        vtype = _SEW[self.before.sew] << 3 if self.vtype is None else self.vtype
        lines = [_all_registers("vle8.v", "a1"), f"li t1, {vtype}", "vsetvl t0, zero, t1"]
        word = f".insn 4, {self.word:#x}"
        lines += [f"csrwi {MCPM:#x}, 1", word, f"csrwi {MCPM:#x}, 0"] if self.before.bf16 else [word]
        return "\n    ".join([*lines, _all_registers("vse8.v", "a2"), ""])


def run(core_name: str, steps: Sequence[Step], *, thunks: bool = True) -> np.ndarray:
    """All vector registers after each step: (steps, 32, VLEN / 8) uint8."""
    kernel = assemble(hooks.cores()[core_name], "".join(step.text() for step in steps))
    before = np.stack([step.before.v for step in steps])
    after = np.zeros_like(before)
    launch(kernel, (before, after), thunks=thunks)
    return after
