"""The sums of a product in panels, tile by tile, as a matrix engine keeps them."""

from vertebra.core.layout import panels as panel_layouts
from vertebra.core.mlir import ir
from vertebra.core.target import PanelKernel
from vertebra.lowering.linalg_to_vector import panel_buffers, panel_moves
from vertebra.lowering.linalg_to_vector.contract import balanced
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, pieces
from vertebra.lowering.linalg_to_vector.panel_vectors import as_vector


class Sums:
    """An m x n matrix of sums.  down, across: the panels along either side, in tiles: (start, stop, size).

    Panels of one row of panels are neighbours, left to right.  grid: rows and columns of tiles in every
    panel, where that is settled.
    """

    def __init__(self, scope: Scope, kernel: PanelKernel, m: int, n: int, grid: tuple | None = None):
        self.scope = scope
        self.shape = (m, n)
        self.tile = kernel.tile[:2]
        self.moves = kernel.moves
        self.type = ir.Type.parse(kernel.acc)
        self.tiles = tuple(-(-size // t) for size, t in zip(self.shape, self.tile, strict=True))
        rows, columns = grid or kernel.blocking(*self.tiles)
        self.down, self.across = balanced(self.tiles[0], rows), balanced(self.tiles[1], columns)

    def allocate(self):
        (m, n), (down, across) = self.tile, self.tiles
        return panel_buffers.bytes_of(down * across * m * n * self.type.width // 8)

    def result(self, batch: list[int], element):
        """A buffer for the matrix row by row."""
        return panel_buffers.allocate([*batch, *self.shape], element)

    def clear(self, buffer) -> None:
        panel_buffers.clear(self.scope, buffer)

    def address(self, b: Builder, buffer, p: Uniform, rows: int, q: Uniform):
        """Of the panel, `rows` tiles high, whose first tile is (p, q)."""
        m, n = self.tile
        at = b.mul(self._first(b, p, rows, q), b.const(m * n * self.type.width // 8))
        return panel_buffers.address(b, buffer, at)

    def _first(self, b: Builder, p: Uniform, rows: int, q: Uniform) -> Uniform:
        """Tiles in front of the panel, `rows` tiles high, whose first tile is (p, q)."""
        area = self.tile[0] * self.tile[1]
        row = panel_layouts.sums(self.tile, (rows, 1), (1, self.tiles[1]))
        return b.add(
            b.mul(p, b.const(row.size // rows // area)), b.mul(q, b.const(row(0, self.tile[1]) // area))
        )

    def pack(self, buffer, value, prefix: list) -> None:
        """Fills the panels from tensor `value` at `prefix`; what is outside of it stays undefined."""
        b = self.scope.builder(1)
        panels = panel_buffers.view(b, buffer, self.type)

        def piece(at: Uniform, row: Uniform, column: Uniform, width: int) -> None:
            ev = self.scope.evaluator(width)
            last = column if width == 1 else Affine(column, b.const(1))
            chunk = ev.at(value, [*prefix, row, last])
            vector = as_vector(ev.b, chunk)
            panel_buffers.store(b, converted(vector, self.type), panels, at)

        self._pieces(piece)

    def unpack(self, buffer, into, prefix: list):
        """Writes the sums into memref `into` at `prefix`, in its element type; returns it."""
        b = self.scope.builder(1)
        panels = panel_buffers.view(b, buffer, self.type)

        def piece(at: Uniform, row: Uniform, column: Uniform, width: int) -> None:
            type = ir.VectorType.get([width], self.type)
            vector = create("vector.load", type, [panels, b.scalar(at)])
            vector = converted(vector, into.type.element_type)
            panel_buffers.store(b, vector, into, *prefix, row, column)

        whole = None
        if self.moves is not None and self.moves.untile is not None and into.type.element_type == self.type:

            def whole(at: Uniform, row: Uniform, column: Uniform) -> None:
                panel_moves.untile(b, self.moves, buffer, at, into, [*prefix, row, column])

        self._pieces(piece, whole)
        return into

    def _pieces(self, body, whole=None) -> None:
        """body(place in the panels, row, column, width) for every row of every tile.

        whole: (place, row, column), for rows of tiles inside the matrix that are as wide as `moves` wants.
        """
        b = self.scope.builder(1)
        (m, n), (height, width) = self.tile, self.shape

        def tiles_in(runs, size, side, each) -> None:
            """each(first tile, tiles, elements inside the matrix) for every panel of `runs`."""
            for start, stop, count in runs:
                whole = start + max(0, (min(stop * side, size) // side - start) // count * count)

                def turn(at, _carried, count=count):
                    each(at, count, count * side)
                    return []

                loop(b, start, whole, count, [], turn)
                if whole < stop:
                    each(b.const(whole), count, size - whole * side)

        def across(q: Uniform, columns: int, inside_columns: int) -> None:
            def down(p: Uniform, rows: int, inside_rows: int) -> None:
                first = self._first(b, p, rows, q)
                panel = panel_layouts.sums(self.tile, (rows, columns))

                def row_of_tiles(i: Uniform, present: int) -> None:
                    begin = b.add(b.mul(first, b.const(m * n)), b.mul(i, b.const(panel.size // rows)))
                    top = b.mul(b.add(p, i), b.const(m))
                    left = b.mul(q, b.const(n))
                    if whole and present == m and columns * n == inside_columns == self.moves.columns * n:
                        whole(begin, top, left)
                        return
                    for r in range(present):
                        for j in range(-(-inside_columns // n)):
                            for start, _, lanes in _runs(min(n, inside_columns - j * n), n):
                                at = b.add(begin, b.const(panel(r, j * n + start)))
                                body(at, b.add(top, b.const(r)), b.add(left, b.const(j * n + start)), lanes)

                def turn(i: Uniform, _carried: list) -> list:
                    row_of_tiles(i, m)
                    return []

                loop(b, 0, inside_rows // m, 1, [], turn)
                if inside_rows % m:
                    row_of_tiles(b.const(inside_rows // m), inside_rows % m)

            tiles_in(self.down, height, m, down)

        tiles_in(self.across, width, n, across)


def _runs(size: int, width: int) -> list[tuple[int, int, int]]:
    """Like `pieces`, with each chunk by itself."""
    return [
        (at, at + lanes, lanes)
        for start, stop, lanes in pieces(size, width)
        for at in range(start, stop, lanes)
    ]


def converted(vector, element):
    """To a wider or a narrower element type of the same kind."""
    given = vector.type.element_type
    if given == element:
        return vector
    type = ir.VectorType.get(vector.type.shape, element)
    wider = element.width > given.width
    if isinstance(element, ir.FloatType):
        return create("arith.extf" if wider else "arith.truncf", type, [vector])
    return create("arith.extsi" if wider else "arith.trunci", type, [vector])
