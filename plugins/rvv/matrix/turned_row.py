"""One row times many columns of a matrix that lies in memory row by row.

As in `row_loop`, a register of the row meets a register of one column, and the products of equal pieces
are on the diagonal of their tile.  Here a strided load of segments brings as many columns as it has
fields, each into a register of its own: a segment is a piece of a row of the matrix.  Eight columns and
their sums leave no registers for a second buffer, so that a load waits for the products before it.
"""

from collections.abc import Callable

from vertebra.plugins.rvv.matrix.assembly import move_sums
from vertebra.plugins.rvv.matrix.row_loop import ACC, BACK, COLUMN, OWN, ROW, STRIDE
from vertebra.plugins.rvv.matrix.schedule import REGISTERS

MOST_COLUMNS = 8  # fields of a segment
_ROWS = (4, 2, 1)  # registers of the row that one load fills


def turned_row_loop(
    columns: int, steps: int, *, span: int, bytes_per_register: int, sew: int, dot: Callable[..., str]
) -> list[str]:
    """The lines that add the tile products of a row and `columns` columns, of `steps` registers each, to ACC.

    The text's operands are those of `row_loop`; STRIDE is the bytes from one row of the matrix to the next.
    """
    sums = REGISTERS - columns * span
    lines = [
        f"li {BACK}, {bytes_per_register * 8 // sew}",
        f"mul {BACK}, {BACK}, {STRIDE}",
        f"vsetvli {OWN}, zero, e{sew}, m1, ta, ma",
        *move_sums(sums, bytes_per_register, ACC, store=False),
    ]
    size = next(n for n in _ROWS if steps % n == 0)
    first = next(r for r in range(MOST_COLUMNS, sums, size) if r + size <= sums)
    load = f"vlsseg{columns}e{sew}.v v0, ({COLUMN}), {STRIDE}"
    if columns == 1:
        load = f"vlse{sew}.v v0, ({COLUMN}), {STRIDE}"

    def group() -> list[str]:
        found = [
            f"vl{size}re8.v v{first}, ({ROW})",
            f"addi {ROW}, {ROW}, {size * bytes_per_register}",
        ]
        for tile in range(size):
            found += [load, f"add {COLUMN}, {COLUMN}, {BACK}"]
            found += [dot(sums + column * span, first + tile, column) for column in range(columns)]
        return found

    turns = steps // size
    if turns > 1:
        lines += [f"li {OWN}, {turns}", "1:", *group(), f"addi {OWN}, {OWN}, -1", f"bnez {OWN}, 1b"]
    else:
        lines += group()
    return [*lines, *move_sums(sums, bytes_per_register, ACC, store=True)]
