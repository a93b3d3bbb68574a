"""tt.reduce and tt.scan: many elements become one."""

import math

from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, ir, linalg, scf, tensor
from vertebra.dialects import tt
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.shape import reshape

# Commutative operations and the value that leaves the other side as it is.  For the float
# sum that is -0, as 0 + -0 is 0; for maxnum and minnum it is NaN, as they drop it.
_FLOAT_IDENTITY = {
    "arith.addf": -0.0,
    "arith.mulf": 1.0,
    "arith.maxnumf": math.nan,
    "arith.minnumf": math.nan,
    "arith.maximumf": -math.inf,
    "arith.minimumf": math.inf,
}
_INTEGER_IDENTITY = {
    "arith.addi": lambda width: 0,
    "arith.muli": lambda width: 1,
    "arith.andi": lambda width: -1,
    "arith.ori": lambda width: 0,
    "arith.xori": lambda width: 0,
    "arith.maxsi": lambda width: -(1 << (width - 1)),
    "arith.minsi": lambda width: (1 << (width - 1)) - 1,
    "arith.maxui": lambda width: 0,
    "arith.minui": lambda width: -1,
}


def identity_of(block: ir.Block) -> int | float | None:
    """The identity of a combiner that is one commutative operation of its two arguments, else None."""
    operations = list(block.operations)
    if len(operations) != 2 or len(block.arguments) != 2:
        return None
    op, terminator = operations[0].operation, operations[1]
    if {*op.operands} != {*block.arguments} or list(terminator.operands) != list(op.results):
        return None
    if op.name in _FLOAT_IDENTITY:
        return _FLOAT_IDENTITY[op.name]
    if op.name in _INTEGER_IDENTITY:
        return _INTEGER_IDENTITY[op.name](op.results[0].type.width)
    return None


@pattern(tt.ReduceOp)
def reduce_to_reduce(op):
    """Folds `axis` from its first element on; that element starts the fold where there is no identity."""
    sources, axis = list(op.operands), op.axis.value
    shape = list(sources[0].type.shape)
    rest = shape[:axis] + shape[axis + 1 :]
    size = shape[axis]
    block = op.regions[0].blocks[0]
    if size == 1:
        return [_scalar_of_rank_0(_drop(s, axis, 0), rest) for s in sources]
    identity = identity_of(block)
    if identity is not None:
        element = sources[0].type.element_type
        target = build.empty(build.tensor_type(rest, element))
        starts = [linalg.fill(build.constant(element, identity), outs=[target])]
    else:
        starts = [_drop(s, axis, 0) for s in sources]
        sources = [_tail(s, axis) for s in sources]
    new = linalg.ReduceOp([s.type for s in starts], sources, starts, [axis])
    _combiner_to_block(block, new.regions[0])
    return [_scalar_of_rank_0(r, rest) for r in new.results]


def _drop(source: ir.Value, axis: int, at: int | ir.Value) -> ir.Value:
    """The slice at position `at` of `axis`, without that dimension."""
    shape = list(source.type.shape)
    offsets = [at if d == axis else 0 for d in range(len(shape))]
    sizes = [1 if d == axis else n for d, n in enumerate(shape)]
    return build.extract_slice(source, offsets, sizes, result_shape=shape[:axis] + shape[axis + 1 :])


def _tail(source: ir.Value, axis: int) -> ir.Value:
    """Everything but the first position of `axis`."""
    shape = list(source.type.shape)
    return build.extract_slice(
        source,
        [1 if d == axis else 0 for d in range(len(shape))],
        [n - 1 if d == axis else n for d, n in enumerate(shape)],
    )


def _scalar_of_rank_0(value: ir.Value, rest: list[int]) -> ir.Value:
    return value if rest else tensor.ExtractOp(value, []).result


def _combiner_to_block(block: ir.Block, region: ir.Region) -> None:
    """Moves a combiner (accumulated..., next...) into a region that wants (next..., accumulated...)."""
    types = [a.type for a in block.arguments]
    half = len(types) // 2
    block.append_to(region)
    where = region.owner.location
    new = [block.add_argument(t, where) for t in types]
    for old, place in zip(list(block.arguments), new[half:] + new[:half], strict=False):
        old.replace_all_uses_with(place)
    for _ in types:
        block.erase_argument(0)
    terminator = block.operations[len(block.operations) - 1]
    with ir.InsertionPoint(terminator):
        linalg.YieldOp(list(terminator.operands))
    terminator.operation.erase()


