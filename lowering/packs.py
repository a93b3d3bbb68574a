"""Building and reading the packed matrices of `linalg`: pack, unpack, and windows of matrices."""

from vertebra.core.mlir import arith, ir, linalg, scf, tensor
from vertebra.dialects.xsmt_types import matrix_of, tiles_of
from vertebra.lowering.ranges import bounds
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.shape import reshape

PACK, UNPACK = "linalg.pack", "linalg.unpack"
_BOTH = [0, 1]
TURN_TILES = [1, 0, 3, 2]


def pack(x: ir.Value, tile: list[int]) -> ir.Value:
    """Matrix `x`, (R, C), in tiles: (ceil(R / p), ceil(C / q), p, q); zeros fill the last ones."""
    shape = list(x.type.shape)
    tile = list(tile)
    partial = any(s % t for s, t in zip(shape, tile, strict=True))
    zero = build.constant(x.type.element_type, 0) if partial else None
    target = build.empty(build.tensor_type(tiles_of(shape, tile), x.type.element_type))
    return linalg.PackOp(target.type, x, target, _BOTH, [], tile, padding_value=zero).result


def unpack(x: ir.Value, shape: list[int] | None = None) -> ir.Value:
    """The matrix in `x`, (R, C, r, c): all of it, (R * r, C * c), or its first `shape`."""
    shape = matrix_of(x.type.shape) if shape is None else shape
    target = build.empty(build.tensor_type(shape, x.type.element_type))
    return linalg.UnPackOp(target.type, x, target, _BOTH, [], list(x.type.shape)[2:]).result


def pack_turned(x: ir.Value, tile: list[int]) -> ir.Value:
    """The transpose of matrix `x` in tiles: `tile` gives rows and columns of the transpose."""
    shape, tile = list(x.type.shape)[::-1], list(tile)
    partial = any(s % t for s, t in zip(shape, tile, strict=True))
    zero = build.constant(x.type.element_type, 0) if partial else None
    target = build.empty(build.tensor_type(tiles_of(shape, tile), x.type.element_type))
    return linalg.PackOp(
        target.type, x, target, [1, 0], [], tile, padding_value=zero, outer_dims_perm=[1, 0]
    ).result


def is_packing(op: ir.Operation, name: str) -> bool:
    """Whether `op` is a `name` of a whole matrix, with tiles of rows and columns in their order."""
    if op.name != name or len(_outer_order(op)):
        return False
    packed = op.results[0].type if name == PACK else op.operands[0].type
    plain = op.operands[0].type if name == PACK else op.results[0].type
    return (
        len(packed.shape) == 4
        and list(op.attributes["inner_dims_pos"]) == _BOTH
        and packed.has_static_shape
        and plain.has_static_shape
    )


def maker(value: ir.Value, name: str) -> ir.Operation | None:
    """The operation `name` that makes `value`, or None."""
    if isinstance(value.owner, ir.Block) or value.owner.operation.name != name:
        return None
    return value.owner.operation


def is_turned_pack(op: ir.Operation) -> bool:
    """A pack of a matrix by columns, which is the pack of its transpose."""
    return (
        op.name == PACK
        and len(op.results[0].type.shape) == 4
        and list(op.attributes["inner_dims_pos"]) == [1, 0]
        and _outer_order(op) == [1, 0]
    )


def _outer_order(op: ir.Operation) -> list[int]:
    return list(op.attributes["outer_dims_perm"]) if "outer_dims_perm" in op.attributes else []


def is_packed(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType) and len(value.type.shape) == 4


def is_elementwise(op: ir.Operation) -> bool:
    """An arith or math operation on tensors, with one result."""
    dialect = op.name.partition(".")[0]
    return (
        dialect in ("arith", "math")
        and op.name != "arith.constant"
        and len(op.results) == 1
        and isinstance(op.results[0].type, ir.RankedTensorType)
    )


# -- values that repeat


def respread(
    value: ir.Value, shape: list[int], *, build_it: bool = True, lines: bool = True
) -> ir.Value | bool | None:
    """What repeats one element, or one of each row or column, in another `shape` of the same matrix.

    From plain to packed, or back.  None for any other value.  build_it: else only whether it could be.
    lines: not only what is one element everywhere.
    """
    made = next((m for n in _REPEATED if (m := maker(value, n)) is not None), None)
    if made is None:
        return None
    if made.name == "linalg.generic":
        line = line_of(made) if lines else None
        if line is None:
            return None
        return _spread(made.operands[0], line, shape) if build_it else True
    if made.name == "arith.constant":
        elements = ir.DenseElementsAttr(made.attributes["value"])
        if not elements.is_splat:
            return None
        type = build.tensor_type(shape, value.type.element_type)
        splat = ir.DenseElementsAttr.get_splat(type, elements.get_splat_value())
        return arith.ConstantOp(type, splat).result if build_it else True
    if not build_it:
        return True
    if made.name == "tensor.splat":
        type = build.tensor_type(shape, value.type.element_type)
        return tensor.SplatOp(type, made.operands[0], []).aggregate
    target = build.empty(build.tensor_type(shape, value.type.element_type))
    return linalg.fill(made.operands[0], outs=[target])


