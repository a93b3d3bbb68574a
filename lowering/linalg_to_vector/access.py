"""Reading and writing memory and materialised tensors, a chunk at a time."""

import math

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.lanes import (
    SGE,
    Affine,
    Builder,
    Chunk,
    Lanes,
    Merged,
    Uniform,
    create,
)

DYNAMIC = ir.ShapedType.get_dynamic_size()


def mixed(op, name: str, dynamic_at: int) -> list:
    """The mixed list `name` of a view operation: ints, and SSA values where it is dynamic.

    dynamic_at: which operand segment holds the dynamic ones.
    """
    segments = list(op.attributes["operandSegmentSizes"])
    first = sum(segments[:dynamic_at])
    dynamic = iter([op.operands[first + i] for i in range(segments[dynamic_at])])
    return [next(dynamic) if x == DYNAMIC else x for x in op.attributes[f"static_{name}"]]


def same(a, b) -> bool:
    """Whether two entries of mixed lists (ints, SSA values, None) are known to be equal."""
    if a is None or b is None or isinstance(a, int) != isinstance(b, int):
        return False
    return a == b


def uniform(b: Builder, x) -> Uniform:
    """An int or an index value as a chunk."""
    return b.const(x) if isinstance(x, int) else Uniform(x)


def shape_of(value) -> list[int]:
    return list(value.type.shape)


@attrs.frozen
class Strided:
    """An n-dimensional view of `base`, a rank-1 memref: element i is at offset + sum(i_d * stride_d)."""

    base: object
    offset: Uniform
    strides: tuple[Uniform, ...]

    def linear(self, b: Builder, idx: list[Chunk]) -> Chunk:
        at = self.offset
        for i, stride in zip(idx, self.strides, strict=True):
            at = b.add(at, b.mul(i, stride))
        return at


def view_of(b: Builder, memref) -> Strided | None:
    """`memref` as a strided view of a rank-1 memref, or None when it is not made that way."""
    op = memref.owner
    if not isinstance(op, ir.Operation | ir.OpView):  # a block argument
        return Strided(memref, b.const(0), (b.const(1),)) if memref.type.rank == 1 else None
    name = op.name
    if name == "memref.subview":
        outer = view_of(b, op.operands[0])
        offsets, steps = mixed(op, "offsets", 1), mixed(op, "strides", 3)
        if outer is None or len(offsets) != memref.type.rank:
            return None
        at = outer.linear(b, [uniform(b, o) for o in offsets])
        strides = tuple(b.mul(s, uniform(b, k)) for s, k in zip(outer.strides, steps, strict=True))
        return Strided(outer.base, at, strides)
    if name == "memref.reinterpret_cast":
        base = op.operands[0]
        if base.type.rank != 1:
            return None
        (offset,), strides = mixed(op, "offsets", 1), mixed(op, "strides", 3)
        return Strided(base, uniform(b, offset), tuple(uniform(b, s) for s in strides))
    if name == "memref.cast":
        return view_of(b, op.operands[0])
    if memref.type.rank == 1 and "strided" not in str(memref.type):
        return Strided(memref, b.const(0), (b.const(1),))
    return None


