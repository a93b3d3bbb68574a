"""math -> arith: elementary functions as straight-line code that LLVM vectorises, without a math library.

So is `arith.remf`, for which LLVM would call the library too; it alone has a loop.

Every expansion works on scalars, vectors and tensors of f32 and f64, f16 and bf16
through f32, and is exact about subnormals, signed zeros, infinities and NaNs.  The
error bounds, in ULP of the result, stand beside each function.  What remains
(`fma`, `sqrt`, `absf`, `copysign`, `floor`, `ceil`, `trunc`, `round`, `roundeven`) is
an instruction, or a few, on every target with floating-point vectors and fused
multiply-add.
"""

import functools
from collections.abc import Callable
from types import MappingProxyType

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.math_to_arith import (
    activation,
    bessel,
    bessel_orders,
    directed,
    error_function,
    euclid,
    exponential,
    gamma,
    inverse_trigonometric,
    logarithm,
    power,
    remainder,
    representation,
    trigonometric,
)
from vertebra.lowering.math_to_arith.emit import Expr, Shape, wrap

_NARROW = ("f16", "bf16")


def _expansion(formula: Callable) -> Callable:
    """fn(*operands, type, ldexp) -> value(s): `formula` on values of `type`, at the insertion point."""

    def expand(
        *operands: ir.Value, type: ir.Type, ldexp: Callable | None = None
    ) -> ir.Value | tuple[ir.Value, ...]:
        shape = Shape(type, ldexp)
        arguments = [wrap(x, shape) for x in operands]
        narrow = next((x.kind.name for x in arguments if x.kind.name in _NARROW), None)
        if narrow:
            arguments = [x.to("f32") if x.kind.name == narrow else x for x in arguments]
        result = formula(*arguments)
        results = [result] if isinstance(result, Expr) else result
        values = tuple((x.to(narrow) if narrow and x.kind.format else x).value for x in results)
        return values[0] if isinstance(result, Expr) else values

    return expand


def _table(formulas: dict[str, Callable]) -> dict[str, Callable]:
    return {f"math.{name}": _expansion(formula) for name, formula in formulas.items()}


_FORMULAS: dict[str, Callable] = {
    "acos": inverse_trigonometric.acos,
    "acosh": logarithm.acosh,
    "asin": inverse_trigonometric.asin,
    "asinh": logarithm.asinh,
    "atan": inverse_trigonometric.atan,
    "atan2": inverse_trigonometric.atan2,
    "atanh": logarithm.atanh,
    "cbrt": power.cbrt,
    "cos": trigonometric.cos,
    "cosh": exponential.cosh,
    "erf": error_function.erf,
    "erfc": error_function.erfc,
    "exp": exponential.exp,
    "exp2": exponential.exp2,
    "expm1": exponential.expm1,
    "fpowi": power.fpowi,
    "ipowi": power.ipowi,
    "log": logarithm.log,
    "log10": logarithm.log10,
    "log1p": logarithm.log1p,
    "log2": logarithm.log2,
    "powf": power.powf,
    "rsqrt": power.rsqrt,
    "sin": trigonometric.sin,
    "sincos": trigonometric.sincos,
    "sinh": exponential.sinh,
    "tan": trigonometric.tan,
    "tanh": exponential.tanh,
}

_FAST_FORMULAS: dict[str, Callable] = {
    "cos": trigonometric.cos_fast,
    "erf": error_function.erf_fast,
    "exp": exponential.exp_fast,
    "exp2": exponential.exp2_fast,
    "log": logarithm.log_fast,
    "log2": logarithm.log2_fast,
    "sin": trigonometric.sin_fast,
    "sincos": trigonometric.sincos_fast,
    "tanh": exponential.tanh_fast,
}

