"""One row times many columns that lie in memory one after the other, each along K.

A product of tiles has one row of A against many columns of B.  Here both operands are taken as they
lie in memory: a register holds m pieces of k elements of the row, or of one column.  Their tile
product has the products of equal pieces on its diagonal, which add up to the column's sum.  So nothing
is packed, all rows of the tile work, and every load is contiguous.
"""

from collections.abc import Callable

from vertebra.plugins.rvv.matrix.assembly import move_sums
from vertebra.plugins.rvv.matrix.schedule import REGISTERS

# Operands of the text: addresses of the row, the columns and the sums, which it changes, and two registers
# of its own; behind the values that the addresses start at, the bytes from one column to the next.
ROW, COLUMN, ACC, OWN, BACK, STRIDE = (f"${n}" for n in (0, 1, 2, 3, 4, 8))
_MOST_COLUMNS = 4
_TILES = (4, 2, 1)  # registers that one load fills


def most_columns(span: int) -> int:
    """How many columns fit at once, with sums of `span` registers and operands of one."""
    return next(c for c in range(_MOST_COLUMNS, 0, -1) if _registers(c, 1, span) <= REGISTERS)


def _registers(columns: int, tiles: int, span: int) -> int:
    """What the sums, two buffers of the row and one for each column take."""
    return columns * span + (2 + columns) * tiles


def tiles_per_load(columns: int, steps: int, span: int) -> int:
    """How many of `steps` registers along K are loaded at once."""
    return next(n for n in _TILES if steps % n == 0 and _registers(columns, n, span) <= REGISTERS)


def row_loop(
    columns: int, steps: int, *, span: int, bytes_per_register: int, sew: int, dot: Callable[..., str]
) -> list[str]:
    """The lines that add the tile products of a row and `columns` columns, of `steps` registers each, to ACC.

    span: registers of a tile's sums.  sew, dot: as for `panel_loop`.  ACC holds a tile for each column.
    """
    return _Writer(columns, steps, span, bytes_per_register, sew, dot).text()


class _Writer:
    def __init__(self, columns: int, steps: int, span: int, width: int, sew: int, dot: Callable):
        self.columns = columns
        self.tiles = tiles_per_load(columns, steps, span)
        self.groups = steps // self.tiles
        self.span = span
        self.width = width
        self.sew = sew
        self.dot = dot
        self.lines: list[str] = []
        # Sums above, then two buffers of the row, then one for each column.
        self.sums = REGISTERS - columns * span

    def text(self) -> list[str]:
        if self.columns > 1:
            # From the last column of a group to the first one of the next.
            self._write(f"li {BACK}, {self._ahead()}")
            for _ in range(self.columns - 1):
                self._write(f"sub {BACK}, {BACK}, {STRIDE}")
        self._write(f"vsetvli {OWN}, zero, e{self.sew}, m1, ta, ma")
        self.lines += move_sums(self.sums, self.width, ACC, store=False)
        self._load_row(0)
        for column in range(self.columns):
            self._load_column(column)
        turns = (self.groups - 1) // 2
        if turns > 1:
            self._write(f"li {OWN}, {turns * 2 * self._ahead()}")
            self._write(f"add {OWN}, {OWN}, {ROW}")
            self._write("1:")
            self._group(0, last=False)
            self._group(1, last=False)
            self._write(f"bne {ROW}, {OWN}, 1b")
        else:
            turns = 0
        for group in range(2 * turns, self.groups):
            self._group(group, last=group == self.groups - 1)
        self.lines += move_sums(self.sums, self.width, ACC, store=True)
        return self.lines

    def _ahead(self) -> int:
        return self.tiles * self.width

    def _group(self, group: int, last: bool) -> None:
        """Columns go in pairs: sums that depend on each other are two products apart."""
        if not last:
            self._write(f"addi {ROW}, {ROW}, {self._ahead()}")
            self._load_row(group + 1)
        for first in range(0, self.columns, 2):
            pair = range(first, min(first + 2, self.columns))
            for tile in range(self.tiles):
                for column in pair:
                    row = group % 2 * self.tiles + tile
                    self._write(self.dot(self.sums + column * self.span, row, self._column(column) + tile))
            if not last:
                for column in pair:
                    self._load_column(column, again=True)

    def _column(self, column: int) -> int:
        return (2 + column) * self.tiles

    def _load_row(self, group: int) -> None:
        self._write(f"vl{self.tiles}re8.v v{group % 2 * self.tiles}, ({ROW})")

    def _load_column(self, column: int, again: bool = False) -> None:
        if column:
            self._write(f"add {COLUMN}, {COLUMN}, {STRIDE}")
        elif again and self.columns > 1:
            self._write(f"add {COLUMN}, {COLUMN}, {BACK}")
        elif again:
            self._write(f"addi {COLUMN}, {COLUMN}, {self._ahead()}")
        self._write(f"vl{self.tiles}re8.v v{self._column(column)}, ({COLUMN})")

    def _write(self, line: str) -> None:
        self.lines.append(line)
