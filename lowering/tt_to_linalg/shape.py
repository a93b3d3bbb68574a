"""Operations that move elements and compute nothing."""

import math

from vertebra.core.errors import CompileError
from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, ir, linalg, tensor
from vertebra.dialects import tt
from vertebra.lowering.tt_to_linalg import build


def is_value(type: ir.Type) -> bool:
    """False for pointers and tensors of them, which are lowered with the memory operations."""
    return not isinstance(build.element_of(type), tt.PtrType)


@pattern(tt.SplatOp)
def splat_to_splat(op):
    if not is_value(op.src.type):
        return None
    return tensor.SplatOp(op.result.type, op.src, []).aggregate


@pattern(tt.UnsplatOp)
def unsplat_to_extract(op):
    if not is_value(op.src.type):
        return None
    zero = build.index(0)
    return tensor.ExtractOp(op.src, [zero] * len(op.src.type.shape)).result


@pattern(tt.MakeRangeOp)
def make_range_to_generic(op):
    """out[i] = start + i"""
    element, start = op.result.type.element_type, op.start.value

    def body():
        i = arith.IndexCastOp(element, build.loop_index(0)).result
        return arith.AddIOp(i, build.constant(element, start)).result if start else i

    return build.generic(op.result.type, [], [], body)


@pattern(tt.ExpandDimsOp)
def expand_dims_to_expand_shape(op):
    return reshape(op.src, op.result.type.shape) if is_value(op.src.type) else None


@pattern(tt.ReshapeOp)
def reshape_to_collapse_expand(op):
    """Row-major order is kept, also where the kernel allows another."""
    return reshape(op.src, op.result.type.shape) if is_value(op.src.type) else None


@pattern(tt.BroadcastOp)
def broadcast_to_generic(op):
    return broadcast(op.src, op.result.type.shape) if is_value(op.src.type) else None


@pattern(tt.TransOp)
def trans_to_transpose(op):
    if not is_value(op.src.type):
        return None
    return transpose(op.src, list(op.order))


@pattern(tt.CatOp)
def cat_to_insert_slice(op):
    """(N, ...) and (N, ...) -> (2N, ...), the first in front."""
    if not is_value(op.lhs.type):
        return None
    out = build.empty(op.result.type)
    rest = [0] * (len(op.lhs.type.shape) - 1)
    out = build.insert_slice(op.lhs, out, [0, *rest], op.lhs.type.shape)
    return build.insert_slice(op.rhs, out, [op.lhs.type.shape[0], *rest], op.rhs.type.shape)


@pattern(tt.JoinOp)
def join_to_generic(op):
    """out[..., 0] = lhs, out[..., 1] = rhs"""
    if not is_value(op.lhs.type):
        return None
    last = len(op.lhs.type.shape)
    drop_last = ir.AffineMap.get(last + 1, 0, [ir.AffineDimExpr.get(d) for d in range(last)])

    def body(lhs, rhs):
        first = arith.CmpIOp(arith.CmpIPredicate.eq, build.loop_index(last), build.index(0)).result
        return arith.SelectOp(first, lhs, rhs).result

    return build.generic(op.result.type, [op.lhs, op.rhs], [drop_last, drop_last], body)


@pattern(tt.SplitOp)
def split_to_extract_slice(op):
    """out0 = src[..., 0], out1 = src[..., 1]"""
    if not is_value(op.src.type):
        return None
    *shape, _ = op.src.type.shape
    return [
        build.extract_slice(op.src, [0] * len(shape) + [half], [*shape, 1], result_shape=shape)
        for half in (0, 1)
    ]


