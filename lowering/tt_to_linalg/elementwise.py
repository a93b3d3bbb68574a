"""Operations on one element at a time, scalars and tensors alike."""

from vertebra.core.errors import CompileError
from vertebra.core.lower import pattern
from vertebra.core.mlir import arith, math
from vertebra.dialects import tt, ttg
from vertebra.lowering.tt_to_linalg import build
from vertebra.lowering.tt_to_linalg.libdevice import FUNCTIONS, base_name, high_product
from vertebra.lowering.tt_to_linalg.shape import is_value


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
    return math.sqrt(op.x)


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
    compute = FUNCTIONS.get(base_name(symbol))
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

    Raises CompileError for pack > 1, where the body works on several elements at once.
    """
    if op.pack.value != 1:
        raise CompileError(
            f"tt.map_elementwise: pack = {op.pack.value} is not supported", at=op, fix="leave pack at 1"
        )
    return build.map_block(op.regions[0].blocks[0], list(op.operands), [r.type for r in op.results])


@pattern(tt.ElementwiseInlineAsmOp)
def inline_asm_is_refused(op):
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
