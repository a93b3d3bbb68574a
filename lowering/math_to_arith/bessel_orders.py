"""Bessel functions of integer order, by their recurrences from orders 0 and 1; loops as long as the order."""

from collections.abc import Callable

from vertebra.core.mlir import ir, scf
from vertebra.lowering.math_to_arith.bessel import j0, j1, y0, y1
from vertebra.lowering.math_to_arith.emit import Expr, Shape, select, wrap
from vertebra.lowering.math_to_arith.remainder import index_constant, largest


def repeat(count: Expr, step: Callable, state: list[Expr], given: list[Expr]) -> list[Expr]:
    """`state` after step(*state, *given) -> state, as often as the largest element of `count` says."""
    loop = scf.ForOp(index_constant(0), largest(count), index_constant(1), [x.value for x in state])
    shape = Shape(state[0].value.type)  # the loop's constants are unknown outside
    with ir.InsertionPoint(loop.body):
        carried = [wrap(v, shape) for v in loop.inner_iter_args]
        scf.YieldOp([x.value for x in step(*carried, *(wrap(x.value, shape) for x in given))])
    return [Expr(v, x.kind) for v, x in zip(loop.results, state, strict=True)]


def _upwards(a: Expr, order: Expr, zeroth: Expr, first: Expr) -> Expr:
    """The function of integer `order` >= 0 (a float) at a: C(k+1) = 2k/a * C(k) - C(k-1)."""

    def step(k, before, now, a, order):
        after = (k + k) / a * now - before
        more = (k < order) & (now.abs() < float("inf"))
        return k + 1.0, select(more, now, before), select(more, after, now)

    steps = (order - 1.0).to("i64")
    _, _, now = repeat(steps, step, [a.const(1.0), zeroth, first], [a, order])
    return select(order < 1.0, zeroth, now)


def _ratio(a: Expr, low: Expr, high: Expr) -> Expr:
    """J(high)(a) / J(low)(a) for orders a - 1 <= low <= high: the product of J(k) / J(k-1).

    These follow from k far above `high` downwards: J(k) / J(k-1) = 1 / (2k/a - J(k+1) / J(k)).
    """

    def step(k, ratio, product, a, low, high):
        ratio = 1.0 / ((k + k) / a - ratio)
        return k - 1.0, ratio, select((k > low) & (k <= high), product * ratio, product)

    start = (high + (high * 160.0).sqrt() + 20.0).floor()
    state = [start, a.const(0.0), a.const(1.0)]
    return repeat((start - low).to("i64"), step, state, [a, low, high])[2]


def _signed(n: Expr, flip: Expr, value: Expr) -> Expr:
    """-value where n is odd and `flip` holds."""
    return select((n & 1).eq(1) & flip, -value, value)


def jn(n: Expr, x: Expr) -> Expr:
    """Jn(x).  The error is n + 6 ULP of f64; where x > n, of sqrt(2 / (pi x)), in absolute terms."""
    wide = x.to("f64")
    a = wide.abs()
    order = n.to("f64").abs()
    turn = select(a < order, a.floor(), order)  # upwards is stable up to here
    value = _upwards(a, turn, j0(a), j1(a)) * _ratio(a, turn, order)
    value = _signed(n, wide < 0.0, _signed(n, n < 0, value))
    return value.to(x.kind.name)


def yn(n: Expr, x: Expr) -> Expr:
    """Yn(x); -inf at 0, NaN below.  The error is that of `y0` and `y1`, and n ULP of f64 more."""
    wide = x.to("f64")
    value = _upwards(wide, n.to("f64").abs(), y0(wide), y1(wide))
    return _signed(n, n < 0, value).to(x.kind.name)
