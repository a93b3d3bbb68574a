"""Integers that grow evenly with a loop: value = factor * index + rest."""

from typing import NamedTuple

from vertebra.core.mlir import ir
from vertebra.dialects.constants import constant_of
from vertebra.lowering.parallel_loops import defined_inside

_CASTS = ("arith.index_cast", "arith.extsi", "arith.trunci", "arith.index_castui")


class Affine(NamedTuple):
    """factor * index + constant + the sum of `others`: (value, factor) of what the loop does not change."""

    factor: int
    constant: int
    others: tuple = ()

    def plus(self, other: "Affine", sign: int = 1) -> "Affine":
        terms = dict(self.others)
        for value, factor in other.others:
            terms[value] = terms.get(value, 0) + sign * factor
        rest = tuple((v, f) for v, f in terms.items() if f)
        return Affine(self.factor + sign * other.factor, self.constant + sign * other.constant, rest)

    def times(self, n: int) -> "Affine":
        return Affine(self.factor * n, self.constant * n, tuple((v, f * n) for v, f in self.others if n))


def affine_of(value: ir.Value | int, loop) -> Affine | None:
    """`value` as a function of the induction variable of `loop`; None where it is no such sum."""
    if isinstance(value, int):
        return Affine(0, value)
    if value == loop.regions[0].blocks[0].arguments[0]:
        return Affine(1, 0)
    known = constant_of(value)
    if known is not None:
        return Affine(0, known)
    if not defined_inside(value, loop):
        return Affine(0, 0, ((value, 1),))
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.operation
    if op.name in _CASTS:
        return affine_of(op.operands[0], loop)
    if op.name in ("arith.addi", "arith.subi", "arith.muli", "arith.shli"):
        left, right = (affine_of(v, loop) for v in op.operands)
        return _combined(op.name, left, right)
    if all(not defined_inside(v, loop) for v in op.operands) and op.name.startswith("arith."):
        return Affine(0, 0, ((value, 1),))
    return None


def _combined(name: str, left: Affine | None, right: Affine | None) -> Affine | None:
    if left is None or right is None:
        return None
    if name == "arith.addi":
        return left.plus(right)
    if name == "arith.subi":
        return left.plus(right, -1)
    if name == "arith.shli":
        number = right == Affine(0, right.constant) and 0 <= right.constant < 63
        return left.times(1 << right.constant) if number else None
    if right == Affine(0, right.constant):
        return left.times(right.constant)
    return right.times(left.constant) if left == Affine(0, left.constant) else None


def trip_count(loop) -> int | None:
    """How many turns `loop` makes, where its bounds are known."""
    begin, end, step = (constant_of(v) for v in list(loop.operands)[:3])
    if begin is None or end is None or step is None or step <= 0:
        return None
    return max(0, -(-(end - begin) // step))
