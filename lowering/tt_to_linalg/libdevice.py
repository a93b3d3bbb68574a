"""What the functions of CUDA's libdevice compute, and AMD's under the same names.

FUNCTIONS: name without prefix and type suffix -> builder(result type, *operands).
"""

import re

from vertebra.core.mlir import arith, math
from vertebra.lowering.tt_to_linalg import build

_PREFIX = re.compile(r"^(__nv_|__ocml_)")
_SUFFIX = re.compile(r"_(f32|f64|f16|rn)$")


def base_name(symbol: str) -> str:
    """'__nv_expf' -> 'exp', '__ocml_exp_f32' -> 'exp'; other spellings as they are."""
    name = _SUFFIX.sub("", _PREFIX.sub("", symbol))
    name = name.removeprefix("fast_")
    if name not in FUNCTIONS and name[:-1] in FUNCTIONS and name[-1] in "fd":
        return name[:-1]
    if name not in FUNCTIONS and name.removesuffix("ll") in FUNCTIONS:
        return name.removesuffix("ll")
    return name


def _one(build_op):
    return lambda result, *operands: build_op(*operands)


def _to_flag(result, condition):
    """An i1 as the integer type that the function returns."""
    return condition if condition.type == result else arith.extui(result, condition)


def _is_nan(result, x):
    return _to_flag(result, arith.cmpf(arith.CmpFPredicate.UNO, x, x))


def _compare_with_infinity(predicate):
    def compute(result, x):
        return _to_flag(result, arith.cmpf(predicate, math.absf(x), build.constant(x.type, float("inf"))))

    return compute


def _signbit(result, x):
    width = build.element_of(x.type).width
    bits = build.like(x.type, build.integer(width))
    sign = arith.shrui(arith.bitcast(bits, x), build.constant(bits, width - 1))
    have, want = width, build.element_of(result).width
    if have == want:
        return sign
    return arith.trunci(result, sign) if have > want else arith.extui(result, sign)


def _fdim(result, x, y):
    """x - y where that is positive, else 0; NaN where one of them is."""
    zero = build.constant(x.type, 0.0)
    not_above = arith.cmpf(arith.CmpFPredicate.OLE, x, y)
    return arith.select(not_above, zero, arith.subf(x, y))


def _saturate(result, x):
    return arith.minnumf(arith.maxnumf(x, build.constant(x.type, 0.0)), build.constant(x.type, 1.0))


def _hypot(result, x, y):
    """sqrt(x*x + y*y) without overflow on the way: the larger one is factored out."""
    x, y = math.absf(x), math.absf(y)
    large, small = arith.maximumf(x, y), arith.minimumf(x, y)
    ratio = arith.divf(small, large)
    root = math.sqrt(math.fma(ratio, ratio, build.constant(x.type, 1.0)))
    # 0/0 and inf/inf are no numbers; the larger one is the answer there, also next to a NaN.
    infinite = arith.cmpf(arith.CmpFPredicate.OEQ, arith.maxnumf(x, y), build.constant(x.type, float("inf")))
    zero = arith.cmpf(arith.CmpFPredicate.OEQ, large, build.constant(x.type, 0.0))
    length = arith.select(zero, large, arith.mulf(large, root))
    return arith.select(infinite, arith.maxnumf(x, y), length)


def _to_integer(result, x):
    return arith.fptosi(result, math.roundeven(x))


def _reciprocal(result, x):
    return arith.divf(build.constant(x.type, 1.0), x)


def _find_first_set(result, x):
    """One plus the place of the lowest set bit, 0 where there is none."""
    place = arith.addi(math.cttz(x), build.constant(x.type, 1))
    found = arith.cmpi(arith.CmpIPredicate.ne, x, build.constant(x.type, 0))
    return _resize(result, arith.select(found, place, build.constant(x.type, 0)))


def _resize(result, x):
    have, want = build.element_of(x.type).width, build.element_of(result).width
    if have == want:
        return x
    return arith.trunci(result, x) if have > want else arith.extui(result, x)


def high_product(x, y, extend):
    """The upper half of x * y, both brought to twice their width by `extend`."""
    width = build.element_of(x.type).width
    wide = build.like(x.type, build.integer(2 * width))
    product = arith.muli(extend(wide, x), extend(wide, y))
    return arith.trunci(x.type, arith.shrui(product, build.constant(wide, width)))


