"""Comparisons that are known where a loop stays below the bound of a structured load.

A kernel that loads `x[start : start + BLOCK]` where `start + i < n` often tests the same again.  The
load's bound is min(n - start, BLOCK), and in the part of the loop that is below it the test holds.
"""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.lanes import Affine, Chunk, Uniform

_WIDER = {"arith.index_cast", "arith.extsi"}


def always_below(a: Chunk, b: Chunk) -> bool:
    """Whether a < b, signed, is known to hold in every lane.

    With a = start + i and 0 <= i < bound <= b - start, the exact sum lies between start and b, so
    that it does not wrap in any type that holds both.
    """
    if not isinstance(a, Affine) or a.since is None or not isinstance(b, Uniform) or b.value is None:
        return False
    bound, start = a.since
    return any(_is_distance(x, b.value, start) for x in at_least(bound))


def _maker(value):
    return None if isinstance(value.owner, ir.Block) else value.owner


def number_of(value) -> int | None:
    """The integer that `value` is known to be."""
    op = _maker(value)
    if op is None or op.name != "arith.constant" or not isinstance(op.attributes["value"], ir.IntegerAttr):
        return None
    return op.attributes["value"].value


def at_least(bound) -> list:
    """Values of which it is known that i < bound implies i < value, for i >= 0."""
    found, todo = [], [bound]
    while todo:
        value = todo.pop()
        found.append(value)
        op = _maker(value)
        if op is None:
            continue
        if op.name == "arith.minsi":
            todo += list(op.operands)
        elif op.name == "arith.maxsi":
            # An i below max(x, c) with c <= 0 is below x, as it is not negative.
            x, y = op.operands
            todo += [
                v for v, least in ((x, number_of(y)), (y, number_of(x))) if least is not None and least <= 0
            ]
    return found


def _narrow(value):
    """What `value` widens without changing it, or `value`."""
    op = _maker(value)
    if op is None or op.name not in _WIDER or _width(op.operands[0].type) > _width(op.results[0].type):
        return value
    return op.operands[0]


def _width(type) -> int:
    return 64 if isinstance(type, ir.IndexType) else type.width


def _is_distance(value, end, start) -> bool:
    """Whether `value` is end - start."""
    if start is None:
        return _narrow(value) == _narrow(end)
    op = _maker(value)
    if op is None or op.name != "arith.subi":
        return False
    return _narrow(op.operands[0]) == _narrow(end) and _narrow(op.operands[1]) == _narrow(start)
