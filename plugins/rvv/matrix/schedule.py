"""The order of loads and matrix instructions in one step of K, and the registers they use.

A grid of rows x columns tiles keeps its sums in the upper vector registers.  The operand tiles of
a step come in *groups* of 1, 2, 4 or 8, each of which one whole-register load fills.  A group has
one buffer, loaded again after its last use in a step, or two, which take turns.
"""

import functools
import itertools
from collections.abc import Sequence

import attrs

REGISTERS = 32
_GROUP_SIZES = (8, 4, 2, 1)
_MOST_BLOCKS = 4  # beyond it not every order of the blocks is tried
_ENOUGH = 4  # matrix instructions between a load and the first that needs it


@attrs.frozen
class Group:
    """Neighbouring tiles of one operand.

    operand: 'a' or 'b'.  first, size: which tiles.  buffers: the first register of each.
    """

    operand: str
    first: int
    size: int
    buffers: tuple[int, ...] = ()

    def register(self, tile: int, step: int) -> int:
        return self.buffers[step % len(self.buffers)] + tile - self.first


@attrs.frozen
class Schedule:
    """One step of K on a grid of tiles.

    sums: the first register of the accumulators, tile (i, j) at sums + (i * columns + j) * span.
    groups: in the order in which the first step loads them.
    order: what a step does: (i, j), a matrix instruction, or a Group, the load for the next step.
    distance: matrix instructions between a load and its first use, at least.
    """

    rows: int
    columns: int
    span: int
    sums: int
    groups: tuple[Group, ...]
    order: tuple
    distance: int

    def operand(self, name: str, tile: int, step: int) -> int:
        """The register of tile `tile` of operand `name` in step `step`."""
        group = next(g for g in self.groups if g.operand == name and g.first <= tile < g.first + g.size)
        return group.register(tile, step)


def fits(rows: int, columns: int, span: int) -> bool:
    """Whether a grid's sums, `span` registers for each tile, and one step's operands fit the registers."""
    return rows * columns * span + rows + columns <= REGISTERS


@functools.cache
def schedule(rows: int, columns: int, span: int) -> Schedule:
    """The fewest loads whose data are there in time, or else those that are there earliest."""
    if not fits(rows, columns, span):
        raise AssertionError(f"a grid of {rows}x{columns} tiles of {span} registers does not fit")
    sums = REGISTERS - rows * columns * span
    found = []
    for a, b in itertools.product(_partitions("a", rows), _partitions("b", columns)):
        if made := _buffered(rows, columns, span, sums, a, b):
            found.append(made)
    enough = min(_ENOUGH, rows * columns)
    return min(
        found, key=lambda s: (s.distance < enough, len(s.groups) if s.distance >= enough else 0, -s.distance)
    )


def _partitions(operand: str, count: int) -> list[tuple[Group, ...]]:
    """Ways of cutting `count` tiles into groups: the largest first, or last, up to each size."""
    found = {}
    for most in _GROUP_SIZES:
        sizes, left = [], count
        while left:
            sizes.append(next(s for s in _GROUP_SIZES if s <= min(most, left)))
            left -= sizes[-1]
        for way in (sizes, sizes[::-1]):
            starts = itertools.accumulate(way, initial=0)
            found[tuple(way)] = tuple(Group(operand, at, size) for at, size in zip(starts, way, strict=False))
    return list(found.values())


def _buffered(rows: int, columns: int, span: int, sums: int, a: tuple, b: tuple) -> Schedule | None:
    """The best order with every group in one buffer, then with more of them in two while registers last."""
    blocks = list(itertools.product(a, b))
    orders = [_snake(a, b)] if len(blocks) > _MOST_BLOCKS else list(map(list, itertools.permutations(blocks)))
    doubled: frozenset = frozenset()
    placed, best = _placed((*a, *b), doubled, sums), None
    while placed is not None:
        distance, order = max((_timed(o, doubled) for o in orders), key=lambda t: t[0])
        if best is None or distance > best.distance:
            best = _schedule(rows, columns, span, sums, order, placed, doubled, distance)
        if best.distance >= _ENOUGH:
            break
        more = [doubled | {g} for g in (*a, *b) if g not in doubled]
        more = [d for d in more if _placed((*a, *b), d, sums)]
        if not more:
            break
        doubled = max(more, key=lambda d: max(_timed(o, d)[0] for o in orders))
        placed = _placed((*a, *b), doubled, sums)
    return best


def _snake(a: tuple, b: tuple) -> list:
    return [(x, y) for n, x in enumerate(a) for y in (b if n % 2 == 0 else b[::-1])]


def _dots(order: list) -> list[tuple[Group, Group, int, int]]:
    return [
        (x, y, i, j)
        for x, y in order
        for i in range(x.first, x.first + x.size)
        for j in range(y.first, y.first + y.size)
    ]


def _slack(order: list, group: Group, double: bool) -> int:
    """Matrix instructions between the load of `group` for the next step and its first use there."""
    uses = [n for n, (x, y, _, _) in enumerate(_dots(order)) if group in (x, y)]
    total = len(_dots(order))
    return total + uses[0] - (1 if double else uses[-1] + 1)


def _timed(order: list, doubled: frozenset = frozenset()) -> tuple[int, list]:
    groups = {g for block in order for g in block}
    return min(_slack(order, g, g in doubled) for g in groups), order


def _placed(groups: Sequence[Group], doubled: frozenset, sums: int) -> dict | None:
    """The first registers of every group's buffers, each aligned to its size; None where they do not fit."""
    free = set(range(sums))
    found: dict[Group, tuple[int, ...]] = {g: () for g in groups}
    wanted = [(g, n) for g in groups for n in range(2 if g in doubled else 1)]
    for group, _ in sorted(wanted, key=lambda w: -w[0].size):
        size = group.size
        places = (r for r in range(0, sums, size) if free.issuperset(range(r, r + size)))
        place = next(places, None)
        if place is None:
            return None
        free -= set(range(place, place + size))
        found[group] = (*found[group], place)
    return found


def _schedule(rows, columns, span, sums, order, placed, doubled, distance) -> Schedule:
    dots = _dots(order)
    full = {g: attrs.evolve(g, buffers=buffers) for g, buffers in placed.items()}
    first_use = {g: next(n for n, d in enumerate(dots) if g in d[:2]) for g in full}
    last_use = {g: max(n for n, d in enumerate(dots) if g in d[:2]) for g in full}
    todo = []
    for n, (_, _, i, j) in enumerate(dots):
        todo.append((i, j))
        todo += [full[g] for g in full if (0 if g in doubled else last_use[g]) == n]
    return Schedule(
        rows,
        columns,
        span,
        sums,
        tuple(full[g] for g in sorted(full, key=first_use.__getitem__)),
        tuple(todo),
        distance,
    )
