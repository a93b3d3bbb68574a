"""What the functions of CUDA's libdevice compute, and AMD's under the same names.

FUNCTIONS: name without prefix and type suffix -> builder(result type, *operands).
"""

import re
from collections.abc import Callable

from vertebra.core.mlir import arith, ir, math
from vertebra.lowering.math_to_arith import FAST_EXPANSIONS, LIBRARY
from vertebra.lowering.tt_to_linalg import build, libdevice_integers, libdevice_narrow

_PREFIX = re.compile(r"^(__nv_|__ocml_)")
_SUFFIX = re.compile(r"_(f32|f64|f16)$")
_FAST = "fast_"
# A name's ending that says no more than the operand's type does.
_TYPES = ("f", "d", "ll")


def find_function(symbol: str) -> Callable | None:
    """The builder for '__nv_expf', '__ocml_exp_f32' or such, or None for a function that is unknown."""
    name = _SUFFIX.sub("", _PREFIX.sub("", symbol))
    compute = _find(name.removeprefix(_FAST))
    if compute is None or not name.startswith(_FAST):
        return compute
    return lambda result, *operands: _approximate(compute(result, *operands))


def _find(name: str) -> Callable | None:
    nearest = name.removesuffix("_rn")  # as everything is rounded
    spellings = [name, nearest]
    spellings += [spelling.removesuffix(ending) for spelling in spellings for ending in _TYPES]
    return next((FUNCTIONS[s] for s in spellings if s in FUNCTIONS), None)


def _approximate(value: ir.Value) -> ir.Value:
    """`value`, by the quicker variant of its function where there is one."""
    if value.owner.name in FAST_EXPANSIONS:
        value.owner.attributes["fastmath"] = ir.Attribute.parse("#arith.fastmath<afn>")
    return value


def _one(build_op):
    return lambda result, *operands: build_op(*operands)


def _formula(name: str) -> Callable:
    """A function of `LIBRARY`: a loop over the elements, since tensors of every step would be kept."""
    compute = LIBRARY[name]

    def build_op(result, *operands):
        if not isinstance(result, ir.RankedTensorType):
            return compute(*operands, type=operands[0].type)
        maps = [build.identity_map(len(result.shape))] * len(operands)
        return build.generic(result, operands, maps, lambda *x: compute(*x, type=x[0].type))

    return build_op


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
    return libdevice_integers.resize(result, sign)


def _fdim(result, x, y):
    """x - y where that is positive, else 0; NaN where one of them is."""
    zero = build.constant(x.type, 0.0)
    not_above = arith.cmpf(arith.CmpFPredicate.OLE, x, y)
    return arith.select(not_above, zero, arith.subf(x, y))


def _saturate(result, x):
    return arith.minnumf(arith.maxnumf(x, build.constant(x.type, 0.0)), build.constant(x.type, 1.0))


def _reciprocal(result, x):
    return arith.divf(build.constant(x.type, 1.0), x)


def _reciprocal_high(result, x):
    """The upper word of 1 / x, the lower one 0: an approximation to 2**-20."""
    bits = build.like(x.type, build.integer(64))
    quotient = arith.bitcast(bits, _reciprocal(result, x))
    return arith.bitcast(result, arith.andi(quotient, build.constant(bits, -1 << 32)))


def _directed() -> dict[str, Callable]:
    """The operations that round in a direction of their own, in libdevice's spelling."""
    found = {}
    for mode in ("rz", "rd", "ru"):
        for name in ("add", "sub", "mul", "div", "rcp", "sqrt"):
            found[f"f{name}_{mode}"] = found[f"d{name}_{mode}"] = _formula(f"{name}_{mode}")
        found[f"fma_{mode}"] = found[f"fmaf_{mode}"] = _formula(f"fma_{mode}")
        found[f"double2float_{mode}"] = _formula(f"narrow_{mode}")
        for spelling, sign in (("", "signed"), ("u", "unsigned")):
            for to, element in (("float", "f32"), ("double", "f64")):
                conversion = _formula(f"{sign}_to_{element}_{mode}")
                for kind in (f"{spelling}int", f"{spelling}ll"):
                    found[f"{kind}2{to}_{mode}"] = conversion
    return found


def _next_after(result, x, y):
    if libdevice_narrow.is_narrow(result):
        return libdevice_narrow.next_after(result, x, y)
    return _formula("nextafter")(result, x, y)


FUNCTIONS = {
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
    "expm1": _one(math.expm1),
    "floor": _one(math.floor),
    "fma": _one(math.fma),
    "fmax": _one(arith.maxnumf),
    "fmin": _one(arith.minnumf),
    "fmod": _one(arith.remf),
    "fdim": _fdim,
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
    "rcp64h": _reciprocal_high,
    "saturate": _saturate,
    "isnan": _is_nan,
    "isinf": _compare_with_infinity(arith.CmpFPredicate.OEQ),
    "isfinite": _compare_with_infinity(arith.CmpFPredicate.OLT),
    "finite": _compare_with_infinity(arith.CmpFPredicate.OLT),
    "signbit": _signbit,
    "double2float": arith.truncf,
    "scalbn": _formula("ldexp"),
    **{name: _formula(name) for name in LIBRARY if not name.endswith(("_rz", "_rd", "_ru"))},
    **_directed(),
    **libdevice_integers.FUNCTIONS,
    **libdevice_narrow.FUNCTIONS,
    "nextafter": _next_after,
}
