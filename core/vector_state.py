"""The contents of vector registers, for the semantics of instructions to read and change."""

import attrs
import numpy as np

REGISTERS = 32


@attrs.define
class VectorState:
    """v: (32, VLEN / 8) uint8, byte 0 of a register first.

    sew: the element width that the processor is set to, in bits, with one register to a group.
    mode: the name of the `vertebra.core.target.Mode` that it is in; "" where kernels are called.
    """

    v: np.ndarray
    sew: int = 8
    mode: str = ""

    @classmethod
    def zeros(cls, vlen: int, **fields) -> "VectorState":
        return cls(np.zeros((REGISTERS, vlen // 8), np.uint8), **fields)

    @property
    def vlen(self) -> int:
        return self.v.shape[1] * 8

    def group(self, first: int, count: int) -> np.ndarray:
        """The bytes of `count` registers, one after the other; a view."""
        return self.v[first : first + count].reshape(-1)