class Memory:
    """Loads and stores through one builder."""

    def __init__(self, builder: Builder):
        self.b = builder

    def load(self, base, at: Chunk, mask: Chunk | None = None, other: Chunk | None = None) -> Chunk:
        """base[at] in every lane; where `mask` is false, `other` (undefined without one)."""
        b, element = self.b, base.type.element_type
        vector = b.vector_type(element)
        if isinstance(at, Uniform) and mask is None:
            return Uniform(create("memref.load", element, [base, b.scalar(at)]))
        if all(isinstance(chunk, Uniform) for chunk in (at, mask, other) if chunk is not None):
            return self._guarded(base, at, mask, other, element)
        if mask is None and isinstance(at, Affine) and at.contiguous:
            return Lanes(create("vector.load", vector, [base, b.scalar(at.base)]))
        lanes = b.vector(mask) if mask is not None else b.all_true()
        rest = b.vector(other) if other is not None else b.constants.poison(vector)
        if isinstance(at, Affine) and at.contiguous:
            return Lanes(create("vector.maskedload", vector, [base, b.scalar(at.base), lanes, rest]))
        return Lanes(create("vector.gather", vector, [base, b.scalar(b.const(0)), b.vector(at), lanes, rest]))

    def _guarded(self, base, at: Uniform, mask: Uniform, other, element) -> Uniform:
        b = self.b
        rest = b.scalar(other if other is not None else b.const(0, element))
        at = b.scalar(at)
        branch = ir.Operation.create("scf.if", [element], [b.scalar(mask)], regions=2)
        for region, make in zip(
            branch.regions, (lambda: create("memref.load", element, [base, at]), lambda: rest), strict=True
        ):
            with ir.InsertionPoint(region.blocks.append()):
                ir.Operation.create("scf.yield", [], [make()])
        return Uniform(branch.result)

    def store(self, value: Chunk, base, at: Chunk, mask: Chunk | None = None) -> None:
        """base[at] = value in every lane where `mask` is true."""
        b = self.b
        if isinstance(at, Uniform) and not isinstance(mask, Lanes | Affine) and isinstance(value, Uniform):
            value, at = b.scalar(value), b.scalar(at)
            if mask is None:
                ir.Operation.create("memref.store", [], [value, base, at])
                return
            branch = ir.Operation.create("scf.if", [], [b.scalar(mask)], regions=2)
            with ir.InsertionPoint(branch.regions[0].blocks.append()):
                ir.Operation.create("memref.store", [], [value, base, at])
                ir.Operation.create("scf.yield", [], [])
            return
        data = b.vector(value)
        if isinstance(at, Affine) and at.contiguous:
            if mask is None:
                ir.Operation.create("vector.store", [], [data, base, b.scalar(at.base)])
            else:
                ir.Operation.create("vector.maskedstore", [], [base, b.scalar(at.base), b.vector(mask), data])
            return
        lanes = b.vector(mask) if mask is not None else b.all_true()
        ir.Operation.create("vector.scatter", [], [base, b.scalar(b.const(0)), b.vector(at), lanes, data])

    # -- materialised tensors: contiguous, row-major

    def read(self, tensor, idx: list[Chunk], mask: Chunk | None = None) -> Chunk:
        """tensor[idx].  Where `mask` is false the lane is undefined and its index may be out of range."""
        b, element = self.b, tensor.type.element_type
        if any(isinstance(i, Merged) for i in idx):
            tensor, idx = _merged(tensor, idx)
        shape = shape_of(tensor)
        idx = [b.const(0) if size == 1 else i for i, size in zip(idx, shape, strict=True)]
        if mask is None and all(isinstance(i, Uniform) for i in idx):
            return Uniform(create("tensor.extract", element, [tensor, *map(b.scalar, idx)]))
        varying = [d for d, i in enumerate(idx) if not isinstance(i, Uniform)]
        # A vector of i1 in memory is packed bits, a tensor of i1 a byte an element: gather those.
        if len(varying) == 1 and element != b.constants.i1:
            (d,) = varying
            if isinstance(idx[d], Affine) and idx[d].contiguous and all(s == 1 for s in shape[d + 1 :]):
                flat = collapse(tensor, d)
                at = [b.scalar(i) for i in idx[:d]] + [b.scalar(idx[d].base)]
                return Lanes(_transfer_read(b, flat, at, mask))
        flat = collapse(tensor, 0)
        lanes = b.vector(mask) if mask is not None else b.all_true()
        at = b.vector(_row_major(b, shape, idx))
        vector = b.vector_type(element)
        rest = b.constants.splat(vector, 0) if mask is not None else b.constants.poison(vector)
        return Lanes(create("vector.gather", vector, [flat, b.scalar(b.const(0)), at, lanes, rest]))

    def write(self, value: Chunk, tensor, idx: list[Chunk]):
        """`tensor` (without unit dimensions) with `value` at idx, whose last entry may be contiguous."""
        b = self.b
        if all(isinstance(i, Uniform) for i in idx):
            return create("tensor.insert", tensor.type, [b.scalar(value), tensor, *map(b.scalar, idx)])
        at = [b.scalar(i) for i in idx[:-1]] + [b.scalar(idx[-1].base)]
        return transfer_write(b, b.vector(value), tensor, at)