_LIBRARY: dict[str, Callable] = {
    "cospi": trigonometric.cospi,
    "cyl_bessel_i0": bessel.cyl_bessel_i0,
    "cyl_bessel_i1": bessel.cyl_bessel_i1,
    "erfcinv": error_function.erfcinv,
    "erfcx": error_function.erfcx,
    "erfinv": error_function.erfinv,
    "exp10": power.exp10,
    "gelu_none": activation.gelu_none,
    "gelu_tanh": activation.gelu_tanh,
    "hypot": euclid.norm,
    "ilogb": representation.ilogb,
    "j0": bessel.j0,
    "j1": bessel.j1,
    "jn": bessel_orders.jn,
    "ldexp": representation.ldexp,
    "lgamma": gamma.lgamma,
    "logb": representation.logb,
    "nextafter": representation.nextafter,
    "norm3d": euclid.norm,
    "norm4d": euclid.norm,
    "normcdf": error_function.normcdf,
    "normcdfinv": error_function.normcdfinv,
    "rcbrt": power.rcbrt,
    "remainder": remainder.remainder,
    "rhypot": euclid.rnorm,
    "rnorm3d": euclid.rnorm,
    "rnorm4d": euclid.rnorm,
    "silu": activation.silu,
    "sinpi": trigonometric.sinpi,
    "tgamma": gamma.tgamma,
    "y0": bessel.y0,
    "y1": bessel.y1,
    "yn": bessel_orders.yn,
}


def _directed() -> dict[str, Callable]:
    """Each operation in each direction: add_rz, add_rd, ..."""
    operations = ("add", "sub", "mul", "div", "rcp", "sqrt", "fma", "narrow")
    found: dict[str, Callable] = {}
    for mode in ("rz", "rd", "ru"):
        for name in operations:
            found[f"{name}_{mode}"] = functools.partial(getattr(directed, name), mode=mode)
        for signed in (True, False):
            for to in ("f32", "f64"):
                name = f"{'signed' if signed else 'unsigned'}_to_{to}_{mode}"
                found[name] = functools.partial(directed.from_integer, to=to, mode=mode, signed=signed)
    return found


LIBRARY = MappingProxyType({n: _expansion(f) for n, f in (_LIBRARY | _directed()).items()})
"""Functions that `math` has no operation for: name -> fn(*operands, type) -> value, as in `EXPANSIONS`.

type: any type of the operands' shape.
"""

EXPANSIONS = MappingProxyType(_table(_FORMULAS) | {"arith.remf": _expansion(remainder.remf)})
"""Operation name -> fn(*operands, type=result type) -> value, or a tuple of values for math.sincos.

They also take `ldexp`, the instruction of `core.target.Target.ldexp`.
"""

FAST_EXPANSIONS = MappingProxyType(_table(_FAST_FORMULAS))
"""Looser and quicker, on f32, f16 and bf16; the bounds stand beside each function."""


def _element(type_: ir.Type) -> str:
    return str(type_.element_type if isinstance(type_, ir.ShapedType) else type_)


def expand_math(module_op, *, fast: bool = False, ldexp: Callable | None = None) -> int:
    """Replaces every operation of `EXPANSIONS` below `module_op` in place; returns how many there were.

    fast: take `FAST_EXPANSIONS` where they exist.  An operation with fastmath flag `afn`
    (approximate functions) gets them in any case.  ldexp: as in `EXPANSIONS`.
    Raises CompileError for a tensor whose shape is not known.
    """
    found = []

    def visit(op):
        if op.operation.name in EXPANSIONS:
            found.append(op)
        return ir.WalkResult.ADVANCE

    module_op.operation.walk(visit)
    for op in found:
        _expand(op, fast, ldexp)
    return len(found)


def _expand(op, fast: bool, ldexp: Callable | None) -> None:
    type_ = op.results[0].type
    if isinstance(type_, ir.ShapedType) and not (type_.has_rank and type_.has_static_shape):
        raise CompileError(
            f"{op.name}: cannot make constants of the unknown shape {type_}",
            at=op,
            fix="expand after vectorising, or inside a linalg.generic",
        )
    approximate = fast or ("fastmath" in op.attributes and "afn" in str(op.attributes["fastmath"]))
    table = EXPANSIONS
    if approximate and op.name in FAST_EXPANSIONS and _element(type_) != "f64":
        table = FAST_EXPANSIONS
    with op.location, ir.InsertionPoint(op):
        new = table[op.name](*op.operands, type=type_, ldexp=ldexp)
    for old, value in zip(op.results, new if isinstance(new, tuple) else (new,), strict=True):
        old.replace_all_uses_with(value)
    op.erase()
