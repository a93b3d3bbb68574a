"""The arithmetic on sizes and addresses that a kernel's `linalg` stage has, on Python's integers."""

import operator
from collections.abc import Callable

from vertebra.core.roofline.values import DATA


def _quotient(a: int, b: int):
    return DATA if b == 0 else -(-a // b) if (a < 0) != (b < 0) else a // b


def _remainder(a: int, b: int):
    return DATA if b == 0 else a - b * _quotient(a, b)


# Numbers are signed here; addresses and sizes do not wrap.
ARITHMETIC: dict[str, Callable[[int, int], object]] = {
    "arith.addi": operator.add,
    "arith.subi": operator.sub,
    "arith.muli": operator.mul,
    "arith.divsi": _quotient,
    "arith.divui": _quotient,
    "arith.remsi": _remainder,
    "arith.remui": _remainder,
    "arith.floordivsi": lambda a, b: DATA if b == 0 else a // b,
    "arith.ceildivsi": lambda a, b: DATA if b == 0 else -(-a // b),
    "arith.ceildivui": lambda a, b: DATA if b == 0 else -(-a // b),
    "arith.minsi": min,
    "arith.minui": min,
    "arith.maxsi": max,
    "arith.maxui": max,
    "arith.andi": operator.and_,
    "arith.ori": operator.or_,
    "arith.xori": operator.xor,
    "arith.shli": lambda a, b: a << b if 0 <= b < 64 else DATA,
    "arith.shrsi": lambda a, b: a >> b if 0 <= b < 64 else DATA,
    "arith.shrui": lambda a, b: a >> b if 0 <= b < 64 and a >= 0 else DATA,
}

CONVERSIONS = frozenset(
    f"arith.{name}" for name in ("index_cast", "index_castui", "extsi", "extui", "trunci")
)

# By the number of the predicate in arith.cmpi.
PREDICATES = (
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    *(
        (lambda a, b, f=f: f(a & _ALL, b & _ALL))
        for f in (operator.lt, operator.le, operator.gt, operator.ge)
    ),
)
_ALL = (1 << 64) - 1