def _row_major(b: Builder, shape: list[int], idx: list[Chunk]) -> Chunk:
    at, stride = b.const(0), 1
    for i, size in reversed(list(zip(idx, shape, strict=True))):
        at = b.add(at, b.mul(i, b.const(stride)))
        stride *= size
    return at


def _merged(tensor, idx: list[Chunk]):
    """`tensor` with merged dimensions joined, and the indices that are left."""
    groups: list[list[int]] = [[]]
    for d, i in enumerate(idx):
        groups[-1].append(d)
        if not isinstance(i, Merged) and d + 1 < len(idx):
            groups.append([])
    return joined(tensor, groups), [idx[group[-1]] for group in groups]


def collapse(tensor, keep: int):
    """`tensor` with all dimensions from `keep` on joined into one."""
    rank = tensor.type.rank
    if rank == keep + 1:
        return tensor
    return joined(tensor, [[d] for d in range(keep)] + [list(range(keep, rank))])


def joined(tensor, groups: list[list[int]]):
    """`tensor` with the dimensions of each group as one."""
    shape = shape_of(tensor)
    sizes = [math.prod(shape[d] for d in group) for group in groups]
    result = ir.RankedTensorType.get(sizes, tensor.type.element_type)
    i64 = ir.IntegerType.get_signless(64)
    reassociation = ir.ArrayAttr.get(
        [ir.ArrayAttr.get([ir.IntegerAttr.get(i64, d) for d in group]) for group in groups]
    )
    return create("tensor.collapse_shape", result, [tensor], {"reassociation": reassociation})


def _transfer_attributes(rank: int, operands: list[int]) -> dict:
    last = ir.AffineMap.get(rank, 0, [ir.AffineDimExpr.get(rank - 1)])
    return {
        "permutation_map": ir.AffineMapAttr.get(last),
        "in_bounds": ir.ArrayAttr.get([ir.BoolAttr.get(True)]),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get(operands),
    }


def _transfer_read(b: Builder, tensor, at: list, mask: Chunk | None = None):
    element = tensor.type.element_type
    padding = b.constants.poison(element) if mask is None else b.constants.scalar(element, 0)
    lanes = [] if mask is None else [b.vector(mask)]
    return create(
        "vector.transfer_read",
        b.vector_type(element),
        [tensor, *at, padding, *lanes],
        _transfer_attributes(len(at), [1, len(at), 1, len(lanes)]),
    )


def transfer_write(b: Builder, vector, tensor, at: list):
    return create(
        "vector.transfer_write",
        tensor.type,
        [vector, tensor, *at],
        _transfer_attributes(len(at), [1, 1, len(at), 0]),
    )


def in_bounds(b: Builder, idx: list[Chunk], low: list, high: list, sizes: list[int]) -> Chunk | None:
    """The lanes with low <= idx < high in every dimension; None when that is always so.

    low, high: ints or index values, already clamped to 0 <= low <= high <= size.
    """
    mask = None
    for i, lo, hi, size in zip(idx, low, high, sizes, strict=True):
        if not (isinstance(hi, int) and hi >= size) and not same(getattr(i, "below", None), hi):
            inside = b.within(i, uniform(b, hi))
            mask = b.both(mask, inside)
        if not (isinstance(lo, int) and lo <= 0):
            mask = b.both(mask, b.compare(SGE, i, uniform(b, lo)))
    return mask
