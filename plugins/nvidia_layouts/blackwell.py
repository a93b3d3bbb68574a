"""sm100: accumulators and A operands in tensor memory, A operands in shared memory."""

from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.operand import Family, Operand, Step
from vertebra.core.layout.owners import Owners
from vertebra.plugins.nvidia_layouts import budgets
from vertebra.plugins.nvidia_layouts.spaces import SMEM, TMEM, smem_a

# The descriptor's layout codes (bits 61-63) by the bytes of a row.
LAYOUT_CODES = {128: 2, 64: 4, 32: 6}
_SOFTMAX = "128 threads"
_MMA = "one thread of the MMA warp"

_BEFORE_READ = (
    Step(
        "wait",
        "wait for S full, an mbarrier that tcgen05.commit of the first product arrives at",
        _SOFTMAX,
        "S full",
    ),
    Step("load", "tcgen05.ld.32x32b.x32, one per 32 columns", _SOFTMAX),
    Step("drain", "tcgen05.wait::ld.sync.aligned", _SOFTMAX),
    Step("release", "arrive: S may be overwritten", _SOFTMAX, "S empty", 128),
)
_BEFORE_WRITE = (
    Step(
        "wait",
        "wait for P empty, which tcgen05.commit of the last product on this slot arrives at",
        _SOFTMAX,
        "P empty",
    ),
)
_AFTER_WRITE = (
    Step(
        "arrive", "arrive at P full: 128 arrivals, twice as many for a pair of CTAs", _SOFTMAX, "P full", 128
    ),
    Step("wait", "wait for P full", _MMA, "P full"),
    Step(
        "issue",
        "the second product's tcgen05.mma, one per 32 bytes of a row; the first without accumulation",
        _MMA,
    ),
    Step("commit", "tcgen05.commit: P empty, O full", _MMA, "P empty, O full"),
)
_EXPERIMENTS = (
    "P := 1: O must be the column sums of V exactly (tests V, O, where A is fetched, and the fences,"
    " without any mapping)",
    "P := one-hot at key j: O's rows must be V's row j (tests the order of K)",
    "P := one-hot at a key that depends on m: tests the rows",
    "dump the destination raw and compare with the formula",
    "only then the softmax: any mix of P still averages V, so a wrong P leaves a cosine of 0.3 or more;"
    " a cosine near 0 is a fault outside P (V, O, descriptors, ordering)",
)


def _rows(name: str, shape) -> tuple[int, int]:
    if shape[0] != 128 or shape[1] % 32 or shape[1] > 512:
        raise LayoutError(
            f"{name} has 128 lanes and up to 512 columns in steps of 32, not {shape[0]}x{shape[1]}",
            fix="use 128 rows, and a multiple of 32 columns",
        )
    return shape


def accumulator(shape) -> Operand:
    """C of tcgen05.mma with M = 128, as its four warps load it: thread t holds row t, all columns.

    A warp reaches lanes 32 * (warp % 4) and the 31 after; row max and row sum need no shuffle.
    """
    m, n = _rows("sm100.tmem.C", shape)
    return Operand(
        "sm100.tmem.C",
        shape,
        "f32",
        TMEM,
        Layout((m, n), (TMEM.lane_bytes // 4, 1)),
        owners=Owners(Layout(((32, 4), n), ((1, 32), 128)), shape),
        before=_BEFORE_READ,
    )


def tmem_a(dtype: str):
    def make(shape) -> Operand:
        """A of tcgen05.mma in tensor memory: lane m, two or four elements to a 32-bit column."""
        m, k = _rows(f"sm100.tmem.A.{dtype}", shape)
        return Operand(
            f"sm100.tmem.A.{dtype}",
            shape,
            dtype,
            TMEM,
            Layout((m, k), (TMEM.lane_bytes * 8 // bits_of(dtype), 1)),
            reader="tcgen05.mma",
            contraction=1,
            before=_BEFORE_WRITE,
            after=_AFTER_WRITE,
            budgets=budgets.table,
        )

    return Family(f"sm100.tmem.A.{dtype}", (128, 128), make, "A of tcgen05.mma in tensor memory")


def _smem(dtype: str, row: int) -> Family:
    name = f"sm100.smem.A.{dtype}.sw{row}"

    def make(shape) -> Operand:
        return smem_a(
            name,
            shape,
            dtype,
            row,
            base="sm100.smem",
            before=_BEFORE_WRITE,
            after=_AFTER_WRITE,
            budgets=budgets.table,
            notes=_EXPERIMENTS,
        )

    return Family(name, (128, 128), make, f"A of tcgen05.mma in shared memory, K-major, {row}-byte swizzle")


FAMILIES = (
    SMEM._replace(name="sm100.smem"),
    Family("sm100.tmem.C", (128, 128), accumulator, "C of tcgen05.mma (M = 128), through tcgen05.ld.32x32b"),
    *(tmem_a(dtype) for dtype in ("bf16", "f16", "f8e4m3")),
    *(_smem(dtype, row) for dtype in ("bf16", "f16", "f8e4m3") for row in (128, 64, 32)),
)
