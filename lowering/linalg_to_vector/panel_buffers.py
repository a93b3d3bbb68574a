"""Raw memory that panels lie in."""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, pieces

_ALIGNMENT = 64


def allocate(shape: list[int], element):
    """A buffer of the program."""
    attributes = {
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get([0, 0]),
        "alignment": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), _ALIGNMENT),
    }
    return create("memref.alloc", ir.MemRefType.get(shape, element), [], attributes)


def bytes_of(count: int):
    """A buffer of `count` bytes."""
    return allocate([count], ir.IntegerType.get_signless(8))


def view(b: Builder, buffer, element):
    """A buffer of bytes as elements of another type."""
    if buffer.type.element_type == element:
        return buffer
    count = buffer.type.shape[0] * 8 // element.width
    return create("memref.view", ir.MemRefType.get([count], element), [buffer, b.scalar(b.const(0))])


def clear(scope: Scope, buffer) -> None:
    """Sets every byte of a buffer of bytes to zero."""
    (count,) = buffer.type.shape
    element = buffer.type.element_type
    for start, stop, width in pieces(count, scope.unit.lanes(8)):
        b = scope.builder(width)
        zero = b.constants.splat(b.vector_type(element), 0)

        def turn(at: Uniform, _carried: list, b=b, zero=zero) -> list:
            store(b, zero, buffer, at)
            return []

        loop(b, start, stop, width, [], turn)


def store(b: Builder, vector, memref, *at: Uniform) -> None:
    """memref[at] = vector, along the last dimension."""
    ir.Operation.create("vector.store", [], [vector, memref, *map(b.scalar, at)])


def address(b: Builder, buffer, offset: Uniform):
    """The address of byte `offset` of `buffer`, an i64 value."""
    start = create("memref.extract_aligned_pointer_as_index", b.index, [buffer])
    at = b.add(Uniform(start), offset)
    return create("arith.index_cast", ir.IntegerType.get_signless(64), [b.scalar(at)])
