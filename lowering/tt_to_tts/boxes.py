"""Bounds as mask tensors, for operations that take nothing else."""

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts.accesses import Access, Bounds
from vertebra.lowering.tt_to_tts.emit import PREDICATES
from vertebra.lowering.tt_to_tts.expr import Expr
from vertebra.lowering.tt_to_tts.write import Writer


def row_mask(writer: Writer, op, access: Access) -> ir.Value:
    """Where the row number is one of the array's and the column is within bounds."""
    shape = access.pointers.form.shape
    inside = _between(writer, op, op.opview.x_offsets, 0, access.rows)
    total = _along(writer, op, inside, shape, 0)
    if access.bounds is None:
        return total
    return _and(writer, op, total, box(writer, op, shape, access.bounds))


def box(writer: Writer, op, shape: tuple[int, ...], bounds: Bounds) -> ir.Value:
    """Where lo <= i < hi in every dimension, as a tensor of i1 before operation `op`."""
    total = None
    i32 = ir.IntegerType.get_signless(32)
    for d, (lo, hi) in enumerate(bounds):
        kind = ir.RankedTensorType.get([shape[d]], i32)
        ends = {"start": ir.IntegerAttr.get(i32, 0), "end": ir.IntegerAttr.get(i32, shape[d])}
        line = writer.create("tt.make_range", kind, at=op, **ends)
        part = _along(writer, op, _between(writer, op, line, lo, hi), shape, d)
        total = part if total is None else _and(writer, op, total, part)
    return total


def _between(writer: Writer, op, values: ir.Value, lo: Expr, hi: Expr) -> ir.Value:
    """lo <= values < hi for a 1-D tensor of integers."""
    size = list(values.type.shape)
    wide = ir.RankedTensorType.get(size, writer.i64)
    values = writer.create("arith.extsi", wide, values, at=op)
    parts = []
    for predicate, bound in (("sge", lo), ("slt", hi)):
        number = writer.create("arith.index_cast", writer.i64, writer.emit(bound, op), at=op)
        limit = writer.create("tt.splat", wide, number, at=op)
        code = ir.IntegerAttr.get(writer.i64, PREDICATES[predicate])
        kind = ir.RankedTensorType.get(size, writer.i1)
        parts.append(writer.create("arith.cmpi", kind, values, limit, at=op, predicate=code))
    return _and(writer, op, *parts)


def _and(writer: Writer, op, a: ir.Value, b: ir.Value) -> ir.Value:
    return writer.create("arith.andi", a.type, a, b, at=op)


def _along(writer: Writer, op, line: ir.Value, shape: tuple[int, ...], d: int) -> ir.Value:
    """A 1-D mask along dimension d of `shape`."""
    i32 = ir.IntegerType.get_signless(32)
    now = [shape[d]]
    for axis in range(len(shape)):
        if axis != d:
            now.insert(axis, 1)
            kind = ir.RankedTensorType.get(now, writer.i1)
            line = writer.create("tt.expand_dims", kind, line, at=op, axis=ir.IntegerAttr.get(i32, axis))
    if now == list(shape):
        return line
    return writer.create("tt.broadcast", ir.RankedTensorType.get(list(shape), writer.i1), line, at=op)
