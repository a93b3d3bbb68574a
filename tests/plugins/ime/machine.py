"""The kit's machine, with IME's modes, and with or without jumps in the place of instructions."""

from collections.abc import Sequence

import numpy as np

from vertebra.core import hooks
from vertebra.core.target import Mode
from vertebra.core.vector_state import VectorState
from vertebra.kit import machine
from vertebra.kit.machine import assemble
from vertebra.plugins.ime.instructions import INSTRUCTIONS

_MODES: dict[str, Mode] = {mode.name: mode for record in INSTRUCTIONS.values() for mode in record.modes}

__all__ = ["Step", "assemble", "launch", "over_programs", "run"]


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


def Step(word: int, before: VectorState, vtype: int | None = None) -> machine.Step:
    """A word to run in the mode of `before`."""
    return machine.Step(word, before, vtype, _MODES.get(before.mode))


def run(core_name: str, steps: Sequence[machine.Step], *, thunks: bool = True) -> np.ndarray:
    """All vector registers after each step: (steps, 32, VLEN / 8) uint8."""
    return machine.run(
        hooks.cores()[core_name], steps, lambda kernel, args: launch(kernel, args, thunks=thunks)
    )
