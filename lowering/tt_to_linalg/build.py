"""Short ways to build what the lowerings of tt need most."""

from collections.abc import Callable, Sequence

from vertebra.core.mlir import arith, ir, linalg, tensor


def is_tensor(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType)


def element_of(type: ir.Type) -> ir.Type:
    """The element type of a tensor type; a scalar type itself."""
    return type.element_type if isinstance(type, ir.RankedTensorType) else type


def shape_of(value: ir.Value) -> list[int]:
    """The shape of a tensor; [] for a scalar."""
    return list(value.type.shape) if is_tensor(value) else []


def like(type: ir.Type, element: ir.Type) -> ir.Type:
    """`type` with another element type."""
    return tensor_type(type.shape, element) if isinstance(type, ir.RankedTensorType) else element


def tensor_type(shape: Sequence[int], element: ir.Type) -> ir.RankedTensorType:
    return ir.RankedTensorType.get(list(shape), element)


def integer(width: int) -> ir.IntegerType:
    return ir.IntegerType.get_signless(width)


def number(element: ir.Type, value: int | float) -> ir.Attribute:
    """`value` as an attribute of an integer, index or float type; integers wrap to the type's width."""
    if isinstance(element, ir.IntegerType):
        wrapped = value & ((1 << element.width) - 1)
        if wrapped >> (element.width - 1) and element.width > 1:
            wrapped -= 1 << element.width
        return ir.IntegerAttr.get(element, wrapped)
    if isinstance(element, ir.IndexType):
        return ir.IntegerAttr.get(element, value)
    return ir.FloatAttr.get(element, value)


def constant(type: ir.Type, value: int | float) -> ir.Value:
    """A constant of `type`, a scalar or a tensor filled with `value`."""
    attribute = number(element_of(type), value)
    if isinstance(type, ir.RankedTensorType):
        attribute = ir.DenseElementsAttr.get_splat(type, attribute)
    return arith.ConstantOp(type, attribute).result


def index(value: int) -> ir.Value:
    return constant(ir.IndexType.get(), value)


def empty(type: ir.RankedTensorType) -> ir.Value:
    return tensor.EmptyOp(list(type.shape), type.element_type).result


def identity_map(rank: int) -> ir.AffineMap:
    return ir.AffineMap.get_identity(rank)


def loop_index(dimension: int) -> ir.Value:
    """The position along `dimension` of the loops of the surrounding linalg.generic, an index."""
    return linalg.IndexOp(ir.IntegerAttr.get(integer(64), dimension)).result


def generic(
    result: ir.RankedTensorType,
    inputs: Sequence[ir.Value],
    maps: Sequence[ir.AffineMap],
    body: Callable[..., ir.Value],
) -> ir.Value:
    """A linalg.generic over the shape of `result`, all of its loops parallel.

    maps: one for each input; the output's is the identity.  body: takes an element of
    each input, builds inside the loops, and returns the element of the result.
    """
    return _generic([result], inputs, maps, lambda *elements: [body(*elements)])[0]


def map_block(block: ir.Block, inputs: Sequence[ir.Value], results: Sequence[ir.Type]) -> list[ir.Value]:
    """Applies the body of `block` to the elements of `inputs`, all of one shape; the block is used up."""
    identity = identity_map(len(results[0].shape))
    return _generic(results, inputs, [identity] * len(inputs), lambda *elements: move_body(block, elements))


def _generic(results, inputs, maps, body) -> list[ir.Value]:
    rank = len(results[0].shape)
    all_maps = [*maps, *[identity_map(rank)] * len(results)]
    parallel = ir.Attribute.parse("#linalg.iterator_type<parallel>")
    op = linalg.GenericOp(
        list(results),
        list(inputs),
        [empty(r) for r in results],
        ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in all_maps]),
        ir.ArrayAttr.get([parallel] * rank),
    )
    block = op.regions[0].blocks.append(
        *[v.type.element_type for v in inputs], *[r.element_type for r in results]
    )
    with ir.InsertionPoint(block):
        linalg.YieldOp(body(*list(block.arguments)[: len(inputs)]))
    return list(op.results)


def extract_slice(
    source: ir.Value,
    offsets: Sequence[int | ir.Value],
    sizes: Sequence[int],
    *,
    strides: Sequence[int] | None = None,
    result_shape: Sequence[int] | None = None,
) -> ir.Value:
    """The slice of static `sizes` at `offsets`; `result_shape` drops dimensions of size 1."""
    static, dynamic = _split(offsets)
    shape = sizes if result_shape is None else result_shape
    return tensor.ExtractSliceOp(
        tensor_type(shape, source.type.element_type),
        source, dynamic, [], [],
        static, list(sizes), list(strides or [1] * len(sizes)),
    ).result  # fmt: skip


def insert_slice(
    source: ir.Value, into: ir.Value, offsets: Sequence[int | ir.Value], sizes: Sequence[int]
) -> ir.Value:
    """`into` with the part of static `sizes` at `offsets` replaced by `source`."""
    static, dynamic = _split(offsets)
    return tensor.InsertSliceOp(
        source, into, dynamic, [], [], static, list(sizes), [1] * len(sizes), results=[into.type]
    ).result


def _split(offsets) -> tuple[list[int], list[ir.Value]]:
    """The static half (dynamic ones marked) and the dynamic half of a list of offsets."""
    marker = ir.ShapedType.get_dynamic_stride_or_offset()
    static = [o if isinstance(o, int) else marker for o in offsets]
    return static, [o for o in offsets if not isinstance(o, int)]


def move_body(block: ir.Block, values: Sequence[ir.Value]) -> list[ir.Value]:
    """Moves the operations of `block` to the insertion point, for arguments `values`.

    Returns what the block's terminator passed on.  The block is left with its terminator only.
    """
    for argument, value in zip(block.arguments, values, strict=True):
        argument.replace_all_uses_with(value)
    *body, terminator = list(block.operations)
    here = ir.InsertionPoint.current
    for op in body:
        op.detach_from_parent()
        here.insert(op)
    return list(terminator.operands)
