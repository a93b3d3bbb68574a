"""Which element sits where: packed matrices, and the operands of the instructions that multiply them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from xml.sax.saxutils import escape

import attrs
import numpy as np

from vertebra.core.layout.picture import colour
from vertebra.core.layout.tiling import as_pack
from vertebra.core.roofline.machine_code import Step
from vertebra.core.target import Core, MicroKernel, PanelKernel

# Pixels of a cell with a number in it, and of one without; cells beyond these counts are left out.
_CELL, _SMALL = 30, 10
_NUMBERED, _MOST = 32, 64
# Owners that the legend names, and the pixels of a line of it.
_LEGEND, _LINE, _LEGEND_WIDTH = 8, 18, 120
_WIDTHS = {"i4": 4, "i8": 8, "ui8": 8, "i16": 16, "f16": 16, "bf16": 16, "i32": 32, "f32": 32, "f64": 64}
_WIDTHS |= {"i64": 64, "ui4": 4, "ui16": 16, "ui32": 32}


@attrs.frozen
class Picture:
    """title, and what it shows, in words; svg: the picture."""

    title: str
    text: str
    svg: str


@attrs.frozen
class Packing:
    """A linalg.pack: a matrix of `shape` elements, `kind` their type, in tiles.

    inner: (dimension, size) of the tiles, the slowest one first.  outer: the order of the tiles' dimensions.
    """

    shape: tuple[int, ...]
    kind: str
    inner: tuple[tuple[int, int], ...]
    outer: tuple[int, ...]

    def slots(self) -> np.ndarray:
        """Element -> its place in the packed value, counted in elements; of the matrix's own shape."""
        dims, tiles = zip(*self.inner, strict=True)
        layout = as_pack(self.shape, tiles, inner=dims, outer=self.outer)
        whole = layout.offsets().reshape([mode.size for mode in layout.modes], order="F")
        return whole[tuple(map(slice, self.shape))]


@attrs.frozen
class Product:
    """A product of matrices.  a, b, acc: the names of the element types of its operands."""

    a: str
    b: str
    acc: str


def packings_and_products(module) -> tuple[list[Packing], list[Product]]:
    """The different ones in a module at stage `linalg`, in order; packs of rank 2 and static shape."""
    from vertebra.core.mlir import ir

    packings, products = [], []

    def visit(op):
        name = op.name
        if name == "linalg.pack":
            source = op.operands[0].type
            static = list(op.attributes["static_inner_tiles"])
            if source.has_static_shape and source.rank == 2 and min(static) > 0:
                dims = list(op.attributes["inner_dims_pos"])
                order = list(op.attributes["outer_dims_perm"]) if "outer_dims_perm" in op.attributes else []
                packings.append(
                    Packing(
                        tuple(source.shape),
                        str(source.element_type),
                        tuple(zip(dims, static, strict=True)),
                        tuple(order or range(source.rank)),
                    )
                )
        elif name in ("linalg.mmt4d", "linalg.matmul", "linalg.batch_matmul", "linalg.contract"):
            products.append(Product(*(str(operand.type.element_type) for operand in list(op.operands)[:3])))
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return list(dict.fromkeys(packings)), list(dict.fromkeys(products))


def pictures(
    packings: Sequence[Packing],
    products: Sequence[Product],
    core: Core,
    multiplies: Callable[[str], bool] = lambda name: True,
) -> list[Picture]:
    """Of every packing, then of the operands of what multiplies on `core`, where it has more than vectors.

    multiplies: whether the machine code has the instruction of that name.
    """
    return [_of_packing(p, core) for p in packings] + [
        x for p in products for x in _of_product(p, core, multiplies)
    ]


def multipliers(steps: Iterable[Step], records: Collection[str]) -> Callable[[str], bool]:
    """Whether `steps`, all of a kernel's machine code, have the instruction that a matrix kernel is named by.

    records: names of the instructions that have a record; a step of any other is known by its mnemonic, which
    holds the name without the width that follows it.
    """
    steps = list(steps)
    names = {step.matrix.name for step in steps if step.matrix is not None}
    mnemonics = {step.mnemonic for step in steps}

    def multiplies(name: str) -> bool:
        instruction, *_ = name.split()  # what follows is its mode
        if instruction in records:
            return instruction in names
        stem = instruction.rpartition(".")[0] or instruction
        return any(stem in mnemonic for mnemonic in mnemonics)

    return multiplies


