"""Bounds of integers that the program shows: constants, loop variables, sums and products of them."""

from vertebra.core.mlir import ir
from vertebra.dialects.constants import constant_of

_DEEPEST = 12
_CASTS = {"arith.index_cast", "arith.extsi", "arith.index_castui", "arith.extui"}


def bounds(value: ir.Value, depth: int = 0) -> tuple[int, int] | None:
    """(least, greatest) of integer or index `value`, both included; None where they are not known.

    What could leave the 32 bits of an offset has no bounds, since it may have wrapped.
    """
    found = _bounds(value, depth)
    return found if found is None or -(2**31) <= found[0] <= found[1] < 2**31 else None


def _bounds(value: ir.Value, depth: int) -> tuple[int, int] | None:
    known = constant_of(value)
    if known is not None:
        return known, known
    if depth > _DEEPEST:
        return None
    if isinstance(value.owner, ir.Block):
        return _of_argument(value, depth)
    op = value.owner.operation
    if op.name in _CASTS:
        inner = bounds(op.operands[0], depth + 1)
        return inner if inner is None or op.name[-2] != "u" or inner[0] >= 0 else None
    if op.name not in _RULES:
        return None
    sides = [bounds(v, depth + 1) for v in op.operands]
    return None if None in sides else _RULES[op.name](*sides)


def _of_argument(value, depth: int) -> tuple[int, int] | None:
    """The variable of a loop: never below its start, always below its end."""
    loop = value.owner.owner.operation
    if loop.name != "scf.for" or value.arg_number != 0:
        return None
    start, stop, step = (bounds(v, depth + 1) for v in list(loop.operands)[:3])
    if start is None or stop is None:
        return None
    last = stop[1] - 1
    if step is not None and step[0] == step[1] > 0 and start[0] == start[1]:
        last = start[0] + max(0, last - start[0]) // step[0] * step[0]
    return start[0], max(start[0], last)


def _product(a, b):
    ends = [x * y for x in a for y in b]
    return min(ends), max(ends)


def _quotient(a, b):
    return (a[0] // b[0], a[1] // b[0]) if b[0] == b[1] > 0 and a[0] >= 0 else None


def _remainder(a, b):
    if not (b[0] == b[1] > 0 and a[0] >= 0):
        return None
    return (0, b[0] - 1) if a[1] >= b[0] else a


_RULES = {
    "arith.addi": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "arith.subi": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "arith.muli": _product,
    "arith.minsi": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "arith.maxsi": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "arith.divsi": _quotient,
    "arith.divui": _quotient,
    "arith.remsi": _remainder,
    "arith.remui": _remainder,
}
