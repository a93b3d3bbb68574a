"""Products whose sums become, element by element, the left factor of another one.

    p = f(rowwise g(a @ b)) ;  p @ v

Found on tensors, before anything is lowered: which operations there are between the two, and whether
all of them can be done tile by tile, where the first product leaves its sums.
"""

import attrs

from vertebra.core.layout import Layout, panels
from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.placements import handover
from vertebra.core.layout.plan import Plan
from vertebra.core.target import PanelKernel
from vertebra.lowering.linalg_to_vector.carried_products import PRODUCT
from vertebra.lowering.linalg_to_vector.operations import (
    is_elementwise,
    is_simple_reduce,
    is_tensor,
    producer,
)

# Combiners that may take elements in any order, as lanes of vectors do.
_COMBINERS = {
    *("arith.addf", "arith.mulf", "arith.maxnumf", "arith.minnumf", "arith.maximumf", "arith.minimumf"),
    *("arith.addi", "arith.muli", "arith.maxsi", "arith.maxui", "arith.minsi", "arith.minui"),
    *("arith.andi", "arith.ori", "arith.xori"),
}
# Instructions per tile that work on single tiles takes more than on the panels of one column of tiles,
# which lie as the left factor does (measured on the attention of examples/attention.py).
_SHORT_RUNS = 32


@attrs.frozen
class Grid:
    """How the sums of a product lie: in panels of `tiles` tiles of `tile` elements, `panels` of them.

    longest: how many of them the core's longest vector has.
    """

    tile: tuple[int, int]
    tiles: tuple[int, int]
    panels: tuple[int, int]
    longest: int

    @property
    def layout(self) -> Layout:
        return panels.sums(self.tile, self.tiles, self.panels)


@attrs.frozen
class Chain:
    """first, second: the products.  values: all that depends on the sums of `first`.

    reductions: linalg.reduce operations over rows of such values.  grid: of the first sums.
    plan: how a column of tiles of a panel of them gets into the panel of the left factor of `second`.
    whole: whether tiles of sums lie in that factor as they are, one row of them after the other.
    """

    first: object
    second: object
    values: set
    reductions: list
    grid: Grid
    plan: Plan
    whole: bool

    @property
    def wide(self) -> int:
        """How many tiles of sums lie side by side in one tile of the left factor."""
        return len(self.plan.body.stores.groups[0])

    @property
    def factor(self) -> Layout:
        """The layout of the left factor: panels of as many rows as those of the sums."""
        (m, n), rows = self.grid.tile, self.grid.tiles[0]
        steps = self.grid.tiles[1] * self.grid.panels[1] // self.wide
        return panels.factor((m, n * self.wide), rows, steps, self.grid.panels[0])

    @property
    def rows(self) -> int | None:
        """Rows of tiles of the second product's panels, where its left factor settles them."""
        return None if self.whole else self.grid.tiles[0]


def find_chains(kernels: dict) -> list[Chain]:
    """kernels: result of a product -> what computes it."""
    found, taken = [], set()
    for result in kernels:
        second = result.owner.operation
        chain = _chain_to(second, kernels) if second.name == PRODUCT else None
        if chain is not None and chain.first.results[0] not in taken:
            taken |= {chain.first.results[0], result}
            found.append(chain)
    return found


def _chain_to(second, kernels: dict) -> Chain | None:
    weights = second.operands[0]
    first = _source(weights, second, kernels)
    if first is None:
        return None
    around = _values_of(first, second)
    if around is None:
        return None
    one, two = (kernels[x.results[0]] for x in (first, second))
    form = _grids(one, two, first, weights)
    return Chain(first, second, *around, *form, whole=two.whole is not None) if form else None


def _source(value, second, kernels: dict):
    """The one product that `value` is computed of by elementwise operations; None without it."""
    found, seen, todo = None, set(), [value]
    while todo:
        v = todo.pop()
        op = producer(v)
        if v in seen or op is None or list(v.type.shape) != list(value.type.shape):
            continue
        seen.add(v)
        op = op.operation
        if op.name == PRODUCT and op.results[0] in kernels and op.block == second.block:
            if found is not None and found != op:
                return None
            found = op
        elif is_elementwise(op) and op.block == second.block:
            todo += [x for x in op.operands if is_tensor(x)]
    return found


