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
        given, mine = (a, b, acc), (self.a, self.b, self.acc)
        return all(kind in names.split("|") for kind, names in zip(given, mine, strict=True))

    def legal(self, m: int, n: int, k: int) -> bool:
        """Whether a user's tile of m x n x k is made of whole instructions."""
        return min(m, n, k) > 0 and not (m % self.m or n % self.n or k % self.k)


def grid_registers(grid: tuple[int, int], a: int, b: int, acc: int, other: int = 0) -> int:
    """Registers for `grid` accumulator tiles, a column of A tiles, a row of B tiles and what else stays."""
    rows, columns = grid
    return acc * rows * columns + a * rows + b * columns + other


def largest_grid(registers: int, *, a: int, b: int, acc: int, other: int = 0) -> tuple[int, int]:
    """(rows, columns) of accumulator tiles that need the fewest operand registers loaded per instruction.

    a, b, acc: registers of one operand; all of A's column and B's row is loaded once a step.  Of
    equals the one with more tiles wins, then the one with more columns, whose stores are longer.
    """
    grids = [
        (rows, columns)
        for rows in range(1, registers + 1)
        for columns in range(1, registers // rows + 1)
        if grid_registers((rows, columns), a, b, acc, other) <= registers
    ]

    def cost(grid):
        rows, columns = grid
        return (a * rows + b * columns) / (rows * columns), -rows * columns, -columns

    return min(grids, key=cost)


def check_tile(core, a: str, b: str, acc: str, tile: tuple[int, int, int]) -> None:
    """Raises ConfigError where a tile (m, n, k) is not made of whole instructions of `core` for these types.

    The message has the rows of the table that would do.  Kernels may use any tile: the compiler then cuts the
    product anew, into tiles that the core has.
    """
    from vertebra.core import hooks

    rows = hooks.matrix_tiles(core)
    known = [row for row in rows if row.takes(a, b, acc)]
    if not known:
        types = sorted({f"{row.a} x {row.b} -> {row.acc}" for row in rows})
        raise ConfigError(
            f"core {core.name} has no instruction for {a} x {b} -> {acc}",
            fix=f"use one of {'; '.join(types)}" if types else "its products are cut for vector registers",
        )
    if not any(row.legal(*tile) for row in known):
        legal = "; ".join(f"{row.m}x{row.n}x{row.k} ({row.instruction})" for row in known)
        raise ConfigError(
            f"tile {'x'.join(map(str, tile))} of {a} x {b} -> {acc} is not made of whole instructions of core"
            f" {core.name}",
            fix=f"use multiples of {legal}",
        )
