"""xsmt -> linalg: packed matrices as reshapes and transposes of plain ones.

A pack is a window of a matrix, cut into tiles; an unpack is the window of a matrix put together
from tiles.  Both are mappings of indices only, so that a pack of an unpack folds away, and a product
of packed matrices reads its factors where they were before they were packed.
"""

from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir, linalg, scf, tensor
from vertebra.dialects import xsmt
from vertebra.dialects.constants import constant_of
from vertebra.dialects.xsmt import matrix_of, sum_type, tiles_of
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.dot import matmul
from vertebra.lowering.tt_to_linalg.shape import reshape, transpose

_SWAP_INNER = [0, 2, 1, 3]  # [tile's row, tile's column, row, column] <-> [tile's row, row, ...]


@pattern(xsmt.PackOp)
def pack_to_transpose(op):
    return tiles(_padded(op, op.src), list(op.packed_size))


@pattern(xsmt.UnpackOp)
def unpack_to_transpose(op):
    shape = list(op.shape)
    return window(matrix(op.src), _offsets(op), shape, shape)


@pattern(xsmt.RepackOp)
def repack_to_transpose(op):
    return tiles(_padded(op, matrix(op.src)), list(op.packed_size))


@pattern(xsmt.Mmt4dOp)
def mmt4d_to_matmul(op):
    """The product of the two matrices, summed in the type that is wide enough and rounded at the end.

    b holds columns as rows, so its matrix is turned.
    """
    wide, result = sum_type(op), op.result.type
    a, b = op.a, op.b
    if a.type.element_type != b.type.element_type:
        a, b = (_widened(x, wide) for x in (a, b))
    a, b = matrix(a), turned(matrix(b))
    if op.acc is None:
        target = build.empty(build.tensor_type(matrix_of(result.shape), wide))
        acc = linalg.fill(build.constant(wide, 0), outs=[target])
    else:
        acc = _widened(matrix(op.acc), wide)
    product = matmul(op, a, b, acc)
    return tiles(_narrowed(product, result.element_type), list(result.shape)[2:])


@pattern(xsmt.GetNumOfThreadOp)
def get_num_of_thread_to_constant(op):
    """Every thread of a launch runs programs of its own, one after the other: a program has one."""
    return build.constant(op.result.type, 1)


# -- index mappings


def matrix(packed: ir.Value) -> ir.Value:
    """The matrix in `packed`, (R, C, r, c) -> (R * r, C * c); the one that was packed, where it is known."""
    sizes = matrix_of(packed.type.shape)
    spread = _source(_source(packed, "linalg.transpose"), "tensor.expand_shape")
    if spread is not None and list(spread.type.shape) == sizes:
        return spread
    return reshape(transpose(packed, _SWAP_INNER), sizes)


def tiles(x: ir.Value, packed: list[int]) -> ir.Value:
    """The matrix `x` in tiles of `packed`, which divide it; those it was made of, where they are the same."""
    rows, columns, height, width = shape = tiles_of(x.type.shape, packed)
    whole = _source(_source(x, "tensor.collapse_shape"), "linalg.transpose")
    if whole is not None and list(whole.type.shape) == shape:
        return whole
    return transpose(reshape(x, [rows, height, columns, width]), _SWAP_INNER)


def _source(value: ir.Value | None, name: str, order: list[int] = _SWAP_INNER) -> ir.Value | None:
    """What the operation `name` made `value` of; a transpose counts only in this order."""
    if value is None or isinstance(value.owner, ir.Block) or value.owner.operation.name != name:
        return None
    op = value.owner.operation
    if name == "linalg.transpose" and list(op.attributes["permutation"]) != order:
        return None
    return op.operands[0]


def turned(x: ir.Value) -> ir.Value:
    """The transpose of matrix `x`."""
    before = _source(x, "linalg.transpose", [1, 0])
    return transpose(x, [1, 0]) if before is None else before


def window(x: ir.Value, offsets: list[int | ir.Value], sizes: list[int], valid: list[int]) -> ir.Value:
    """The part of matrix `x` at `offsets`, of `sizes`; 0 outside of x and from index `valid` on.

    Offsets known at compile time that stay inside need no more than a slice.
    """
    shape = list(x.type.shape)
    inside = all(
        isinstance(o, int) and o >= 0 and o + size <= s and size == v
        for o, s, size, v in zip(offsets, shape, sizes, valid, strict=True)
    )
    if inside:
        return x if sizes == shape else build.extract_slice(x, offsets, sizes)
    starts = [build.index(o) if isinstance(o, int) else _index(o) for o in offsets]
    element = x.type.element_type

    def body():
        places, good = [], None
        for d, start in enumerate(starts):
            here = build.loop_index(d)
            places.append(arith.AddIOp(here, start).result)
            # Unsigned, so that one comparison finds what is in front of x, too.
            checks = [(places[d], shape[d], arith.CmpIPredicate.ult)]
            if valid[d] < sizes[d]:
                checks.append((here, valid[d], arith.CmpIPredicate.ult))
            for value, end, predicate in checks:
                check = arith.CmpIOp(predicate, value, build.index(end)).result
                good = check if good is None else arith.AndIOp(good, check).result
        choice = scf.IfOp(good, [element], has_else=True)
        with ir.InsertionPoint(choice.then_block):
            scf.YieldOp([tensor.ExtractOp(x, places).result])
        with ir.InsertionPoint(choice.else_block):
            scf.YieldOp([build.constant(element, 0)])
        return choice.results[0]

    return build.generic(build.tensor_type(sizes, element), [], [], body)


def _padded(op, x: ir.Value) -> ir.Value:
    """The window that a packing view looks at, made of whole tiles."""
    shape = list(op.shape)
    return window(x, _offsets(op), matrix_of(op.result.type.shape), shape)


def _offsets(op) -> list[int | ir.Value]:
    """The offsets of a view: numbers where they are known."""
    return [known if (known := constant_of(o)) is not None else o for o in op.offsets]


def _index(value: ir.Value) -> ir.Value:
    return arith.IndexCastOp(ir.IndexType.get(), value).result


# -- element types


def _widened(x: ir.Value, element: ir.Type) -> ir.Value:
    if x.type.element_type == element:
        return x
    kind = arith.ExtSIOp if isinstance(element, ir.IntegerType) else arith.ExtFOp
    return kind(build.like(x.type, element), x).result


def _narrowed(x: ir.Value, element: ir.Type) -> ir.Value:
    if x.type.element_type == element:
        return x
    kind = arith.TruncIOp if isinstance(element, ir.IntegerType) else arith.TruncFOp
    return kind(build.like(x.type, element), x).result


PATTERNS = (
    pack_to_transpose,
    unpack_to_transpose,
    repack_to_transpose,
    mmt4d_to_matmul,
    get_num_of_thread_to_constant,
)


def lower_values(module, core=None, options=None) -> None:
    """Replaces the operations on tensors by upstream ones."""
    apply(module.operation, PATTERNS)