def _values_of(first, second) -> tuple[set, list] | None:
    """(values, reductions) that depend on the sums; None where any of them is needed row by row."""
    shape = list(first.results[0].type.shape)
    values, reductions, todo = set(), [], [first.results[0]]
    while todo:
        value = todo.pop()
        if value in values:
            continue
        values.add(value)
        for use in value.uses:
            user = use.owner.operation
            if user.block != second.block:
                return None
            if user == second and use.operand_number == 0:
                continue
            if is_elementwise(user) and len(user.results) == 1 and list(user.results[0].type.shape) == shape:
                todo.append(user.results[0])
            elif _is_row_reduction(user) and use.operand_number == 0:
                reductions.append(user)
            else:
                return None
    return values, reductions


def _is_row_reduction(op) -> bool:
    if not is_simple_reduce(op) or len(op.operands) != 2 or list(op.attributes["dimensions"]) != [1]:
        return False
    block = op.regions[0].blocks[0]
    body = list(block.operations)
    return (
        len(body) == 2
        and body[0].operation.name in _COMBINERS
        and set(body[0].operands) == set(block.arguments)
        and list(body[1].operands) == [body[0].results[0]]
    )


def _grids(one: PanelKernel, two: PanelKernel, first, weights) -> tuple[Grid, Plan] | None:
    """(grid of the first sums, how they get into the left factor), or None.

    Both products have panels of as many rows; an engine that reads whole tiles where they lie has the sums
    in rows of tiles.
    """
    (m, n, _), (m2, _, k2) = one.tile, two.tile
    shape = list(weights.type.shape)
    if one.registers is None or two.registers is None or one.acc != str(first.results[0].type.element_type):
        return None
    if str(weights.type.element_type) != two.a or any(s % t for s, t in zip(shape, (m, k2), strict=True)):
        return None
    if two.resident is not None and two.whole is None:
        return None
    tiles = [s // t for s, t in zip(shape, (m, n), strict=True)]
    steps = -(-first.operands[0].type.shape[1] // one.tile[2])
    best, least = None, float("inf")
    for rows in _divisors(tiles[0]) if two.whole is None else (1,):
        for columns in {1, _widest(one, rows, tiles[1])}:
            cost = steps * _loads(rows, columns) + (_SHORT_RUNS if columns > 1 and two.whole is None else 0)
            fits = _fits(one, rows, columns) and (two.whole is not None or _fits(two, rows, 1))
            if fits and cost < least:
                best, least = (rows, columns), cost
    if best is None:
        return None
    plan = handover(one.registers, (m, n, one.acc), (m2, k2, two.a), best[0], two.whole)
    if plan is None:
        return None
    return Grid((m, n), best, (tiles[0] // best[0], tiles[1] // best[1]), _longest(one)), plan


def _longest(kernel: PanelKernel) -> int:
    """Sums in the longest vector."""
    return kernel.registers.bits * kernel.registers.group // bits_of(kernel.acc)


def _divisors(total: int) -> list[int]:
    return [d for d in range(1, total + 1) if total % d == 0]


def _widest(kernel: PanelKernel, rows: int, across: int) -> int:
    """How many columns of tiles a panel of `rows` may have that divide `across`; 0 where there is none."""
    return max((c for c in _divisors(across) if _fits(kernel, rows, c)), default=0)


def _fits(kernel: PanelKernel, rows: int, columns: int) -> bool:
    return columns > 0 and tuple(kernel.blocking(rows, columns)) == (rows, columns)


def _loads(rows: int, columns: int) -> float:
    """Operand tiles that each tile product takes."""
    return 1 / rows + 1 / max(columns, 1)


def grid_of(kernel: PanelKernel, rows: int | None, shape: list[int]) -> Grid | None:
    """The grid with panels of `rows` tiles for sums of `shape`; None where tiles do not divide them.

    rows: None for as many as the kernel takes.
    """
    m, n, _ = kernel.tile
    if shape[0] % (m * (rows or 1)) or shape[1] % n:
        return None
    across = shape[1] // n
    if rows is None:
        most, _ = kernel.blocking(shape[0] // m, across)
        rows = max(r for r in _divisors(shape[0] // m) if r <= most)
    wide = _widest(kernel, rows, across)
    if not wide:
        return None
    return Grid((m, n), (rows, wide), (shape[0] // m // rows, across // wide), _longest(kernel))
