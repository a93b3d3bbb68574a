"""The elements of vectors in other orders, as panels need them."""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.packing import interleaved as shuffled

_MOST_INTERLEAVED = 8  # vectors, by one operation


def as_vector(b: Builder, chunk):
    """A vector, of one lane too."""
    if b.width > 1:
        return b.vector(chunk)
    value = b.scalar(chunk)
    return create("vector.broadcast", ir.VectorType.get([1], value.type), [value])


def nibbles(low, high):
    """Bytes whose lower halves are the low bits of `low`, and the upper ones those of `high`."""
    type = low.type
    below, four = (_splat(type, number) for number in (15, 4))
    return create(
        "arith.ori",
        type,
        [create("arith.andi", type, [low, below]), create("arith.shli", type, [high, four])],
    )


def halved(vector):
    """Neighbouring bytes as nibbles of one, the first one below; of a single byte the lower half."""
    (lanes,) = vector.type.shape
    if lanes == 1:
        return create("arith.andi", vector.type, [vector, _splat(vector.type, 15)])
    type = ir.VectorType.get([lanes // 2], vector.type.element_type)
    masks = [{"mask": ir.DenseI64ArrayAttr.get(list(range(first, lanes, 2)))} for first in (0, 1)]
    return nibbles(*[create("vector.shuffle", type, [vector, vector], mask) for mask in masks])


def _splat(type, number: int):
    value = ir.DenseElementsAttr.get_splat(type, ir.IntegerAttr.get(type.element_type, number))
    return create("arith.constant", type, [], {"value": value})


def as_integers(vector):
    element = vector.type.element_type
    if not isinstance(element, ir.FloatType):
        return vector
    type = ir.VectorType.get(vector.type.shape, ir.IntegerType.get_signless(element.width))
    return create("vector.bitcast", type, [vector])


def interleaved(rows: list):
    """rows[0][0], rows[1][0], ..., rows[0][1], ...; pairs of elements as words, where they are many."""
    if rows[0].type.shape == [1]:
        # LLVM 22 makes wrong code of the operation below on vectors of one element.
        return shuffled(rows)
    if len(rows) > _MOST_INTERLEAVED:
        pairs = [interleaved(rows[i : i + 2]) for i in range(0, len(rows), 2)]
        (lanes,), bits = pairs[0].type.shape, pairs[0].type.element_type.width
        words = ir.VectorType.get([lanes // 2], ir.IntegerType.get_signless(2 * bits))
        return interleaved([create("vector.bitcast", words, [pair]) for pair in pairs])
    (lanes,) = rows[0].type.shape
    attributes = {
        "intrin": ir.StringAttr.get(f"llvm.vector.interleave{len(rows)}"),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(rows), 0]),
        "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
    }
    result = ir.VectorType.get([lanes * len(rows)], rows[0].type.element_type)
    return create("llvm.call_intrinsic", result, rows, attributes)


def scatter(b: Builder, vector, memory, first: Uniform, stride: int) -> None:
    """memory[first + i * stride] = vector[i]"""
    if b.width == 1:
        panel_buffers.store(b, vector, memory, first)
        return
    at = b.vector(Affine(first, b.const(stride)))
    ir.Operation.create("vector.scatter", [], [memory, b.scalar(b.const(0)), at, b.all_true(), vector])
