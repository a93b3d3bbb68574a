"""The panels of a matrix engine as layouts: where each element of a factor, or of the sums, lies.

`PanelKernel` (vertebra.core.target) says what panels are; these functions are the only other place
that knows it.  Offsets count elements.
"""

from vertebra.core.layout.layout import Layout
from vertebra.core.layout.tiling import as_pack


def factor(tile: tuple[int, int], height: int, steps: int, panels: int = 1) -> Layout:
    """A factor, (along M or N, along K) -> offset: `panels` panels of `height` tiles, `steps` steps each.

    tile: elements along either side, those along K next to each other.
    """
    (m, k), area = tile, tile[0] * tile[1]
    return Layout(
        ((m, height, panels), (k, steps)),
        ((k, area, steps * height * area), (1, height * area)),
    )


def sums(tile: tuple[int, int], grid: tuple[int, int], panels: tuple[int, int] = (1, 1)) -> Layout:
    """Sums, (row, column) -> offset: panels of `grid` tiles row by row, a row of panels after the other."""
    (m, n), (rows, columns), (down, across) = tile, grid, panels
    tiles = Layout(((rows, down), (columns, across)), _tile_strides(grid, panels))
    area = m * n
    (r, d), (c, a) = tiles.stride
    return Layout(
        ((m, rows, down), (n, columns, across)),
        ((n, r * area, d * area), (1, c * area, a * area)),
    )


def _tile_strides(grid: tuple[int, int], panels: tuple[int, int]):
    """Tiles in grids are a packed tensor with tiles of the grid's size."""
    packed = as_pack([g * p for g, p in zip(grid, panels, strict=True)], grid)
    return packed.stride