FUNCTIONS = {
    "abs": _one(math.absi),
    "llabs": _one(math.absi),
    "fabs": _one(math.absf),
    "acos": _one(math.acos),
    "acosh": _one(math.acosh),
    "asin": _one(math.asin),
    "asinh": _one(math.asinh),
    "atan": _one(math.atan),
    "atan2": _one(math.atan2),
    "atanh": _one(math.atanh),
    "cbrt": _one(math.cbrt),
    "ceil": _one(math.ceil),
    "copysign": _one(math.copysign),
    "cos": _one(math.cos),
    "cosh": _one(math.cosh),
    "erf": _one(math.erf),
    "erfc": _one(math.erfc),
    "exp": _one(math.exp),
    "exp2": _one(math.exp2),
    "exp10": lambda result, x: math.powf(build.constant(x.type, 10.0), x),
    "expm1": _one(math.expm1),
    "floor": _one(math.floor),
    "fma": _one(math.fma),
    "fmax": _one(arith.maxnumf),
    "fmin": _one(arith.minnumf),
    "fmod": _one(arith.remf),
    "fdim": _fdim,
    "hypot": _hypot,
    "log": _one(math.log),
    "log10": _one(math.log10),
    "log1p": _one(math.log1p),
    "log2": _one(math.log2),
    "nearbyint": _one(math.roundeven),
    "pow": _one(math.powf),
    "powi": _one(math.fpowi),
    "rint": _one(math.roundeven),
    "round": _one(math.round),
    "rsqrt": _one(math.rsqrt),
    "frsqrt": _one(math.rsqrt),
    "sin": _one(math.sin),
    "sinh": _one(math.sinh),
    "sqrt": _one(math.sqrt),
    "fsqrt": _one(math.sqrt),
    "dsqrt": _one(math.sqrt),
    "tan": _one(math.tan),
    "tanh": _one(math.tanh),
    "trunc": _one(math.trunc),
    "fadd": _one(arith.addf),
    "dadd": _one(arith.addf),
    "fsub": _one(arith.subf),
    "dsub": _one(arith.subf),
    "fmul": _one(arith.mulf),
    "dmul": _one(arith.mulf),
    "fdiv": _one(arith.divf),
    "ddiv": _one(arith.divf),
    "fdividef": _one(arith.divf),
    "frcp": _reciprocal,
    "drcp": _reciprocal,
    "saturate": _saturate,
    "isnan": _is_nan,
    "isinf": _compare_with_infinity(arith.CmpFPredicate.OEQ),
    "isfinite": _compare_with_infinity(arith.CmpFPredicate.OLT),
    "finite": _compare_with_infinity(arith.CmpFPredicate.OLT),
    "signbit": _signbit,
    "clz": lambda result, x: _resize(result, math.ctlz(x)),
    "popc": lambda result, x: _resize(result, math.ctpop(x)),
    "ffs": _find_first_set,
    "float_as_int": arith.bitcast,
    "float_as_uint": arith.bitcast,
    "int_as_float": arith.bitcast,
    "uint_as_float": arith.bitcast,
    "double_as_longlong": arith.bitcast,
    "longlong_as_double": arith.bitcast,
    "float2int_rz": arith.fptosi,
    "float2uint_rz": arith.fptoui,
    "float2ll_rz": arith.fptosi,
    "double2int_rz": arith.fptosi,
    "double2ll_rz": arith.fptosi,
    "int2float": arith.sitofp,
    "int2double": arith.sitofp,
    "ll2float": arith.sitofp,
    "ll2double": arith.sitofp,
    "uint2float": arith.uitofp,
    "uint2double": arith.uitofp,
    "double2float": arith.truncf,
    "llrint": _to_integer,
    "float2int": _to_integer,
    "float2ll": _to_integer,
    "double2int": _to_integer,
    "double2ll": _to_integer,
    "llround": lambda result, x: arith.fptosi(result, math.round(x)),
    "mulhi": lambda result, x, y: high_product(x, y, arith.extsi),
    "umulhi": lambda result, x, y: high_product(x, y, arith.extui),
    "mul64hi": lambda result, x, y: high_product(x, y, arith.extsi),
    "umul64hi": lambda result, x, y: high_product(x, y, arith.extui),
}
