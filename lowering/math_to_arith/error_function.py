"""erf and erfc."""

from vertebra.lowering.math_to_arith.coefficients import ERF, ERF_TAIL, ERFC, EXP
from vertebra.lowering.math_to_arith.emit import Expr, horner, power_of_two, scale, select
from vertebra.lowering.math_to_arith.exponential import exp_parts

# The K of the variable (x - K) / (x + K), and where erfc has become 0.
ERFC_K = {"mid": 2.5, "f64": 3.25}
ERFC_LIMIT = {"mid": 10.5, "f64": 27.5}
# erf is 1 from here on.
ERF_LIMIT = {"f32": 3.95, "f64": 6.0}


def _erf_unit(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    """erf(x) for |x| <= 1."""
    return x.fma(horner(x * x, coefficients), x)


def _erfc_tail(a: Expr, variant: str) -> tuple[Expr, Expr]:
    """p and n with erfc(a) = p * 2**n, for a >= 1/2.

    exp(-a*a) takes the rounding error of a*a into account.
    """
    a = a.at_most(ERFC_LIMIT[variant])
    k = ERFC_K[variant]
    square = a * a
    lost = a.fma(a, -square)
    p, n = exp_parts(-square, EXP[variant])
    reciprocal = 1.0 / (a + k)
    q = horner((a - k) * reciprocal, ERFC[variant]) * reciprocal
    return (-lost).fma(p, p) * q, n


def _erf_f32(x: Expr, variant: str) -> Expr:
    """1 - exp(-t(|x|)) for |x| > 1, with t a polynomial."""
    a = x.abs()
    t = horner(a.at_most(ERF_LIMIT["f32"]), ERF_TAIL[variant])
    p, n = exp_parts(-t, EXP["f32" if variant == "f32" else "fast"])
    tail = (-p).fma(power_of_two(n), 1.0)
    return select(a > 1.0, tail, _erf_unit(a, ERF[variant])).copysign(x)


def erf(x: Expr) -> Expr:
    """f32: 2 ULP, f64: 2 ULP."""
    if x.kind.name == "f32":
        return _erf_f32(x, "f32")
    a = x.abs()
    p, n = _erfc_tail(a.at_most(ERF_LIMIT["f64"]), "f64")
    return select(a > 1.0, (-p).fma(power_of_two(n), 1.0), _erf_unit(a, ERF["f64"])).copysign(x)


def erf_fast(x: Expr) -> Expr:
    """f32: 4 ULP."""
    return _erf_f32(x, "fast")


def erfc(x: Expr) -> Expr:
    """1 - erf(x) for |x| <= 1/2, else the tail, or 2 less it.  f32: 1 ULP (computed in f64), f64: 4 ULP."""
    variant = "mid" if x.kind.name == "f32" else "f64"
    wide = x.to("f64")
    a = wide.abs()
    p, n = _erfc_tail(a, variant)
    tail = p * power_of_two(n) if variant == "mid" else scale(p, n)
    tail = select(wide < 0.0, 2.0 - tail, tail)
    near = 1.0 - _erf_unit(wide, ERF[variant])
    result = select(a > 0.5, tail, near)
    return result.to(x.kind.name)