def _of_packing(packing: Packing, core: Core) -> Picture:
    rows, columns = packing.shape
    sizes = dict(packing.inner)
    tile = [sizes.get(d, 1) for d in range(2)]
    slots = packing.slots()
    # A few tiles tell it all.
    shown = tuple(
        min(extent, max(2 * size, 8), _MOST) for extent, size in zip(packing.shape, tile, strict=True)
    )
    per = int(np.prod(tile))
    owner = slots // per
    return Picture(
        f"{rows} x {columns} {packing.kind} packed in tiles of {tile[0]} x {tile[1]}",
        f"Each cell is an element of the matrix, here the first {shown[0]} rows and {shown[1]} columns; "
        f"{_said(shown)} its slot in the packed value, the colour its tile of {per} neighbouring slots.",
        grid(owner[: shown[0], : shown[1]], slots[: shown[0], : shown[1]], "row", "column", "tile"),
    )


def _of_product(product: Product, core: Core, multiplies: Callable[[str], bool]) -> list[Picture]:
    from vertebra.core import hooks, pipeline

    found: list[tuple[str, tuple[int, int, int], PanelKernel | MicroKernel]] = []
    found += [(k.name, k.tile, k) for k in pipeline.panel_kernels_of(core) if _matches(k, product)]
    found += [(k.name, k.shape, k) for k in pipeline.micro_kernels_of(core) if _matches(k, product)]
    found = [each for each in found if multiplies(each[0])]
    if not found:
        return []
    name, (m, n, k), kernel = found[0]
    types = kernel.a, kernel.b, kernel.acc
    rows_of = (t for t in hooks.matrix_tiles(core) if t.instruction in (name, name.split()[0]))
    tile = next((t for t in rows_of if t.takes(*types)), None)
    accumulators = tile and (tile.acc_registers or 1)  # none, where sums have registers of their own
    operands = (
        ("A", kernel.a, (m, k), "row", "k", False, tile and tile.a_registers),
        ("B", kernel.b, (k, n), "k", "column", True, tile and tile.b_registers),
        ("sums", kernel.acc, (m, n), "row", "column", False, accumulators),
    )
    return [
        _of_operand(
            f"{name}: {what}, {kind}",
            shape,
            rows,
            columns,
            by_column,
            count or max(1, shape[0] * shape[1] * _WIDTHS[kind] // core.vlen),
        )
        for what, kind, shape, rows, columns, by_column, count in operands
    ]


def _matches(kernel, product: Product) -> bool:
    """Whether its types are those of `product`; narrower factors are widened while they are packed."""
    same = kernel.acc == product.acc and kernel.a.removeprefix("u") == product.a
    return same and kernel.b.removeprefix("u") == product.b


def _of_operand(title: str, shape, rows: str, columns: str, by_column: bool, count: int) -> Picture:
    """count: registers that the operand fills, one after the other."""
    slots = np.arange(shape[0] * shape[1]).reshape(shape, order="F" if by_column else "C")
    registers = slots // -(-slots.size // count)
    order = "column by column" if by_column else "row by row"
    return Picture(
        title,
        f"{shape[0]} x {shape[1]} elements, {order}, in {count} register{'s' if count > 1 else ''}; "
        f"{_said(shape)} the slot, the colour the register.",
        grid(registers[:_MOST, :_MOST], slots[:_MOST, :_MOST], rows, columns, "register"),
    )


def _said(shape: tuple[int, ...]) -> str:
    return "the number is" if max(shape) <= _NUMBERED else "pointing at it tells"


def grid(owners: np.ndarray, slots: np.ndarray, rows: str, columns: str, owner: str) -> str:
    """An SVG of one cell per element, with its slot in it where there is room, and a legend of owners.

    A tooltip says it all.
    """
    count, width = owners.shape
    cell = _CELL if max(count, width) <= _NUMBERED else _SMALL
    shades = {int(o): colour(n) for n, o in enumerate(np.unique(owners))}  # those beside each other differ
    named = list(shades)[:_LEGEND]
    high, wide = count * cell + 1 + 8 + _LINE * len(named), max(width * cell + 1, _LEGEND_WIDTH)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
        ' role="img">'
    ]
    for r in range(count):
        for c in range(width):
            o, slot = int(owners[r, c]), int(slots[r, c])
            tip = escape(f"{rows} {r}, {columns} {c}: slot {slot}, {owner} {o}")
            parts.append(
                f'<rect x="{c * cell + 0.5}" y="{r * cell + 0.5}" width="{cell}" height="{cell}"'
                f' fill="{shades[o]}"><title>{tip}</title></rect>'
            )
            if cell == _CELL:
                parts.append(f'<text x="{c * cell + cell / 2}" y="{r * cell + cell / 2 + 4}">{slot}</text>')
    for line, o in enumerate(named):
        y = count * cell + 9 + _LINE * line
        parts.append(f'<rect x="0.5" y="{y}" width="12" height="12" fill="{shades[o]}"/>')
        parts.append(f'<text class="legend" x="18" y="{y + 10}">{owner} {o}</text>')
    return "".join([*parts, "</svg>"])
