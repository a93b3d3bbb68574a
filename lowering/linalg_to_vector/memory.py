"""memref.copy and linalg.fill on memrefs, whose sizes may be known only at run time."""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import DYNAMIC, Strided, mixed
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.evaluate import kept_dims
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Chunk, Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop
from vertebra.lowering.linalg_to_vector.operations import producer


def flat_view(b: Builder, memref) -> Strided | None:
    """`memref` as a strided view of a rank-1 memref; a contiguous buffer is flattened for it."""
    op = producer(memref)
    name = op.name if op is not None else None
    if name == "memref.subview":
        outer = flat_view(b, op.operands[0])
        if outer is None:
            return None
        offsets = [_uniform(b, x) for x in mixed(op, "offsets", 1)]
        steps = [_uniform(b, x) for x in mixed(op, "strides", 3)]
        strides = tuple(
            b.mul(s, k) for s, k, kept in zip(outer.strides, steps, kept_dims(op), strict=True) if kept
        )
        return Strided(outer.base, outer.linear(b, offsets), strides)
    if name == "memref.reinterpret_cast" and op.operands[0].type.rank == 1:
        (offset,), strides = mixed(op, "offsets", 1), mixed(op, "strides", 3)
        return Strided(op.operands[0], _uniform(b, offset), tuple(_uniform(b, s) for s in strides))
    shape = list(memref.type.shape)
    if (DYNAMIC in shape and len(shape) > 1) or "strided" in str(memref.type):
        return None
    if len(shape) == 1:
        return Strided(memref, b.const(0), (b.const(1),))
    return Strided(_flattened(memref, shape), b.const(0), tuple(b.const(s) for s in _row_major(shape)))


def _uniform(b: Builder, x) -> Uniform:
    return b.const(x) if isinstance(x, int) else Uniform(x)


def _row_major(shape: list[int]) -> list[int]:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return strides


def _flattened(memref, shape: list[int]):
    size = 1
    for s in shape:
        size *= s
    i64 = ir.IntegerType.get_signless(64)
    groups = ir.ArrayAttr.get([ir.ArrayAttr.get([ir.IntegerAttr.get(i64, d) for d in range(len(shape))])])
    flat = ir.MemRefType.get([size] if shape else [1], memref.type.element_type)
    return create("memref.collapse_shape", flat, [memref], {"reassociation": groups})


def _sizes(b: Builder, memref) -> list:
    """The extent of every dimension: an int, or an index value."""
    op = producer(memref)
    if op is not None and op.name == "memref.subview":
        return [n for n, kept in zip(mixed(op, "sizes", 2), kept_dims(op), strict=True) if kept]
    if op is not None and op.name == "memref.reinterpret_cast":
        return mixed(op, "sizes", 2)
    return [
        create("memref.dim", b.index, [memref, b.scalar(b.const(d))]) if size == DYNAMIC else size
        for d, size in enumerate(memref.type.shape)
    ]


def _over(scope: Scope, sizes: list, bits: int, body) -> None:
    """body(evaluator, idx, mask) for every chunk of an iteration space of run-time sizes."""
    width = scope.unit.lanes(bits)
    b = scope.builder(width)

    def row(idx: list[Chunk]) -> None:
        """Whole chunks, which need no mask, then the rest."""
        size = sizes[-1]

        def chunk(masked: bool):
            def turn(i, carried):
                ev = scope.evaluator(width)
                last = Affine(i, ev.b.const(1))
                body(ev, [*idx, last], ev.b.within(last, _uniform(b, size)) if masked else None)
                return []

            return turn

        whole = size - size % width if isinstance(size, int) else _whole(b, size, width)
        loop(b, 0, whole, width, [], chunk(False))
        loop(b, whole, size, width, [], chunk(True))

    def level(d: int, idx: list[Chunk]) -> None:
        if d == len(sizes) - 1:
            row(idx)
            return

        def turn(i, carried):
            level(d + 1, [*idx, i])
            return []

        loop(b, 0, sizes[d], 1, [], turn)

    if sizes:
        level(0, [])
    else:
        body(scope.evaluator(1), [], None)


def _whole(b: Builder, size, width: int):
    """`size`, an index value, less what is over after whole chunks of `width`, a power of two."""
    return create("arith.andi", b.index, [size, b.scalar(b.const(-width))])


def copy(scope: Scope, op) -> None:
    """memref.copy between any two strided memrefs."""
    b = scope.builder(1)
    source, target = (flat_view(b, v) for v in op.operands)
    if source is None or target is None:
        raise CompileError("a copy of a memref that is not a strided view of a flat one", at=op)

    def body(ev, idx, mask):
        value = ev.memory.load(source.base, source.linear(ev.b, idx), mask)
        ev.memory.store(value, target.base, target.linear(ev.b, idx), mask)

    _over(scope, _sizes(b, op.operands[1]), _bits(op.operands[1]), body)


def fill(scope: Scope, op) -> None:
    """linalg.fill of a memref."""
    value, memref = op.operands
    b = scope.builder(1)
    target = flat_view(b, memref)
    if target is None:
        raise CompileError("a fill of a memref that is not a strided view of a flat one", at=op)

    def body(ev, idx, mask):
        ev.memory.store(Uniform(value), target.base, target.linear(ev.b, idx), mask)

    _over(scope, _sizes(b, memref), _bits(memref), body)


def _bits(memref) -> int:
    return max(8, getattr(memref.type.element_type, "width", 64))
