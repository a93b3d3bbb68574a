"""The contents of vector registers as tokens, and operations that move them.

Every byte of a register is a token: which element it belongs to, in which form, and which of its
bytes.  An operation says for each byte (or converted element) of its result where it comes from;
what is not read is free.  Narrowing an integer without saturation is a choice of bytes, so it needs
no conversion.
"""

import functools
from typing import NamedTuple

from vertebra.core.layout.dtype import bits_of, decode, encode
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.plan import footprint, write

# A token is form << 24 | element << 3 | byte; what may be anything is -1.
FREE = -1
ELEMENT = 0x1FFFFF
_FORMS = ("integer", "f16", "bf16", "f32", "f64", "f8e4m3", "f8e5m2")


class Operation(NamedTuple):
    """result[i] = input[sources[i][0]][sources[i][1]], over elements of `size` bytes.

    sources: None where the result is undefined.  inputs: how many registers it reads.
    converts: (from type, to type) of elements that it converts on the way; the inputs' elements are
    then as wide as the from type, and `size` is that of the to type.  count: instructions.
    text: assembly with {d} for the result and {0}, {1}, ... for the inputs, one line an instruction.
    group: how many results, with their inputs side by side, the same instructions can have at once.
    """

    name: str
    inputs: int
    size: int
    sources: tuple
    text: tuple[str, ...]
    converts: tuple[str, str] | None = None
    group: int = 1

    @property
    def count(self) -> int:
        return len(self.text)

    def wanted(self, goal) -> tuple | None:
        """The inputs (int32 tokens each) that give a register of tokens `goal`, or None where none do."""
        import numpy as np

        table, wide = _table(self, len(goal))
        need = goal != FREE
        if self.converts is not None:
            form, element, byte = goal >> 24, goal >> 3 & ELEMENT, goal & 7
            place = np.arange(len(goal)) % self.size
            if (need & ((form != _FORMS.index(self.converts[1])) | (byte != place))).any():
                return None
            ids = np.where(need, element, -1).reshape(-1, self.size).max(1)
            ids = np.repeat(ids, wide)
            made = _FORMS.index(self.converts[0]) << 24 | ids << 3 | np.arange(len(ids)) % wide
            goal, need = np.where(ids < 0, FREE, made), ids >= 0
        at = table[need]
        if (at < 0).any():
            return None
        inputs = np.full(self.inputs * table.length, FREE, np.int32)
        inputs[at] = goal[need]
        if (inputs[at] != goal[need]).any():
            return None
        return tuple(inputs.reshape(self.inputs, -1))

    def apply(self, registers):
        """The result's bytes, from the inputs' bytes; undefined ones are 0xA5."""
        import numpy as np

        length = len(registers[0])
        if self.converts is not None:
            kind = np.dtype(f"u{bits_of(self.converts[0]) // 8}")
            registers = [
                encode(decode(r.view(kind), self.converts[0]), self.converts[1]).view(np.uint8)
                for r in registers
            ]
        result = np.full(length, 0xA5, np.uint8)
        for i, source in enumerate(self.sources):
            if source is not None:
                which, at = source
                result[i * self.size : (i + 1) * self.size] = registers[which][
                    at * self.size : (at + 1) * self.size
                ]
        return result


class _Table:
    """Where each byte of a result comes from in the inputs' bytes, register after register; -1: nowhere."""

    __slots__ = ("array", "length")

    def __init__(self, operation: Operation, length: int):
        import numpy as np

        wide = bits_of(operation.converts[0]) // 8 if operation.converts else operation.size
        self.length = length
        starts = [-length if s is None else s[0] * length + s[1] * wide for s in operation.sources]
        spread = np.repeat(np.array(starts), wide) + np.tile(np.arange(wide), len(starts))
        self.array = np.where(spread < 0, -1, spread)

    def __getitem__(self, which):
        return self.array[which]


@functools.lru_cache(maxsize=512)
def _table(operation: Operation, length: int):
    wide = bits_of(operation.converts[0]) // 8 if operation.converts else operation.size
    return _Table(operation, length), wide


def source_bytes(operand: Operand, flat):
    """What the vector registers of `operand` hold: uint8 (registers, bytes)."""
    import numpy as np

    bits = bits_of(operand.dtype)
    length = operand.space.bits // 8
    held = np.zeros(-(-footprint(operand, bits) // length) * length, np.uint8)
    write(held, operand.bit_addresses(bits), encode(flat, operand.dtype), bits)
    return held.reshape(-1, length)


def tokens_of(operand: Operand, contraction=None):
    """The registers of an operand as tokens: int32 (registers, bytes).

    contraction renumbers the mode that the operand is summed over: index k holds contraction[k].
    """
    import numpy as np

    bits = bits_of(operand.dtype)
    if bits % 8:
        raise LayoutError(f"{operand.name}: elements of {bits} bits share bytes, which no program here moves")
    length = operand.space.bits // 8
    form = _FORMS.index("integer" if operand.dtype[0] in "iu" else operand.dtype)
    tokens = np.full(-(-footprint(operand, bits) // length) * length, FREE, np.int32)
    at = operand.bit_addresses(bits) // 8
    ids = np.arange(len(at))
    if contraction is not None:
        before = int(np.prod(operand.shape[: operand.contraction], dtype=np.int64))
        along = ids // before % operand.shape[operand.contraction]
        ids = ids + (np.array(contraction)[along] - along) * before
    for k in range(bits // 8):
        tokens[at + k] = form << 24 | ids << 3 | k
    return tokens.reshape(-1, length)
