"""xsmt -> linalg: packed matrices by the names that linalg has for them.

    pack, unpack, repack      linalg.pack, linalg.unpack, and both
    mmt4d                     linalg.mmt4d, with sums of the type that is wide enough
    insert                    linalg.unpack, then tensor.insert_slice
    expand                    linalg.generic, known to engines by its attribute

Shapes and offsets of views count elements.  A view first takes its part of the matrix and then packs
it.  The part is the matrix itself, or a tensor.extract_slice where it is known to be inside; what the
tile leaves over is then padded by the linalg.pack, with 0.  Where the part may reach outside, a
linalg.generic reads it element by element, whole tiles at once and 0 outside, and nothing is left to pad.
"""

from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir, linalg
from vertebra.dialects import xsmt
from vertebra.dialects.constants import constant_of
from vertebra.dialects.xsmt import matrix_of, sum_type
from vertebra.lowering import packs
from vertebra.lowering.service_calls import call_service
from vertebra.lowering.sparse_rows import expand_rows
from vertebra.lowering.tt_to_linalg import build


@pattern(xsmt.PackOp)
def pack_to_pack(op):
    return _packed_part(op, op.src)


@pattern(xsmt.UnpackOp)
def unpack_to_unpack(op):
    """Only as much as is needed, where the part begins at the first element."""
    offsets, shape = _offsets(op), list(op.shape)
    whole = matrix_of(op.src.type.shape)
    tile = list(op.src.type.shape)[2:]
    if offsets == [0, 0] and all(w - t < s <= w for w, t, s in zip(whole, tile, shape, strict=True)):
        return packs.unpack(op.src, shape)
    return packs.window(packs.unpack(op.src), offsets, shape, shape)


@pattern(xsmt.RepackOp)
def repack_to_unpack_pack(op):
    return _packed_part(op, packs.unpack(op.src))


@pattern(xsmt.InsertOp)
def insert_to_insert_slice(op):
    plain = len(op.dest.type.shape) == 2
    part = packs.unpack(op.src)
    if list(part.type.shape) != list(op.shape):
        part = build.extract_slice(part, [0, 0], list(op.shape))
    whole = packs.insert(part, op.dest if plain else packs.unpack(op.dest), _offsets(op))
    return whole if plain else packs.pack(whole, list(op.dest.type.shape)[2:])


@pattern(xsmt.Mmt4dOp)
def mmt4d_to_mmt4d(op):
    """Summed in the type that is wide enough, rounded at the end.

    The factors keep their types: linalg.mmt4d widens each element to the type of the sums.
    """
    wide, result = sum_type(op), op.result.type
    if op.acc is None:
        target = build.empty(build.like(result, wide))
        acc = linalg.fill(build.constant(wide, 0), outs=[target])
    else:
        acc = _widened(op.acc, wide)
    product = linalg.mmt4d(op.a, op.b, outs=[acc])
    return _narrowed(product, result.element_type)


@pattern(xsmt.ExpandOp)
def expand_to_generic(op):
    return expand_rows(op.values, op.mask)


@pattern(xsmt.GetNumOfThreadOp)
def get_num_of_thread_to_call(op):
    """As many threads as the launch has for one program."""
    return call_service(op, "vertebra_stream_threads", [], [op.result.type])


def _packed_part(op, x: ir.Value) -> ir.Value:
    """The part of `x` that a packing view looks at, in its tiles."""
    shape, tile, offsets = list(op.shape), list(op.packed_size), _offsets(op)
    known = all(map(packs.inside, offsets, shape, list(x.type.shape)))
    sizes = shape if known else matrix_of(op.result.type.shape)
    return packs.pack(packs.window(x, offsets, sizes, shape), tile)


def _offsets(op) -> list[int | ir.Value]:
    """The offsets of a view: numbers where they are known."""
    return [known if (known := constant_of(o)) is not None else o for o in op.offsets]


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
    pack_to_pack,
    unpack_to_unpack,
    repack_to_unpack_pack,
    insert_to_insert_slice,
    mmt4d_to_mmt4d,
    expand_to_generic,
    get_num_of_thread_to_call,
)


def lower_values(module, core=None, options=None) -> None:
    """Replaces the operations on tensors by upstream ones."""
    apply(module.operation, PATTERNS)
