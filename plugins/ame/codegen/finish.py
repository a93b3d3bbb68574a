"""Sums on their way from accumulators to memory: steps on the unit, a narrower type, and the store."""

import struct

from vertebra.core.target import Finish
from vertebra.plugins.ame.codegen.assembly import Text, instruction
from vertebra.plugins.ame.codegen.registers import finishing
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.types import NAMED

# Step -> the instruction on a matrix register and a scalar.
_SCALAR = {"add": "madd.ew.x", "scale": "mmul.ew.x", "max": "mmax.ew.x", "min": "mmin.ew.x"}
_STEPS = frozenset({*_SCALAR, "row", "relu"})
_MOST_ROWS = 4  # whose addresses take X registers


def can_finish(g: Geometry, acc: str, names: tuple[str, ...], element: str, columns: int) -> bool:
    """Whether the unit does these steps with sums of type `acc`.

    Without registers to finish sums in they are stored as they are; narrow types leave in whole
    registers, several tiles side by side.
    """
    if not finishing(g, NAMED[acc]):
        return not names and element == acc
    if not set(names) <= _STEPS or names.count("row") > _MOST_ROWS or element not in ("f32", "f16", "bf16"):
        return False
    return columns % g.pack(NAMED[element].bits) == 0


class FinishedText(Text):
    """A product whose sums are finished."""

    def __init__(self, g: Geometry, finish: Finish, *args):
        self.g, self.finish = g, finish
        rows = [f"row{n}" for n, (name, _) in enumerate(finish.steps) if name == "row"]
        super().__init__(*args, more=("stride", *rows))

    @staticmethod
    def values(finish: Finish) -> list:
        """The inputs from "acc" on: where the sums go stands in its place."""
        return [finish.address, finish.stride, *(value for name, value in finish.steps if name == "row")]

    def sums_out(self) -> None:
        kind, plan = NAMED[self.finish.element], self.plan
        pack, side = self.g.pack(kind.bits), self.g.n
        across = pack * side * kind.bits // 8
        for i in range(plan.rows):
            for j in range(0, plan.columns, pack):
                for s in range(pack):
                    self.write(instruction("mmov.m.a", md=plan.sums + s, acc=i * plan.columns + j + s))
                for number, (name, value) in enumerate(self.finish.steps):
                    self._step_on(name, value, f"row{number}", j, pack)
                out = plan.sums
                if pack > 1:
                    out = plan.finish[self.finish.element]
                    self.write(instruction("mconv.ew", md=out, ms1=plan.sums))
                self.write(instruction("mss.st", ms1=out, rs1=self.sums, rs2=self.input["stride"]))
                self.write(f"addi {self.sums}, {self.sums}, {across}")
            if i + 1 < plan.rows:
                self.write(f"slli {self.own}, {self.input['stride']}, {side.bit_length() - 1}")
                self.write(f"add {self.sums}, {self.sums}, {self.own}")
                self.write(f"addi {self.sums}, {self.sums}, -{across * plan.columns // pack}")

    def _step_on(self, name: str, value, row: str, column: int, tiles: int) -> None:
        """One step on `tiles` tiles of sums, of which the first has `column`."""
        if name in _SCALAR:
            (bits,) = struct.unpack("<I", struct.pack("<f", value))
            self.write(f"li {self.own}, {bits:#x}")
        for s in range(tiles):
            sums = self.plan.sums + s
            if name == "row":
                at = (column + s) * self.g.n * NAMED["f32"].bits // 8
                self.write(f"addi {self.own}, {self.input[row]}, {at}")
                self.write(instruction("mls.st", md=self.plan.finish["row"], rs1=self.own, rs2=0))
                self.write(instruction("madd.ew", md=sums, ms1=self.plan.finish["row"], ms2=sums))
            elif name == "relu":
                self.write(instruction("mselge.ew", md=sums, ms1=sums, ms2=sums))
            else:
                self.write(instruction(_SCALAR[name], md=sums, rs1=self.own, ms2=sums))
