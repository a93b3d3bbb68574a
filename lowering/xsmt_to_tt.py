"""xsmt -> tt: what works on pointers, before the structure of accesses is looked for; and hints, which go."""

from vertebra.core.errors import CompileError
from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir, memref
from vertebra.dialects import tt, xsmt
from vertebra.dialects.constants import constant_of
from vertebra.dialects.tt_types import PaddingOption
from vertebra.lowering.tt_to_linalg import build


@pattern(xsmt.DescriptorLoadViewOp)
def descriptor_load_view_to_pack(op):
    """The block at `offsets`, with zeros outside of the tensor; then a pack of the whole of it."""
    moved = tt.AdvanceOp(op.src, list(op.offsets), op.src.type).result
    block = tt.LoadOp(moved, op.src.type.pointee, boundaryCheck=[0, 1], padding="zero").result
    zero = _i32(0)
    return xsmt.PackOp(block, [zero, zero], op.shape, op.packed_size, op.result.type).result


@pattern(xsmt.AllocOp)
def alloc_to_memref_alloc(op):
    return _memory(op.result.type)


@pattern(xsmt.AllocCopiesOp)
def alloc_copies_to_memref_alloc(op):
    """Copies are the slowest dimension of one piece of memory."""
    return _memory(op.result.type)


@pattern(xsmt.BufferTensorViewOp)
def buffer_tensor_view_to_make_tensor_ptr(op):
    made, _ = _origin(op, op.buffer)
    index = op.index
    if constant_of(index) is None:
        index = arith.RemUIOp(index, _i32(op.buffer.type.pointee.shape[0])).result
    wide = arith.ExtUIOp(build.integer(64), index).result
    start = arith.MulIOp(wide, made.strides[0]).result
    return _block_pointer(tt.AddPtrOp(made.base, start, made.base.type).result, op.result.type)


@pattern(xsmt.SubviewPackOp)
def subview_pack_to_make_tensor_ptr(op):
    """The same memory with four strides: rows and columns of tiles, then rows and columns inside of one.

    Raises CompileError where the tensor has a part of a tile; the launch fails where only then its sizes
    are known.  What the view may have beyond the tensor is neither read nor written.
    """
    made, offsets = _origin(op, op.src)
    packed, sizes = list(op.packed_size), [constant_of(n) for n in made.shape]
    shape = [_tiles_along(op, made, d) for d in range(2)]
    if not all(n is not None and s <= n for s, n in zip(op.shape, sizes, strict=True)):
        _check_accesses(op.result)
    strides = [arith.MulIOp(s, _i64(p)).result for s, p in zip(made.strides, packed, strict=True)]
    moved = [arith.AddIOp(a, b).result for a, b in zip(offsets, op.offsets, strict=True)]
    return tt.MakeTensorPtrOp(
        made.base,
        [*shape, *map(_i64, packed)],
        [*strides, *made.strides],
        [*_in_tiles(op, moved, packed), _i32(0), _i32(0)],
        [3, 2, 1, 0],
        op.result.type,
    ).result


@pattern(xsmt.SubviewOp)
def subview_to_make_tensor_ptr(op):
    """The same tensor from other tiles on."""
    made, offsets = _origin(op, op.src)
    moved = _in_tiles(op, op.offsets, list(op.src.type.pointee.shape)[2:])
    start = [arith.AddIOp(a, b).result for a, b in zip(offsets, moved, strict=False)]
    return tt.MakeTensorPtrOp(
        made.base,
        list(made.shape),
        list(made.strides),
        [*start, *offsets[2:]],
        made.order,
        op.result.type,
    ).result


