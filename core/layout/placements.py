"""What lowerings ask the planner, with the answers kept.

Each answer is a plan as any other: it runs on bytes, and the code that is generated follows its body.
"""

import functools
from typing import NamedTuple

from vertebra.core.layout import panels, planner
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.handover import converted_plans
from vertebra.core.layout.lanes import LANES, vectors
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.mapping import Turns, tensor
from vertebra.core.layout.operand import Operand, Space
from vertebra.core.layout.plan import Plan
from vertebra.core.layout.tiling import subview

MEMORY = Space("memory", "memory")


@functools.lru_cache(maxsize=4096)
def mapping(source: Layout, destination: Layout) -> Turns:
    """How a tensor in the order of `source` is seen as one in that of `destination`: pack, unpack, repack."""
    return planner.plan(tensor(source), tensor(destination)).body


@functools.lru_cache(maxsize=4096)
def stores(layout: Layout, origin: tuple[int, int], sizes: tuple[int, int], axis: int, bits: int) -> Plan:
    """How vectors along mode `axis` that hold `sizes` elements from `origin` on get into `layout`.

    There is one vector for each index of the other mode; positions count from the element at `origin`.
    bits: of an element.  Raises LayoutError for a part that is no layout of its own.
    """
    part, _ = subview(layout, origin, sizes)
    kind = f"u{bits}"
    source = Operand("vectors", sizes, kind, LANES, owners=vectors(sizes, axis))
    return planner.plan(source, Operand("panels", sizes, kind, MEMORY, part))


class Walk(NamedTuple):
    """A way to read a matrix: vectors along mode `axis`, `count` of them at a time.

    plan: how these are stored.  cost: of loads and stores, per element.
    """

    axis: int
    count: int
    plan: Plan
    cost: float


@functools.lru_cache(maxsize=4096)
def walk(layout: Layout, lanes: int, running: int | None, bits: int) -> Walk:
    """The cheapest way into `layout` for a matrix whose neighbours in memory are along mode `running`.

    lanes: elements that a loop takes at once.  running: None where no neighbours are known; then every
    element is a load of its own.
    """
    found = []
    for axis in (1, 0):
        count, most = _between(layout, axis), layout.mode(axis).size
        for size in (n for n in range(min(lanes, most), 0, -1) if most % n == 0):
            sizes = (size, count) if axis == 0 else (count, size)
            try:
                plan = stores(layout, (0, 0), sizes, axis, bits)
            except LayoutError:  # a vector that ends within a tile
                continue
            loads = count if axis == running else count * size
            found.append(Walk(axis, count, plan, (loads + plan.cost) / (count * size)))
            break
    return min(found, key=lambda walk: walk.cost)


def _between(layout: Layout, axis: int) -> int:
    """Elements along the other mode that fill the room between two neighbours along `axis`."""
    (_, step), *_ = layout.mode(axis).flat_modes
    (size, other), *_ = layout.mode(1 - axis).flat_modes
    return size if other == 1 and step == size else 1


@functools.lru_cache(maxsize=256)
def handover(
    registers: Space, sums: tuple, factor: tuple, height: int = 1, whole: Layout | None = None
) -> Plan | None:
    """How `height` tiles of sums get from registers to a panel of the left factor of the next product.

    sums: (rows, columns, element type) of a tile.  factor: likewise, along M and K.  whole: the order of a
    tile of it, where that is not row by row.  The cheapest of the plans that conversions and stores carry out
    on whole tiles of sums; None where there is none, or one's tiles are no part of the other's.
    """
    (m, n, acc), (m2, k, kind) = sums, factor
    if m != m2 or k % n:
        return None
    shape = (m * height, k)
    source = Operand(
        f"tiles of {m}x{n} {acc} in {registers.name}",
        shape,
        acc,
        registers,
        panels.sums((m, n), (height, 1), (1, k // n)),
    )
    layout = panels.factor((m, k), height, 1) if whole is None else whole
    panel = Operand(f"panel of {m}x{k} {kind}", shape, kind, MEMORY, layout)
    found = [plan for plan in converted_plans(source, panel) if plan.body.owners.values in (1, k // n)]
    return min(found, key=lambda plan: plan.cost, default=None)
