"""x86's multiplication by a power of two: VSCALEFPS, VSCALEFPD.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, VSCALEFPS: the first operand times 2 to
the floor of the second one, rounded once; subnormal and infinite results and NaNs are IEEE 754's.
"""

from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.core.target import Core
from vertebra.lowering.linalg_to_vector.lanes import create
from vertebra.plugins.host.dot_products import call

_SUFFIX = {32: "ps", 64: "pd"}
_AS_SET = 4  # round as the processor's mode says


def ldexp(core: Core) -> Callable | None:
    """(x, n) -> x * 2**n on vectors that fill a register, where the processor has AVX-512; see `Target`."""
    features = frozenset(core.features)
    if core.arch != "x86_64" or "+avx512f" not in features:
        return None
    widths = {512, 256, 128} if "+avx512vl" in features else {512}
    return lambda x, n: _scale(x, n, widths)


def _scale(x, n, widths: set[int]):
    type = x.type
    if not isinstance(type, ir.VectorType) or type.rank != 1:
        return None
    (lanes,), element = type.shape, type.element_type
    if not isinstance(element, ir.F32Type | ir.F64Type) or lanes * element.width not in widths:
        return None
    bits = lanes * element.width
    every_lane = _constant(ir.IntegerType.get_signless(max(8, lanes)), -1)
    rounding = [_constant(ir.IntegerType.get_signless(32), _AS_SET)] if bits == 512 else []
    name = f"llvm.x86.avx512.mask.scalef.{_SUFFIX[element.width]}.{bits}"
    return call(name, type, [x, n, x, every_lane, *rounding])


def _constant(type, number: int):
    return create("arith.constant", type, [], {"value": ir.IntegerAttr.get(type, number)})