def _tiles_along(op, made, d: int) -> ir.Value:
    """How many tiles the tensor of a block pointer has in dimension d, as an i64."""
    tile, size = list(op.packed_size)[d], constant_of(made.shape[d])
    if size is None:
        left = arith.RemSIOp(made.shape[d], _i64(tile)).result
        whole = arith.CmpIOp(arith.CmpIPredicate.eq, left, _i64(0)).result
        tt.AssertOp(
            whole,
            f"xsmt.subview_pack: the tensor's size in dimension {d} is no multiple of {tile}; load the block"
            " and view what was loaded, which is padded",
        )
        return arith.DivSIOp(made.shape[d], _i64(tile)).result
    if size % tile:
        below, above = size // tile * tile, -(-size // tile) * tile
        raise CompileError(
            f"xsmt.subview_pack: the tensor's size in dimension {d} is {size}, no multiple of {tile};"
            f" {f'{below} and {above}' if below else above} are",
            at=op,
            fix="load the block and view what was loaded, which is padded",
        )
    return _i64(size // tile)


def _check_accesses(pointer: ir.Value) -> None:
    """Lets loads and stores of a packed block, and of its parts, stop at the tensor's ends."""
    for use in pointer.uses:
        op = use.owner.operation
        if op.name in ("tt.load", "tt.store") and use.operand_number == 0:
            checked = {*op.opview.boundaryCheck, 0, 1}
            op.attributes["boundaryCheck"] = ir.DenseI32ArrayAttr.get(sorted(checked))
            if op.name == "tt.load" and op.opview.padding is None:
                op.attributes["padding"] = PaddingOption.of("zero")
        elif op.name in ("tt.advance", "xsmt.subview"):
            _check_accesses(op.results[0])


def _origin(op, value: ir.Value) -> tuple[tt.MakeTensorPtrOp, list[ir.Value]]:
    """The operation that made the block pointer `value`, and the offsets of that pointer.

    A pointer that a loop advances by the same steps in each turn is as many steps on as there were turns.
    """
    steps: list = []  # what has to be added to the first offsets: (a step, the loop whose turns multiply it)
    while True:
        made = None if isinstance(value.owner, ir.Block) else value.owner.operation
        if made is not None and made.name == "tt.advance":
            steps.append((list(value.owner.offsets), None))
            value = value.owner.ptr
        elif made is None and (found := _advanced_by(value)) is not None:
            loop, each_turn, value = found
            steps += [(step, loop) for step in each_turn]
        else:
            break
    if made is None or made.name != "tt.make_tensor_ptr":
        raise CompileError(
            f"{op.operation.name}: it is not known where this block pointer was made",
            at=op,
            fix="view the pointer that make_block_ptr or alloc gave, or that a loop advances by fixed steps",
        )
    offsets = list(value.owner.offsets)
    for step, loop in steps:
        if loop is not None:
            turns = _turns(loop)
            step = [arith.MulIOp(turns, s).result for s in step]
        offsets = [arith.AddIOp(a, b).result for a, b in zip(offsets, step, strict=True)]
    return value.owner, offsets


def _advanced_by(value: ir.Value) -> tuple[ir.Operation, list[list[ir.Value]], ir.Value] | None:
    """(loop, steps of a turn, initial pointer) of a pointer that an scf.for carries; None where they vary."""
    loop = value.owner.owner.operation
    if loop.name != "scf.for" or value.arg_number == 0:
        return None
    *_, last = value.owner.operations
    steps, next_one = [], last.operands[value.arg_number - 1]
    while next_one != value:
        if isinstance(next_one.owner, ir.Block) or next_one.owner.operation.name != "tt.advance":
            return None
        steps.append(list(next_one.owner.offsets))
        next_one = next_one.owner.ptr
    if not all(_is_outside(offset, loop) for step in steps for offset in step):
        return None
    return loop, steps, loop.operands[2 + value.arg_number]


def _is_outside(value: ir.Value, loop: ir.Operation) -> bool:
    owner = value.owner
    place = owner.owner if isinstance(owner, ir.Block) else owner.operation.parent
    while place is not None:
        if place.operation == loop:
            return False
        place = place.operation.parent
    return True


def _turns(loop: ir.Operation) -> ir.Value:
    """How many turns of `loop` are over, an i32."""
    index = loop.regions[0].blocks[0].arguments[0]
    start, _, step = list(loop.operands)[:3]
    turns = arith.DivSIOp(arith.SubIOp(index, start).result, step).result
    i32 = build.integer(32)
    if turns.type == i32:
        return turns
    kind = arith.TruncIOp if isinstance(turns.type, ir.IntegerType) else arith.IndexCastOp
    return kind(i32, turns).result


def _in_tiles(op, offsets, packed: list[int]) -> list[ir.Value]:
    """Offsets of elements as offsets of tiles; the launch fails for one that is no multiple of its tile."""
    for d, (offset, tile) in enumerate(zip(offsets, packed, strict=True)):
        if not _is_multiple(offset, tile):
            left = arith.RemSIOp(offset, _i32(tile)).result
            tt.AssertOp(
                arith.CmpIOp(arith.CmpIPredicate.eq, left, _i32(0)).result,
                f"{op.operation.name}: the offset in dimension {d} is inside of a tile of {tile};"
                f" use a multiple of {tile}",
            )
    return [arith.DivSIOp(o, _i32(p)).result for o, p in zip(offsets, packed, strict=True)]


def _is_multiple(value: ir.Value, tile: int) -> bool:
    """Whether `value` is known to be a multiple of `tile`."""
    known = constant_of(value)
    if tile == 1:
        return True
    if known is not None:
        return known % tile == 0
    if isinstance(value.owner, ir.Block):
        return False
    name, operands = value.owner.operation.name, list(value.owner.operation.operands)
    if name == "arith.muli":
        return any(_is_multiple(v, tile) for v in operands)
    return name in ("arith.addi", "arith.subi") and all(_is_multiple(v, tile) for v in operands)


@pattern(xsmt.AnnotationOp)
def annotation_to_nothing(op):
    """A hint has no value to give, and nothing reads it."""
    return []


def _memory(type: ir.Type) -> ir.Value:
    """A pointer of `type` to new memory."""
    block = type.pointee
    alloc = memref.AllocOp(ir.MemRefType.get(list(block.shape), block.element_type), [], []).result
    address = memref.ExtractAlignedPointerAsIndexOp(alloc).result
    number = arith.IndexCastOp(build.integer(64), address).result
    first = tt.IntToPtrOp(number, ir.Type.parse(f"!tt.ptr<{block.element_type}>")).result
    return _block_pointer(first, type)


def _block_pointer(first: ir.Value, type: ir.Type) -> ir.Value:
    """A pointer of `type` to the block that starts at `first`, row by row."""
    shape = list(type.pointee.shape)
    strides = [1]
    for n in reversed(shape[1:]):
        strides.insert(0, strides[0] * n)
    return tt.MakeTensorPtrOp(
        first,
        [_i64(n) for n in shape],
        [_i64(n) for n in strides],
        [_i32(0)] * len(shape),
        list(reversed(range(len(shape)))),
        type,
    ).result


def _buffers_to_pointers(module) -> None:
    """Gives every value of type !xsmt.buffer the type of a pointer."""

    def convert(value) -> None:
        if isinstance(value.type, xsmt.BufferType):
            value.set_type(ir.Type.parse(f"!tt.ptr<{value.type.pointee}>"))

    def visit(op):
        for result in op.results:
            convert(result)
        for region in op.regions:
            for block in region.blocks:
                for argument in block.arguments:
                    convert(argument)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)


def _i32(value: int) -> ir.Value:
    return build.constant(build.integer(32), value)


def _i64(value: int) -> ir.Value:
    return build.constant(build.integer(64), value)


PATTERNS = (
    descriptor_load_view_to_pack,
    alloc_to_memref_alloc,
    alloc_copies_to_memref_alloc,
    buffer_tensor_view_to_make_tensor_ptr,
    subview_pack_to_make_tensor_ptr,
    subview_to_make_tensor_ptr,
    annotation_to_nothing,
)


def lower_pointers(module, core=None, options=None) -> None:
    """Replaces the operations on pointers by those of tt, and drops hints."""
    _buffers_to_pointers(module)
    apply(module.operation, PATTERNS)
