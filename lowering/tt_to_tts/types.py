"""Questions about pointer types."""

from vertebra.core.mlir import ir
from vertebra.dialects.tt_types import PtrType, TensorDescType


def is_pointer(kind: ir.Type) -> bool:
    """A pointer to a scalar or to a block."""
    return isinstance(kind, PtrType)


def is_block(kind: ir.Type) -> bool:
    """A pointer to a block."""
    return isinstance(kind, PtrType) and kind.is_block


def is_descriptor(kind: ir.Type) -> bool:
    """A tensor descriptor."""
    return isinstance(kind, TensorDescType)


def is_address(kind: ir.Type) -> bool:
    """Anything that leads to memory: a pointer, a tensor of pointers, a block pointer, a descriptor."""
    if isinstance(kind, ir.RankedTensorType):
        kind = kind.element_type
    return isinstance(kind, PtrType | TensorDescType)


def block_shape(kind: ir.Type) -> tuple[int, ...]:
    """The shape of the block that a block pointer or a descriptor leads to."""
    return tuple(kind.block.shape if isinstance(kind, TensorDescType) else kind.pointee.shape)


def element_of(kind: ir.Type) -> ir.Type:
    """The type of one element in memory behind a type that `is_address` accepts."""
    if isinstance(kind, ir.RankedTensorType):
        kind = kind.element_type
    inner = kind.block if isinstance(kind, TensorDescType) else kind.pointee
    return inner.element_type if isinstance(inner, ir.RankedTensorType) else inner


def element_bytes(kind: ir.Type) -> int:
    """Bytes of one element in memory; a boolean and a 4-bit number fill a byte, a pointer eight."""
    element = element_of(kind)
    if isinstance(element, PtrType):
        return 8
    return max(1, element.width // 8)


def pointer_to(element: ir.Type) -> ir.Type:
    """The type of a pointer to one `element`."""
    return PtrType.get(element)
