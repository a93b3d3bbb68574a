"""Which micro-kernel computes which columns of a matrix product, and in what tile of registers."""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import MicroKernel, VectorUnit
from vertebra.lowering.linalg_to_vector.lanes import create
from vertebra.lowering.linalg_to_vector.loops import pieces


@attrs.frozen
class Part:
    """Columns start <= j < stop of a product, computed by one micro-kernel.

    rows: most micro-kernel tiles one above the other, and vectors: side by side, whose sums stay
    in registers together.
    """

    kernel: MicroKernel
    start: int
    stop: int
    rows: int
    vectors: int

    @property
    def columns(self) -> int:
        """Columns of a tile of registers."""
        return self.vectors * self.kernel.shape[1]


def computing_type(acc):
    """Products accumulate in f32 or i32 at least; the result is rounded once."""
    if isinstance(acc, ir.FloatType):
        return acc if acc.width >= 32 else ir.F32Type.get()
    return acc if acc.width >= 32 else ir.IntegerType.get_signless(32)


def multiply_add(type, lanes: int) -> MicroKernel:
    """The kernel that every core has: one element of A times a row of B, in `type`."""

    def emit(a, b, acc):
        factor = create("vector.broadcast", acc.type, [a]) if lanes > 1 else a
        if isinstance(type, ir.FloatType):
            return create("math.fma", acc.type, [factor, b, acc])
        return create("arith.addi", acc.type, [create("arith.muli", acc.type, [factor, b]), acc])

    name = str(type)
    return MicroKernel("multiply-add", (1, lanes, 1), name, name, name, emit)


def parts(
    kernels: tuple[MicroKernel, ...], unit: VectorUnit, a, b, acc, size: tuple[int, int, int], unsigned: bool
) -> list[Part]:
    """How the columns of a product of `size` (m, n, k) are shared out; the first kernel that fits takes most.

    a, b: element types; acc: that of the sums.
    """
    m, n, k = size
    start, found = 0, []
    for kernel in kernels:
        (km, kn, kk) = kernel.shape
        stop = start + (n - start) // kn * kn
        fits = m % km == 0 and k >= kk and stop > start
        if (
            fits
            and kernel.acc == str(acc)
            and _holds(kernel.a, a, unsigned)
            and _holds(kernel.b, b, unsigned)
        ):
            found += _tiled(kernel, unit, acc.width, m, start, stop)
            start = stop
    while start < n:
        lanes = min(unit.lanes(acc.width), _power_of_two_below(n - start))
        stop = start + (n - start) // lanes * lanes
        found += _tiled(multiply_add(acc, lanes), unit, acc.width, m, start, stop)
        start = stop
    return found


def _power_of_two_below(n: int) -> int:
    return 1 << (n.bit_length() - 1)


def _holds(name: str, type, unsigned: bool) -> bool:
    """Whether elements of the (signed) type called `name` hold all values of `type`."""
    if name == str(type):
        return isinstance(type, ir.FloatType) or not unsigned
    kind, width = name.rstrip("0123456789"), int("0" + name.lstrip("abcdefghijklmnopqrstuvwxyz"))
    if isinstance(type, ir.FloatType):
        return kind == "f" and width >= 32 and width > type.width
    return kind == "i" and width > type.width


def _tiled(kernel: MicroKernel, unit: VectorUnit, bits: int, m: int, start: int, stop: int) -> list[Part]:
    """Parts of whole tiles: the largest whose sums, one row of B and one factor of A fit the registers.

    Two vectors of columns, where the registers allow it, halve the loads of A per product.
    """
    km, kn, _ = kernel.shape
    span = max(1, km * kn * bits // unit.bits)  # registers that one vector of sums takes
    available = unit.registers // span
    most = 2 if available >= 16 and stop - start >= 2 * kn else 1
    found = []
    for first, last, columns in pieces((stop - start) // kn, most):
        spare = 0 if unit.scalar_operand else 1
        rows = max(1, (available - columns - spare) // columns)
        if span == 1:
            rows = max(1, rows - 1)  # one register for what the compiler needs besides
        found.append(Part(kernel, start + first * kn, start + last * kn, min(rows, m // km), columns))
    return found
