"""Tensors whose dimensions are the leaves of a layout: from one such order to another by a transposition.

Where the levels of both sides' tiles nest, both are one tensor of the common levels, in two orders of its
dimensions.  Nothing moves: it is a mapping of indices for whoever reads the result.
"""

import math
from typing import NamedTuple

from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout, row_major
from vertebra.core.layout.operand import Operand, Space
from vertebra.core.layout.plan import Plan

TENSOR = Space("tensor", "tensor")


class Turn(NamedTuple):
    """To `split`, transposed by `order` (dimension i of the result was order[i]), then to `shape`."""

    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]


class Turns(NamedTuple):
    """One transposition after the other."""

    steps: tuple[Turn, ...]

    def carry_out(self, array):
        """The elements of the source, row-major, in the order of the destination."""
        for step in self.steps:
            array = array.reshape(step.split).transpose(step.order).reshape(step.shape)
        return array


def tensor(layout: Layout, dtype: str = "f32") -> Operand:
    """The tensor whose elements, row by row, are at the offsets 0, 1, 2, ... of `layout`."""
    return Operand(str(layout), tuple(mode.size for mode in layout.modes), dtype, TENSOR, layout)


def mapping_plans(source: Operand, destination: Operand) -> list[Plan]:
    """A single transposition where the tiles of both sides nest, else one out of the source's and one in.

    Raises LayoutError for layouts that leave places empty.
    """
    for operand in (source, destination):
        if operand.layout.cosize != operand.layout.size:
            raise LayoutError(f"{operand.name} leaves places empty, so no tensor has its order")
    turn = _turn(source.layout, destination.layout)
    if turn is not None:
        steps = (turn,)
    else:
        plain = row_major(*source.shape)
        steps = (_turn(source.layout, plain), _turn(plain, destination.layout))
    moving = sum(step.order != tuple(range(len(step.order))) for step in steps)
    method = ("identity", "transposition", "two transpositions")[moving]
    return [Plan(method, source, destination, Turns(steps), instructions=0, cost=moving)]


def dimensions(layout: Layout) -> tuple[tuple[int, int, int], ...]:
    """(mode, level, size) of every leaf in the order of a tensor's dimensions: the largest stride first.

    Where strides are equal, all sizes but one are 1: outer levels first, as a packed tensor has them.
    """
    leaves = [
        (-stride, -level, mode, level, size)
        for mode, part in enumerate(layout.modes)
        for level, (size, stride) in enumerate(part.flat_modes)
    ]
    return tuple((mode, level, size) for *_, mode, level, size in sorted(leaves, key=lambda x: x[:3]))


def _turn(source: Layout, destination: Layout) -> Turn | None:
    """None where the tiles of one side cut those of the other in two."""
    pieces: list[tuple] = []  # (mode, level in the source, level in the destination, size), finest first
    for mode, (a, b) in enumerate(zip(source.modes, destination.modes, strict=True)):
        found = _common(*([size for size, _ in part.flat_modes] for part in (a, b)))
        if found is None:
            return None
        pieces += [(mode, *piece) for piece in found]

    def order(layout: Layout, side: int) -> list[int]:
        """Within a level, coarser pieces come first."""
        place = {(mode, level): i for i, (mode, level, _) in enumerate(dimensions(layout))}
        return sorted(range(len(pieces)), key=lambda p: (place[pieces[p][0], pieces[p][side]], -p))

    before, after = order(source, 1), order(destination, 2)
    at = {piece: i for i, piece in enumerate(before)}
    return Turn(
        tuple(pieces[p][3] for p in before),
        tuple(at[p] for p in after),
        tuple(size for *_, size in dimensions(destination)),
    )


def _common(a: list[int], b: list[int]) -> list[tuple[int, int, int]] | None:
    """Sizes, finest first, into which both lists of levels are cut: (level of a, level of b, size)."""
    found, i, j = [], 0, 0
    left, right = a[0], b[0]
    while True:
        step = math.gcd(left, right)
        if step != min(left, right):
            return None
        found.append((i, j, step))
        left, right = left // step, right // step
        if left == right == 1 and i == len(a) - 1 and j == len(b) - 1:
            return found
        if left == 1 and i < len(a) - 1:
            i += 1
            left = a[i]
        if right == 1 and j < len(b) - 1:
            j += 1
            right = b[j]
