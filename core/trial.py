"""Trials of instructions: one word on one state of a processor, and what should come of it.

Who declares an instruction on registers of its own says how they are filled and read
(`Instruction.trials`); the conformance kit runs the trials of every instruction on every core that has it,
many in one program.
"""

from collections.abc import Callable

import attrs
import numpy as np


@attrs.frozen(eq=False)
class Trial:
    """A piece of a program, and a judge of what it leaves.

    text: assembler lines that bring a state about, run the word and write the state down.  They find the
    address of `given` in a1 and that of `size` bytes for results, all zero, in a2, both aligned to 64
    bytes; they may change every register that a function may change, and leave the processor as they
    found it otherwise (mode, ownership, rounding).
    given: uint8; what the lines read, and what the word may change.
    check: (given, results) as they are afterwards -> None.  Raises AssertionError, with what differs.
    """

    text: str
    given: np.ndarray
    size: int
    check: Callable[[np.ndarray, np.ndarray], None]
