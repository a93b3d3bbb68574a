"""Operations on one element at a time, scalars and tensors alike."""

import math

from vertebra.core.errors import CompileError
from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, ir
from vertebra.core.mlir import math as math_dialect
from vertebra.dialects import tt, ttg
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.libdevice import FUNCTIONS, find_function
from vertebra.lowering.tt_to_linalg.libdevice_integers import high_product
from vertebra.lowering.tt_to_linalg.shape import is_value, reshape


@pattern(tt.BitcastOp)
def bitcast_to_bitcast(op):
    if not is_value(op.src.type) or not is_value(op.result.type):
        return None
    return op.src if op.src.type == op.result.type else arith.bitcast(op.result.type, op.src)


@pattern(tt.ClampFOp)
def clampf_to_min_max(op):
    """min(max(x, low), high); a NaN in x gives low, or NaN where the kernel wants it passed on."""
    if op.propagateNan.keyword == "all":
        return arith.minimumf(arith.maximumf(op.x, op.min), op.max)
    return arith.minnumf(arith.maxnumf(op.x, op.min), op.max)


@pattern(tt.PreciseSqrtOp)
def precise_sqrt_to_sqrt(op):
    return math_dialect.sqrt(op.x)


@pattern(tt.PreciseDivFOp)
def precise_divf_to_divf(op):
    return arith.divf(op.x, op.y)


@pattern(tt.MulhiUIOp)
def mulhiui_to_muli(op):
    """The upper half of the unsigned product."""
    return high_product(op.x, op.y, arith.extui)


@pattern(tt.ExternElementwiseOp)
def extern_elementwise_to_math(op):
    """A call of a libdevice function, whoever's: the function's name says what it computes."""
    symbol = op.symbol.value
    compute = find_function(symbol)
    if compute is None:
        raise CompileError(
            f"the external function {symbol} is not supported",
            at=op,
            fix=f"write it with tl operations, or use one of {', '.join(sorted(FUNCTIONS))}",
        )
    return compute(op.result.type, *op.operands)


@pattern(tt.MapElementwiseOp)
def map_elementwise_to_generic(op):
    """out[i] = body(srcs[i]...); branches in the body are structured by now.

    With pack > 1 the body works on that many neighbours in row-major order at once: it takes and
    gives the first ones of a group, then the second ones, for each source and result in turn.
    Raises CompileError where pack does not divide the number of elements.
    """
    pack, block = op.pack.value, op.regions[0].blocks[0]
    types = [r.type for r in op.results]
    if pack == 1:
        return build.map_block(block, list(op.operands), types)
    shape = list(types[0].shape)
    count = math.prod(shape)
    if count % pack:
        raise CompileError(
            f"tt.map_elementwise: {count} elements in groups of {pack}",
            at=op,
            fix=f"use a pack that divides {count}",
        )
    grouped = [reshape(source, [count // pack, pack]) for source in op.operands]
    parts = [_column(source, place) for source in grouped for place in range(pack)]
    flat = [build.tensor_type([count // pack], t.element_type) for t in types for _ in range(pack)]
    columns = build.map_block(block, parts, flat)
    return [reshape(_beside_each_other(columns[i * pack : (i + 1) * pack]), shape) for i in range(len(types))]


def _column(source, place: int):
    rows = source.type.shape[0]
    return build.extract_slice(source, [0, place], [rows, 1], result_shape=[rows])


def _beside_each_other(columns: list):
    """out[i, p] = columns[p][i]"""
    (rows,), element = columns[0].type.shape, columns[0].type.element_type
    row = ir.AffineMap.get(2, 0, [ir.AffineDimExpr.get(0)])

    def choose(*values):
        chosen = values[-1]
        for place in reversed(range(len(values) - 1)):
            here = arith.cmpi(arith.CmpIPredicate.eq, build.loop_index(1), build.index(place))
            chosen = arith.select(here, values[place], chosen)
        return chosen

    result = build.tensor_type([rows, len(columns)], element)
    return build.generic(result, columns, [row] * len(columns), choose)


@pattern(tt.ElementwiseInlineAsmOp)
def inline_asm_is_refused(op):
    """All but the instructions by which a kernel on a GPU waits for the one before: that has ended here."""
    if op.attributes["asm_string"].value.lstrip().startswith("griddepcontrol."):
        return [build.constant(r.type, 0) for r in op.results]
    raise CompileError(
        f"inline assembly for a GPU cannot run here: {op.attributes['asm_string'].value!r}",
        at=op,
        fix="write the operation with tl functions; for 8-bit floats use fp8e5, fp8e4nv, fp8e5b16 or fp8e4b8",
    )


@pattern("llvm.intr.assume")
def assume_to_nothing(op):
    return []


@pattern(ttg.BarrierOp)
def barrier_to_nothing(op):
    """One thread runs a program from its beginning to its end, so everything is in order."""
    return []


PATTERNS = (
    bitcast_to_bitcast,
    clampf_to_min_max,
    precise_sqrt_to_sqrt,
    precise_divf_to_divf,
    mulhiui_to_muli,
    extern_elementwise_to_math,
    map_elementwise_to_generic,
    inline_asm_is_refused,
    assume_to_nothing,
    barrier_to_nothing,
)