@pattern(tt.ScanOp)
def scan_to_for(op):
    """out[i] = combine(out[i - 1], in[i]) along `axis`; from the other end when reversed."""
    sources, axis, backward = list(op.operands), op.axis.value, op.reverse.value
    shape = list(sources[0].type.shape)
    size, flat = shape[axis], len(shape) == 1
    if size == 1:
        return sources
    block = op.regions[0].blocks[0]

    def take(source, at):
        return tensor.ExtractOp(source, [_as_index(at)]).result if flat else _drop(source, axis, at)

    def put(value, into, at):
        if flat:
            return tensor.InsertOp(value, into, [_as_index(at)]).result
        offsets = [at if d == axis else 0 for d in range(len(shape))]
        return build.insert_slice(value, into, offsets, [1 if d == axis else n for d, n in enumerate(shape)])

    first = size - 1 if backward else 0
    running = [take(s, first) for s in sources]
    outs = [put(r, build.empty(s.type), first) for r, s in zip(running, sources, strict=True)]
    # Scalars are carried from step to step; slices are read back, so that one buffer serves the whole loop.
    carried = running + outs if flat else outs
    loop = scf.ForOp(build.index(1), build.index(size), build.index(1), carried)
    with ir.InsertionPoint(loop.body):
        step = loop.induction_variable
        at = arith.subi(build.index(size - 1), step) if backward else step
        outs = list(loop.inner_iter_args)[-len(sources) :]
        if flat:
            running = list(loop.inner_iter_args)[: len(sources)]
        else:
            before = arith.addi(at, build.index(1)) if backward else arith.subi(at, build.index(1))
            running = [take(o, before) for o in outs]
        arguments = running + [take(s, at) for s in sources]
        running = build.move_body(block, arguments) if flat else combine_slices(block, arguments)
        outs = [put(r, o, at) for r, o in zip(running, outs, strict=True)]
        scf.YieldOp(running + outs if flat else outs)
    return list(loop.results)[-len(sources) :]


def _as_index(at: int | ir.Value) -> ir.Value:
    return build.index(at) if isinstance(at, int) else at


def combine_slices(block: ir.Block, arguments: list[ir.Value]) -> list[ir.Value]:
    """The combiner on whole slices: its operations on tensors, or inside loops where that cannot be."""
    *body, terminator = block.operations
    half = len(arguments) // 2
    if not all(_is_elementwise(op.operation) for op in body):
        return build.map_block(block, arguments, [a.type for a in arguments[:half]])
    shape = arguments[0].type.shape
    known = dict(zip(block.arguments, arguments, strict=True))

    def on_tensors(value):
        if value not in known:  # a scalar from outside the combiner
            known[value] = tensor.SplatOp(build.tensor_type(shape, value.type), value, []).aggregate
        return known[value]

    for op in body:
        op = op.operation
        if op.name == "arith.constant":
            result = op.results[0].type
            filled = ir.DenseElementsAttr.get_splat(build.tensor_type(shape, result), op.attributes["value"])
            known[op.results[0]] = arith.ConstantOp(filled.type, filled).result
            continue
        new = ir.Operation.create(
            op.name,
            results=[build.tensor_type(shape, r.type) for r in op.results],
            operands=[on_tensors(o) for o in op.operands],
            attributes={name: op.attributes[name] for name in op.attributes},
        )
        known.update(zip(op.results, new.results, strict=True))
    return [on_tensors(o) for o in terminator.operands]


def _is_elementwise(op) -> bool:
    return op.name.startswith(("arith.", "math.")) and len(op.regions) == 0


def all_true(condition: ir.Value) -> ir.Value:
    """Whether all elements of an i1 tensor are true."""
    i1 = condition.type.element_type
    flat = reshape(condition, [math.prod(condition.type.shape)])
    start = linalg.fill(build.constant(i1, 1), outs=[build.empty(build.tensor_type([], i1))])
    op = linalg.ReduceOp([start.type], [flat], [start], [0])
    block = op.regions[0].blocks.append(i1, i1)
    with ir.InsertionPoint(block):
        linalg.YieldOp([arith.andi(*block.arguments)])
    return _scalar_of_rank_0(op.results[0], [])


PATTERNS = (reduce_to_reduce, scan_to_for)