_REPEATED = ("arith.constant", "tensor.splat", "linalg.fill", "linalg.generic")


def line_of(op: ir.Operation) -> int | None:
    """0 for a linalg.generic that gives all of a row one element, 1 for one of columns, else None."""
    block = op.regions[0].blocks[0]
    *body, last = block.operations
    if body or len(op.operands) != 2 or len(op.results) != 1 or list(last.operands) != [block.arguments[0]]:
        return None
    source, map = op.operands[0], op.attributes["indexing_maps"][0].value
    rank = map.n_dims
    if rank not in (2, 4) or not isinstance(source.type, ir.RankedTensorType) or source.type.rank != rank:
        return None
    kept = [d for d, e in enumerate(map.results) if e == ir.AffineDimExpr.get(d)]
    rest = [d for d in range(rank) if d not in kept]
    if not all(isinstance(map.results[d], ir.AffineConstantExpr) and source.type.shape[d] == 1 for d in rest):
        return None
    lines = {tuple(range(line, rank, 2)): line for line in (0, 1)}
    return lines.get(tuple(kept))


def _spread(source: ir.Value, line: int, shape: list[int]) -> ir.Value:
    """The elements of `source`, one a row (line 0) or column (1), repeated to `shape`."""
    kept = set(range(line, len(shape), 2))
    places = [
        ir.AffineDimExpr.get(d) if d in kept else ir.AffineConstantExpr.get(0) for d in range(len(shape))
    ]
    source = reshape(source, [n if d in kept else 1 for d, n in enumerate(shape)])
    result = build.tensor_type(shape, source.type.element_type)
    return build.generic(result, [source], [ir.AffineMap.get(len(shape), 0, places)], lambda x: x)


# -- windows


def window(x: ir.Value, offsets: list[int | ir.Value], sizes: list[int], valid: list[int]) -> ir.Value:
    """The part of matrix `x` at `offsets`, of `sizes`; 0 outside of x and from index `valid` on.

    A part that is inside of x for all that can be known is a tensor.extract_slice, which may have
    run-time offsets.  Any other one is a linalg.generic that compares both indices and reads.
    """
    shape = list(x.type.shape)
    if sizes == list(valid) and all(map(inside, offsets, sizes, shape)):
        if sizes == shape:
            return x
        return build.extract_slice(x, [as_index(o) for o in offsets], sizes)
    starts = [build.index(o) if isinstance(o, int) else as_index(o) for o in offsets]
    element = x.type.element_type

    def body():
        here = [build.loop_index(d) for d in range(2)]
        places = [arith.AddIOp(i, start).result for i, start in zip(here, starts, strict=True)]
        ends = list(zip(places, shape, strict=True))
        ends += [(here[d], valid[d]) for d in range(2) if valid[d] < sizes[d]]
        return _read_if(_below(ends), x, places)

    return build.generic(build.tensor_type(sizes, element), [], [], body)


def insert(part: ir.Value, x: ir.Value, offsets: list[int | ir.Value]) -> ir.Value:
    """Matrix `x` with what of `part`, put at `offsets`, is inside of it.

    A part that is inside for all that can be known is a tensor.insert_slice.
    """
    sizes, shape = list(part.type.shape), list(x.type.shape)
    if all(map(inside, offsets, sizes, shape)):
        if sizes == shape:
            return part
        return build.insert_slice(part, x, [as_index(o) for o in offsets], sizes)
    starts = [build.index(o) if isinstance(o, int) else as_index(o) for o in offsets]

    def body(old):
        here = [build.loop_index(d) for d in range(2)]
        places = [arith.SubIOp(i, start).result for i, start in zip(here, starts, strict=True)]
        return _read_if(_below(list(zip(places, sizes, strict=True))), part, places, old)

    return build.generic(x.type, [x], [build.identity_map(2)], body)


def inside(offset: int | ir.Value, size: int, whole: int) -> bool:
    """Whether `size` elements from `offset` on are among `whole` ones, as far as can be known."""
    known = (offset, offset) if isinstance(offset, int) else bounds(offset)
    return known is not None and known[0] >= 0 and known[1] + size <= whole


def as_index(value: int | ir.Value):
    if isinstance(value, int) or isinstance(value.type, ir.IndexType):
        return value
    return arith.IndexCastOp(ir.IndexType.get(), value).result


def _below(ends: list[tuple[ir.Value, int]]) -> ir.Value:
    """Whether each index is below its end; unsigned, so that one comparison finds what is below 0, too."""
    good = None
    for value, end in ends:
        check = arith.CmpIOp(arith.CmpIPredicate.ult, value, build.index(end)).result
        good = check if good is None else arith.AndIOp(good, check).result
    return good


def _read_if(good: ir.Value, x: ir.Value, places: list[ir.Value], other: ir.Value | None = None) -> ir.Value:
    element = x.type.element_type
    choice = scf.IfOp(good, [element], has_else=True)
    with ir.InsertionPoint(choice.then_block):
        scf.YieldOp([tensor.ExtractOp(x, places).result])
    with ir.InsertionPoint(choice.else_block):
        scf.YieldOp([build.constant(element, 0) if other is None else other])
    return choice.results[0]
