"""Operands of the unit as layouts: packed squares in matrix registers, and the forms of loads and stores.

A register of this file is what holds a square of the widest type: one matrix register, or a group of them
where the unit type is narrower.  Its inside is the draft's `.rm` order: square after square, row by row.
"""

import functools

from vertebra.core.layout import planner
from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.names import MEMORY
from vertebra.core.layout.operand import Family, Operand, Space
from vertebra.core.layout.registers import Operation
from vertebra.core.layout.tiling import whole_tiles
from vertebra.core.layout.transfers import STRIDE, Form
from vertebra.plugins.ame.geometry import WIDEST, Geometry

# (types of A and B, of the sums), and the conversions of sums to them.
_PRODUCTS = (("i8", "i32"), ("f16", "f32"), ("bf16", "f32"), ("f32", "f32"))


def _register_bits(g: Geometry) -> int:
    return g.n * g.n * max(g.u, WIDEST)


def _squares(g: Geometry, bits: int) -> int:
    """Squares of a type that a register of this file has room for."""
    return max(g.u, WIDEST) // bits


def conversion(g: Geometry, wide: str, narrow: str) -> Operation:
    """mconv.ew of squares of sums into one operand of a narrower type."""
    area, size = g.n * g.n, bits_of(narrow) // 8
    per, pack = _squares(g, bits_of(wide)), g.pack(bits_of(narrow))
    inputs = -(-pack // per)
    # Integers keep their low bytes: an element is then the first of the narrow ones in a wide one's place.
    scale = 1 if wide[0] == "f" else bits_of(wide) // bits_of(narrow)
    sources = [(s // per, (s % per * area + e) * scale) for s in range(pack) for e in range(area)]
    free = [None] * ((_squares(g, bits_of(narrow)) - pack) * area)
    span = "{0}" if inputs == 1 else f"{{0}}:{{{inputs - 1}}}"
    converts = (wide, narrow) if wide[0] == "f" else None
    name = f"mconv.ew {wide} {narrow}"
    return Operation(name, inputs, size, (*sources, *free), (f"mconv.ew {{d}}, {span}",), converts)


def forms(g: Geometry, bits: int) -> tuple[Form, ...]:
    """The loads and stores of a type: .rm, .cm, .st, .tst and, of one register, .1r."""
    n, pack = g.n, g.pack(bits)
    patterns = {
        "rm": (1, n, n * n),
        "cm": (n, 1, n * n),
        "st": (1, STRIDE, n),
        "tst": (STRIDE, 1, STRIDE * n),
    }
    if bits <= g.u:
        patterns["1r"] = patterns["rm"]
    return tuple(
        Form(f"mls.{name}", f"mss.{name}", bits, Layout((n, n, pack), strides))
        for name, strides in patterns.items()
    )


def space_of(g: Geometry, name: str) -> Space:
    """The matrix registers of a unit."""
    narrowed = [conversion(g, acc, kind) for kind, acc in _PRODUCTS if kind != acc]
    kinds = sorted({bits_of(kind) for pair in _PRODUCTS for kind in pair})
    return Space(
        f"{name}.registers",
        "vector",
        group=1,
        bits=_register_bits(g),
        operations=tuple(narrowed),
        transfers=tuple(form for bits in kinds for form in forms(g, bits)),
    )


def whole_tile(g: Geometry, bits: int) -> Layout:
    """A tile of A as .rm reads it from memory: (row, k) -> element."""
    n = g.n
    return Layout((n, (n, g.pack(bits))), (n, (1, n * n)))


@functools.cache
def load_of(g: Geometry, bits: int, turned: bool, whole: bool) -> str:
    """The load, by the planner, of a tile of A, or of B's transpose, that lies as a `StridedOperand` says."""
    shape = rows, k = g.n, g.n * g.pack(bits)
    # Lines of a larger matrix: twice as far apart as they are long.
    lines = Layout(shape, (1, 2 * rows) if turned else (2 * k, 1))
    registers = Space("registers", "vector", bits=_register_bits(g), transfers=forms(g, bits))
    inside = Operand("tile", shape, f"u{bits}", registers, whole_tile(g, bits))
    outside = Operand("memory", shape, f"u{bits}", MEMORY, whole_tile(g, bits) if whole else lines)
    return planner.plan(outside, inside).method


def families(g: Geometry, name: str) -> list[Family]:
    """Named `name`.A.i8, ...: A, B and C in registers, and tiles in memory by the form that loads them."""
    space, n, found = space_of(g, name), g.n, []

    def operand(role: str, dtype: str, contraction: int | None, turned: bool) -> Family:
        bits = bits_of(dtype)
        squares = _squares(g, bits) if role == "C" else g.pack(bits)
        tile, slot = (n, squares * n), _squares(g, bits) * n * n
        title = f"{name}.{role}.{dtype}"

        def make(shape) -> Operand:
            rows, columns = shape[::-1] if turned else shape
            down, across = whole_tiles(title, (rows, columns), tile)
            along = Layout((n, down), (n, slot * across))
            deep = Layout((n, squares, across), (1, n * n, slot))
            both = (deep, along) if turned else (along, deep)
            layout = Layout(tuple(x.shape for x in both), tuple(x.stride for x in both))
            return Operand(title, shape, dtype, space, layout, contraction=contraction)

        shape = tile[::-1] if turned else tile
        count = f"{squares} squares" if squares > 1 else "one square"
        text = f"{role}, {count} of {n}x{n} in a register, units of {g.u} bits"
        return Family(title, shape, make, text)

    for dtype, _ in _PRODUCTS:
        found += [operand("A", dtype, 1, False), operand("B", dtype, 0, True)]
        found += [_in_memory(g, name, form, dtype) for form in forms(g, bits_of(dtype))]
    found += [operand("C", acc, None, False) for acc in dict.fromkeys(acc for _, acc in _PRODUCTS)]
    return found


def _in_memory(g: Geometry, name: str, form: Form, dtype: str) -> Family:
    """A tile of A (transposed: of B) as `form` reads it, lines without gaps."""
    n, pack, kind = g.n, form.pattern.shape[2], form.load.partition(".")[2]
    title = f"{name}.{kind}.{dtype}"

    def make(shape) -> Operand:
        down, across = whole_tiles(title, shape, (n, pack * n))
        area = n * n * pack
        lines = {
            "rm": ((n, n * n * pack * across), (1, n * n, area)),
            "cm": ((1, n * n * pack * across), (n, n * n, area)),
            "st": ((shape[1], n * shape[1]), (1, n, pack * n)),
            "tst": ((1, n), (shape[0], n * shape[0], pack * n * shape[0])),
        }
        rows, columns = lines["rm" if kind == "1r" else kind]
        layout = Layout(((n, down), (n, pack, across)), (rows, columns))
        return Operand(title, shape, dtype, MEMORY, layout)

    return Family(title, (n, pack * n), make, f"memory that {form.load} reads")