@pattern(tt.GatherOp)
def gather_to_generic(op):
    """out[i, j] = src[index[i, j], j] for axis 0, and so on; an index out of range reads the last one."""
    axis, indices = op.axis.value, op.indices
    size, rank = op.src.type.shape[axis], len(op.src.type.shape)
    source = op.src

    def body(at):
        wide = build.integer(max(at.type.width, 32))
        if at.type != wide:
            at = arith.ExtUIOp(wide, at).result
        at = arith.MinUIOp(at, build.constant(wide, size - 1)).result
        place = [build.loop_index(d) if d != axis else None for d in range(rank)]
        place[axis] = arith.IndexCastUIOp(ir.IndexType.get(), at).result
        return tensor.ExtractOp(source, place).result

    return build.generic(op.result.type, [indices], [build.identity_map(rank)], body)


def transpose(source: ir.Value, order: list[int]) -> ir.Value:
    """out[i0, i1, ...] has dimension d of `out` from dimension order[d] of `source`."""
    element = source.type.element_type
    result = build.tensor_type([source.type.shape[d] for d in order], element)
    op = linalg.TransposeOp([result], source, build.empty(result), order)
    block = op.regions[0].blocks.append(element, element)
    with ir.InsertionPoint(block):
        linalg.YieldOp([block.arguments[0]])
    return op.results[0]


def broadcast(source: ir.Value, shape) -> ir.Value:
    """Dimensions of size 1 are repeated up to `shape`."""
    result = build.tensor_type(shape, source.type.element_type)
    if source.type == result:
        return source
    places = [
        ir.AffineConstantExpr.get(0) if have == 1 != want else ir.AffineDimExpr.get(d)
        for d, (have, want) in enumerate(zip(source.type.shape, shape, strict=True))
    ]
    return build.generic(result, [source], [ir.AffineMap.get(len(places), 0, places)], lambda x: x)


def reshape(source: ir.Value, shape) -> ir.Value:
    """The elements of `source` in row-major order as `shape`: at most one collapse and one expand."""
    have, want = list(source.type.shape), list(shape)
    if have == want:
        return source
    groups = common_groups(have, want)
    element = source.type.element_type
    middle = [math.prod(have[d] for d in old) for old, _ in groups]
    if middle != have:
        source = tensor.CollapseShapeOp(
            build.tensor_type(middle, element), source, _reassociation([old for old, _ in groups])
        ).result
    if middle != want:
        source = tensor.ExpandShapeOp(
            build.tensor_type(want, element), source, _reassociation([new for _, new in groups]), [], want
        ).result
    return source


def common_groups(have: list[int], want: list[int]) -> list[tuple[list[int], list[int]]]:
    """The finest split of two shapes of equal size into runs of dimensions with equal products.

    common_groups([4, 6], [2, 2, 6]) == [([0], [0, 1]), ([1], [2])]
    Ones at the end join the last group.  Raises CompileError when the sizes differ.
    """
    if math.prod(have) != math.prod(want):
        raise CompileError(
            f"a reshape from {have} to {want} changes the number of elements from "
            f"{math.prod(have)} to {math.prod(want)}",
            fix="make the two products equal",
        )
    groups, i, j = [], 0, 0
    while i < len(have) and j < len(want):
        old, new, a, b = [i], [j], have[i], want[j]
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                old.append(i)
                a, i = a * have[i], i + 1
            else:
                new.append(j)
                b, j = b * want[j], j + 1
        groups.append((old, new))
    groups[-1][0].extend(range(i, len(have)))
    groups[-1][1].extend(range(j, len(want)))
    return groups


def _reassociation(groups: list[list[int]]) -> ir.ArrayAttr:
    i64 = build.integer(64)
    return ir.ArrayAttr.get([ir.ArrayAttr.get([ir.IntegerAttr.get(i64, d) for d in g]) for g in groups])


PATTERNS = (
    splat_to_splat,
    unsplat_to_extract,
    make_range_to_generic,
    expand_dims_to_expand_shape,
    reshape_to_collapse_expand,
    broadcast_to_generic,
    trans_to_transpose,
    cat_to_insert_slice,
    join_to_generic,
    split_to_extract_slice,
    gather_to_generic,
)
