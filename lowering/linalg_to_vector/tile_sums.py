"""Small steps in a product's tile of sums."""

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Chunk, Lanes, Uniform, create


def added(values: list):
    """The sum of vectors of integers."""
    total, *rest = values
    for value in rest:
        total = create("arith.addi", total.type, [total, value])
    return total


def less(sums: list, excess: list) -> list:
    """Vectors of integers with what is too much in each of them taken off."""
    pairs = zip(sums, excess, strict=True)
    return [create("arith.subi", value.type, [value, surplus]) for value, surplus in pairs]


def converted(ev: Evaluator, chunk: Chunk, type) -> Chunk:
    """`chunk` in `type`, a wider or narrower one of the same kind, or its own."""
    if chunk.type == type:
        return chunk
    b = ev.b
    wider = type.width > chunk.type.width
    if isinstance(type, ir.FloatType):
        name = "arith.extf" if wider else "arith.truncf"
    else:
        name = "arith.extsi" if wider else "arith.trunci"
    if isinstance(chunk, Uniform):
        return Uniform(create(name, type, [b.scalar(chunk)]))
    return Lanes(create(name, b.vector_type(type), [b.vector(chunk)]))


def keep_order() -> None:
    """No load moves up across this, which costs no instruction.

    With few, long registers, all of which the sums and one row of B take, LLVM's scheduler would
    otherwise load several rows of B at once and spill sums for it.
    """
    acquire_release = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 6)
    fence = {"ordering": acquire_release, "syncscope": ir.StringAttr.get("singlethread")}
    ir.Operation.create("llvm.fence", [], [], fence)
