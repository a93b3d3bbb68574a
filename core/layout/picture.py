"""Pictures of layouts: both ends of a transfer as SVG.

The hue of an element says which thread owns it, the lightness with which of its accesses it moves:
a swizzle shows as the same shades in another order in every row.
"""

from xml.sax.saxutils import escape

from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.plan import Accesses, Plan

# Pixels: of a panel's drawing area, of its margin and of a line of text.
_PANEL, _MARGIN, _LINE = 640, 28, 14
# Bytes in a row of a memory's picture, where its banks do not say.
_ROW = 128
# An element's key in a picture: owner * _MOVES + access, or -1 where nothing lies.
_MOVES = 1 << 16


def svg(plan: Plan) -> str:
    """Left the source tile, right the destination, each element in its owner's colour."""
    import numpy as np

    source, destination = plan.source, plan.destination
    owner = owners_of(source) * _MOVES + accesses_of(plan)
    left = owner.reshape(source.shape[0], -1, order="F")
    letter = "T" if source.owners is not None else "v" if source.space.kind == "vector" else "chunk "
    panels = [_panel(f"{source.name}: element (m, n)", left, "m", "n", 0, letter)]
    if destination.space.kind == "registers":
        right = (owners_of(destination) * _MOVES).reshape(destination.shape[0], -1, order="F")
        panels.append(_panel(f"{destination.name}: element (m, n)", right, "m", "n", 1, "T"))
    else:
        bits = bits_of(destination.dtype)
        space = destination.space
        row = space.bits // 8 if space.kind == "vector" else space.banks.row if space.banks else _ROW
        at = destination.bit_addresses(bits) // bits
        if space.lane_bytes:
            per = space.lane_bytes * 8 // bits
            row = -(-int((at % per).max() + 1) * bits // 8)
            at = at // per * (row * 8 // bits) + at % per
        per = max(1, row * 8 // bits)
        grid = np.full(-(-int(at.max() + 1) // per) * per, -1, np.int64)
        grid[at] = owner
        rows = f"x {row} bytes"
        panels.append(
            _panel(f"{destination.name}: address", grid.reshape(-1, per), rows, "elements", 1, letter)
        )
    height = max(h for _, h in panels)
    body = "".join(text for text, _ in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * (_PANEL + 2 * _MARGIN)}" height="{height}"'
        f' font-family="sans-serif" font-size="{_LINE - 3}">\n'
        '<rect width="100%" height="100%" fill="white"/>\n'
        f"{body}</svg>\n"
    )


def owners_of(operand: Operand):
    """The thread (or vector register) that holds each element, by logical index; memory: its 16 bytes."""
    import numpy as np

    if operand.owners is not None:
        table = operand.owners.table()
        owner = np.zeros(int(table.max()) + 1, np.int64)
        owner[table[::-1]] = np.arange(len(table))[::-1, None]
        return owner
    addresses = operand.bit_addresses(bits_of(operand.dtype))
    return addresses // (operand.space.bits or 128)


def accesses_of(plan: Plan):
    """Which of its owner's accesses moves each element, by logical index; 0 where there are none."""
    import numpy as np

    source = plan.source if plan.source.owners is not None else plan.destination
    if not isinstance(plan.body, Accesses) or source.owners is None:
        return 0
    table = source.owners.table()
    access = np.zeros(int(table.max()) + 1, np.int64)
    for i, move in enumerate(plan.body.moves):
        access[table[:, list(move.values)]] = i
    return access


def colour(owner: int, access: int = 0) -> str:
    """A hue per owner, the eight of a row of swizzled chunks far apart; a lightness per access."""
    if owner < 0:
        return "#f4f4f4"
    hue = owner * 45 + owner // 8 * 7
    return f"hsl({hue % 360} 65% {38 + access % 8 * 6}%)"


def _height(count: int, cell: float) -> float:
    """Of a row of `count` with cells of width `cell`."""
    most = 2 * _PANEL / count
    return max(2.0, min(max(cell, 5, _PANEL / 4 / count), 24, most))


def _panel(title: str, grid, rows: str, columns: str, which: int, letter: str) -> tuple[str, int]:
    """One panel's SVG and the height that it needs; neighbours of one owner are one rectangle."""
    count, width = grid.shape
    x0 = which * (_PANEL + 2 * _MARGIN) + _MARGIN
    y0 = _MARGIN + _LINE
    cell = _PANEL / width
    tall = _height(count, cell)
    parts = [
        f'<text x="{x0}" y="{_LINE + 4}" font-weight="bold">{escape(title)}</text>\n',
        f'<text x="{x0}" y="{_MARGIN + _LINE - 4}">{count} {rows} down, {width} {columns} across</text>\n',
    ]
    for r, line in enumerate(grid.tolist()):
        begin = 0
        for c in range(1, width + 1):
            if c < width and line[c] == line[begin]:
                continue
            x, y, w = x0 + begin * cell, y0 + r * tall, (c - begin) * cell
            owner, access = divmod(line[begin], _MOVES)
            name = f"{letter}{owner}" + f".{access}" * (letter == "T") if owner >= 0 else "free"
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{tall:.1f}"'
                f' fill="{colour(owner, access)}" stroke="#777" stroke-width="0.2">'
                f"<title>{name}, row {r}, {begin} to {c - 1}</title></rect>\n"
            )
            if w > 22 and tall > 9:
                ink = "black" if owner < 0 or access % 8 > 2 else "white"
                at = f'x="{x + 2:.1f}" y="{y + tall / 2 + 3:.1f}" font-size="8" fill="{ink}"'
                parts.append(f"<text {at}>{name}</text>\n")
            begin = c
    return "".join(parts), int(y0 + count * tall + _MARGIN)
