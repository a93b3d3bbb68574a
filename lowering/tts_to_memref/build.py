"""Short ways to build memref operations whose sizes, offsets and strides are numbers where they are known."""

from typing import NamedTuple

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts.emit import Emitter
from vertebra.lowering.tt_to_tts.expr import Expr, Table

DYNAMIC = ir.ShapedType.get_dynamic_size()
_STRIDE = ir.ShapedType.get_dynamic_stride_or_offset()
VIEW = "__vertebra_view_"


class View(NamedTuple):
    """A strided memref: element (i0, i1, ...) is `offset + sum of strides[d] * i_d` of what it views."""

    value: ir.Value
    offset: Expr
    strides: list[Expr]
    sizes: list[Expr]


class Builder:
    """Makes operations before an operation `at`; index arithmetic goes as far out as it can."""

    def __init__(self, module, table: Table, emitter: Emitter):
        self.module, self.table, self.emitter = module, table, emitter
        self.index = emitter.index
        self._views: dict[str, str] = {}

    def op(self, name: str, results, operands, at, regions: int = 0, **attributes) -> ir.Operation:
        """A new operation just before `at`."""
        return ir.Operation.create(
            name,
            list(results),
            list(operands),
            attributes,
            regions=regions,
            loc=at.location,
            ip=ir.InsertionPoint(at),
        )

    def emit(self, expr: Expr, at) -> ir.Value:
        return self.emitter.emit(expr, at)

    def constant(self, attribute: ir.Attribute, at) -> ir.Value:
        return self.op("arith.constant", [attribute.type], [], at, value=attribute).result

    def zero(self, kind: ir.Type, at) -> ir.Value:
        """0 of a scalar type."""
        if isinstance(kind, ir.IntegerType | ir.IndexType):
            return self.constant(ir.IntegerAttr.get(kind, 0), at)
        return self.constant(ir.FloatAttr.get(kind, 0.0), at)

    def _mixed(self, exprs: list[Expr], at, sentinel: int) -> tuple[list[int], list[ir.Value]]:
        static = [e if isinstance(e, int) else sentinel for e in exprs]
        return static, [self.emit(e, at) for e in exprs if not isinstance(e, int)]

    def reinterpret(self, base: ir.Value, offset: Expr, sizes: list[int], strides: list[Expr], at) -> View:
        """A strided view of a flat memref."""
        kind = _strided(base.type.element_type, sizes, strides, offset)
        return self._slice("memref.reinterpret_cast", base, kind, View(base, offset, strides, sizes), at)

    def _slice(self, name: str, source: ir.Value, kind: ir.Type, view: View, at, lows=None) -> View:
        offsets = [view.offset] if lows is None else lows
        steps = view.strides if lows is None else [1] * len(view.sizes)
        parts = [self._mixed(e, at, DYNAMIC) for e in (offsets, view.sizes, steps)]
        if not all(_shows(o) for o in offsets if isinstance(o, int)):
            parts[0] = [DYNAMIC] * len(offsets), [self.emit(o, at) for o in offsets]
        attributes = dict(
            zip(
                ("static_offsets", "static_sizes", "static_strides"),
                (ir.DenseI64ArrayAttr.get(static) for static, _ in parts),
                strict=True,
            )
        )
        groups = [[source], *(values for _, values in parts)]
        attributes["operandSegmentSizes"] = ir.DenseI32ArrayAttr.get([len(g) for g in groups])
        made = self.op(name, [kind], [v for g in groups for v in g], at, **attributes)
        return view._replace(value=made.result)

    def subview(self, view: View, lows: list[Expr], sizes: list[Expr], at) -> View:
        """The elements low <= i < low + size of a view."""
        offset = view.offset
        for low, stride in zip(lows, view.strides, strict=True):
            offset = offset + low * stride
        if not _is_static(view.value.type, offset):
            offset = None
        kind = _strided(view.value.type.element_type, sizes, view.strides, offset)
        part = View(view.value, offset, view.strides, sizes)
        return self._slice("memref.subview", view.value, kind, part, at, lows)

    def alloc(self, shape: list[int], element: ir.Type, at) -> View:
        """A new buffer, rows one after the other."""
        kind = ir.MemRefType.get(shape, element)
        groups = ir.DenseI32ArrayAttr.get([0, 0])
        value = self.op("memref.alloc", [kind], [], at, operandSegmentSizes=groups).result
        strides = [1]
        for size in reversed(shape[1:]):
            strides.insert(0, strides[0] * size)
        return View(value, 0, strides, list(shape))

    def extract_slice(self, tensor: ir.Value, lows: list[Expr], sizes: list[Expr], at) -> ir.Value:
        """The elements low <= i < low + size of a tensor."""
        shape = [s if isinstance(s, int) else DYNAMIC for s in sizes]
        kind = ir.RankedTensorType.get(shape, tensor.type.element_type)
        part = View(tensor, 0, [1] * len(sizes), sizes)
        return self._slice("tensor.extract_slice", tensor, kind, part, at, lows).value

    def fill(self, value: ir.Value, buffer: ir.Value, at) -> None:
        """Writes one scalar to all of a buffer."""
        groups = ir.DenseI32ArrayAttr.get([1, 1])
        op = self.op("linalg.fill", [], [value, buffer], at, regions=1, operandSegmentSizes=groups)
        kind = value.type
        block = op.regions[0].blocks.append(kind, kind, arg_locs=[op.location, op.location])
        ir.Operation.create(
            "linalg.yield", [], [block.arguments[0]], loc=op.location, ip=ir.InsertionPoint(block)
        )

    def view_of_address(self, address: ir.Value, element: ir.Type, at) -> ir.Value:
        """The memory from an address on, as a flat memref."""
        kind = ir.MemRefType.get([DYNAMIC], element)
        callee = ir.FlatSymbolRefAttr.get(self._view_function(kind))
        return self.op("func.call", [kind], [address], at, callee=callee).result

    def _view_function(self, kind: ir.MemRefType) -> str:
        name = VIEW + str(kind.element_type)
        if name not in self._views:
            block = self.module.body
            for view in block.operations:
                if "sym_name" in view.operation.attributes:
                    self._views[ir.StringAttr(view.operation.attributes["sym_name"]).value] = name
        if name not in self._views:
            self._views[name] = name
            function = ir.FunctionType.get([self.emitter.i64], [kind])
            ir.Operation.create(
                "func.func",
                attributes={
                    "sym_name": ir.StringAttr.get(name),
                    "function_type": ir.TypeAttr.get(function),
                    "sym_visibility": ir.StringAttr.get("private"),
                },
                regions=1,
                ip=ir.InsertionPoint.at_block_begin(block),
            )
        return name


def _is_static(kind: ir.MemRefType, offset: Expr) -> bool:
    """Whether the offset of a part of a memref of type `kind` shows in its type: where the whole's does."""
    _, own = kind.get_strides_and_offset()
    return _shows(offset) and own != _STRIDE


def _shows(offset: Expr | None) -> bool:
    """Whether an offset can stand in attributes and in types: MLIR wants none negative there."""
    return isinstance(offset, int) and offset >= 0


def _strided(element: ir.Type, sizes: list[Expr], strides: list[Expr], offset: Expr | None) -> ir.MemRefType:
    layout = ir.StridedLayoutAttr.get(
        offset if _shows(offset) else _STRIDE,
        [s if isinstance(s, int) else _STRIDE for s in strides],
    )
    return ir.MemRefType.get([s if isinstance(s, int) else DYNAMIC for s in sizes], element, layout)
