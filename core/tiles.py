"""What a matrix engine can multiply, as rows of a table that people and compilers read."""

import attrs

from vertebra.core.errors import ConfigError


@attrs.frozen
class MatrixTile:
    """One kind of matrix instruction on one core.

    instruction: its name.  a, b, acc: element types.  m, n, k: the tile of one instruction.
    a_registers, b_registers, acc_registers: what its operands take; other_registers: what stays in
    registers beside them (masks, scales).  grid: (rows, columns) of accumulator tiles that the
    compiler keeps in registers.  operations: a multiplication and an addition count as two, at one
    instruction per `cycles` cycles.
    plain: it does no more than C += A @ B.  strided: it reads operands where they lie, so that the tiles in
    which a kernel packs them are nothing to it, and any will do.
    """

    instruction: str
    a: str
    b: str
    acc: str
    m: int
    n: int
    k: int
    a_registers: int
    b_registers: int
    acc_registers: int
    grid: tuple[int, int]
    other_registers: int = 0
    cycles: float = 1.0
    plain: bool = True
    strided: bool = False

    @property
    def block(self) -> tuple[int, int, int]:
        """(M, N, K) that the whole grid takes up in one step."""
        rows, columns = self.grid
        return rows * self.m, columns * self.n, self.k

    @property
    def registers(self) -> int:
        """How many the grid and its operands take."""
        return grid_registers(
            self.grid, self.a_registers, self.b_registers, self.acc_registers, self.other_registers
        )

    @property
    def peak(self) -> float:
        """Operations per cycle; of structured sparsity, those of the dense product that it stands for."""
        return 2 * self.m * self.n * self.k / self.cycles

    def takes(self, a: str, b: str, acc: str) -> bool:
        """Whether these are its types, or what they are in another mode."""
        mine = [kinds.split("|") for kinds in (self.a, self.b, self.acc)]
        modes = max(map(len, mine))
        return any((a, b, acc) == tuple(kinds[mode % len(kinds)] for kinds in mine) for mode in range(modes))

    def legal(self, m: int, n: int, k: int) -> bool:
        """Whether a user's tile of m x n x k is made of whole instructions."""
        whole = self.strided or not (m % self.m or n % self.n or k % self.k)
        return min(m, n, k) > 0 and whole


def grid_registers(grid: tuple[int, int], a: int, b: int, acc: int, other: int = 0) -> int:
    """Registers for `grid` accumulator tiles, a column of A tiles, a row of B tiles and what else stays."""
    rows, columns = grid
    return acc * rows * columns + a * rows + b * columns + other


def largest_grid(
    registers: int, *, a: int, b: int, acc: int, other: int = 0, most: tuple[int, int] | None = None
) -> tuple[int, int]:
    """(rows, columns) of accumulator tiles that need the fewest operand registers loaded per instruction.

    a, b, acc: registers of one operand; all of A's column and B's row is loaded once a step.  Of
    equals the one with more tiles wins, then the one with more columns, whose stores are longer.
    most: rows and columns that there are at most.
    """
    most_rows, most_columns = most or (registers, registers)
    grids = [
        (rows, columns)
        for rows in range(1, most_rows + 1)
        for columns in range(1, min(most_columns, registers // rows) + 1)
        if grid_registers((rows, columns), a, b, acc, other) <= registers
    ]

    def cost(grid):
        rows, columns = grid
        return (a * rows + b * columns) / (rows * columns), -rows * columns, -columns

    return min(grids, key=cost)


def tile_fault(
    core, a: str, b: str, acc: str, tile: tuple[int, int, int], counts: tuple[int, int, int] | None = None
) -> tuple[str, str] | None:
    """(what is wrong, what would be legal) of a product packed in tiles (m, n, k) on `core`, or None.

    a, b, acc: names of element types, acc that of the sums.  counts: how many tiles there are along M, N and
    K: a matrix that lies in a single tile may be smaller than an instruction, which leaves the rest of its
    registers unused.  Types that no instruction of the core takes go to its vector registers, in any tile.
    """
    rows = _rows(core, a, b, acc)
    single = [count == 1 for count in counts or (0, 0, 0)]
    for row in rows:
        sizes = (row.m, row.n, row.k)
        filled = [
            size if one and 0 < part < size else part
            for part, size, one in zip(tile, sizes, single, strict=True)
        ]
        if row.legal(*filled):
            return None
    if not rows:
        return None
    row = rows[0]
    wrong = [
        f"{name} = {part} is no multiple of {size}"
        for name, part, size in zip("MNK", tile, (row.m, row.n, row.k), strict=True)
        if part < 1 or part % size
    ]
    legal = " or ".join(f"{row.m}x{row.n}x{row.k} ({row.instruction})" for row in rows)
    near = _shown(whole_tile(core, a, b, acc, tile))
    return (
        f"tile {_shown(tile)} (MxNxK) of {a} x {b} -> {acc} is not made of whole instructions of core"
        f" {core.name}: {', '.join(wrong)}",
        f"use multiples of {legal}, here {near}; or tl.dot, for which the compiler picks the tiles",
    )


def whole_tile(core, a: str, b: str, acc: str, tile: tuple[int, int, int]) -> tuple[int, int, int]:
    """The smallest tile (m, n, k) that holds `tile` and is legal on `core`; `tile` where all are."""
    rows = _rows(core, a, b, acc)
    if not rows or any(row.legal(*tile) for row in rows):
        return tile
    row = rows[0]
    m, n, k = (-(-part // size) * size for part, size in zip(tile, (row.m, row.n, row.k), strict=True))
    return m, n, k


def check_tile(core, a: str, b: str, acc: str, tile: tuple[int, int, int]) -> None:
    """Raises ConfigError where a tile (m, n, k) is not made of whole instructions of `core` for these types.

    The message has the rows of the table that would do.  Types that the core has no instruction for are an
    error too, other than in a kernel.
    """
    if not _rows(core, a, b, acc):
        types = products_of(core)
        raise ConfigError(
            f"core {core.name} has no instruction for {a} x {b} -> {acc}",
            fix=f"use one of {types}" if types else "its products are cut for vector registers",
        )
    if fault := tile_fault(core, a, b, acc, tile):
        message, fix = fault
        raise ConfigError(message, fix=fix)


def products_of(core) -> str:
    """The types and tiles of the plain products of `core`, for people; empty where it has no instructions."""
    from vertebra.core import hooks

    known = (row for row in hooks.matrix_tiles(core) if row.plain)
    return "; ".join(
        sorted({f"{row.a} x {row.b} -> {row.acc}, tiles of {row.m}x{row.n}x{row.k}" for row in known})
    )


def _rows(core, a: str, b: str, acc: str) -> list[MatrixTile]:
    """Those of `core` for plain products of these types."""
    from vertebra.core import hooks

    return [row for row in hooks.matrix_tiles(core) if row.plain and row.takes(a, b, acc)]


def _shown(tile: tuple[int, int, int]) -> str:
    return "x".join(map(str, tile))
