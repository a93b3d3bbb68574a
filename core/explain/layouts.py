"""Which element sits where: packed matrices, and the operands of the instructions that multiply them."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

import attrs
import numpy as np

from vertebra.core.layout.picture import colour
from vertebra.core.target import Core

# Pixels of a cell with a number in it, and of one without; cells beyond these counts are left out.
_CELL, _SMALL = 30, 10
_NUMBERED, _MOST = 20, 64
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
        sizes = dict(self.inner)
        counts = {d: -(-extent // sizes.get(d, 1)) for d, extent in enumerate(self.shape)}
        index = np.indices(self.shape)
        slot = np.zeros(self.shape, np.int64)
        for d in self.outer:
            slot = slot * counts[d] + index[d] // sizes.get(d, 1)
        for d, size in self.inner:
            slot = slot * size + index[d] % size
        return slot


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


def pictures(packings: Sequence[Packing], products: Sequence[Product], core: Core) -> list[Picture]:
    """Of every packing, then of the operands of what multiplies on `core`, where it has more than vectors."""
    return [_of_packing(p, core) for p in packings] + [x for p in products for x in _of_product(p, core)]


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
        f"Each cell is an element of the matrix, here the first {shown[0]} rows and {shown[1]} columns; the "
        f"number is its slot in the packed value, the colour its tile of {per} neighbouring slots.",
        grid(owner[: shown[0], : shown[1]], slots[: shown[0], : shown[1]], "row", "column", "tile"),
    )


def _of_product(product: Product, core: Core) -> list[Picture]:
    from vertebra.core import hooks, pipeline

    found = []
    for kernel in pipeline.panel_kernels_of(core):
        if _matches(kernel, product):
            found.append((kernel.name, kernel.tile, kernel))
    for kernel in pipeline.micro_kernels_of(core):
        if _matches(kernel, product):
            found.append((kernel.name, kernel.shape, kernel))
    if not found:
        return []
    name, (m, n, k), kernel = found[0]
    tile = next((t for t in hooks.matrix_tiles(core) if t.instruction == name), None)
    operands = (
        ("A", kernel.a, (m, k), "row", "k", False, tile and tile.a_registers),
        ("B", kernel.b, (k, n), "k", "column", True, tile and tile.b_registers),
        ("sums", kernel.acc, (m, n), "row", "column", False, tile and tile.acc_registers),
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
        "the number is the slot, the colour the register.",
        grid(registers[:_MOST, :_MOST], slots[:_MOST, :_MOST], rows, columns, "register"),
    )


def grid(owners: np.ndarray, slots: np.ndarray, rows: str, columns: str, owner: str) -> str:
    """An SVG of one cell per element, with its slot in it where there is room; a tooltip says it all."""
    count, width = owners.shape
    cell = _CELL if max(count, width) <= _NUMBERED else _SMALL
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * cell + 1} {count * cell + 1}"'
        f' width="{width * cell + 1}" height="{count * cell + 1}" role="img">'
    ]
    for r in range(count):
        for c in range(width):
            o, slot = int(owners[r, c]), int(slots[r, c])
            tip = escape(f"{rows} {r}, {columns} {c}: slot {slot}, {owner} {o}")
            parts.append(
                f'<rect x="{c * cell + 0.5}" y="{r * cell + 0.5}" width="{cell}" height="{cell}"'
                f' fill="{colour(o)}"><title>{tip}</title></rect>'
            )
            if cell == _CELL:
                parts.append(f'<text x="{c * cell + cell / 2}" y="{r * cell + cell / 2 + 4}">{slot}</text>')
    return "".join([*parts, "</svg>"])
