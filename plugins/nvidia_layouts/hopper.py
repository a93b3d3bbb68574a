"""sm90: wgmma's accumulators and register operands, A operands in shared memory.

Source: the PTX ISA, "Register Fragments and Shared Memory Matrix Layouts" of wgmma, and CUTLASS's
cute/atom/mma_traits_sm90_gmma.hpp.
"""

from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.operand import Family, Operand, Step
from vertebra.core.layout.owners import Owners
from vertebra.plugins.nvidia_layouts.spaces import REGISTERS, smem_a

# The descriptor's layout codes (bits 62-63) by the bytes of a row.
LAYOUT_CODES = {128: 1, 64: 2, 32: 3}
_GROUP = "128 threads"

_REGISTER_READ = (Step("wait", "wgmma.wait_group: the accumulators are complete", _GROUP, "S full"),)
_REGISTER_USE = (
    Step("fence", "wgmma.fence.sync.aligned, before the registers are read", _GROUP),
    Step("issue", "wgmma.mma_async with A from registers", _GROUP),
    Step("commit", "wgmma.commit_group, and wait_group before the registers change", _GROUP, "P empty"),
)
_BEFORE_WRITE = (
    Step("wait", "wgmma.wait_group: the last product that read this slot is done", _GROUP, "P empty"),
)
_AFTER_WRITE = (
    Step("arrive", "barrier of all that stored (bar.sync, or an mbarrier)", _GROUP, "P full", 128),
    Step("wait", "the same barrier", "the warps that multiply", "P full"),
    Step("fence", "wgmma.fence.sync.aligned", "the warps that multiply"),
    Step(
        "issue",
        "wgmma.mma_async with A from descriptors, one per 32 bytes of a row",
        "the warps that multiply",
    ),
    Step(
        "commit", "wgmma.commit_group: P empty when wait_group returns", "the warps that multiply", "P empty"
    ),
)


def _tile(name: str, shape, step: int) -> tuple[int, int]:
    if shape[0] != 64 or shape[1] % step:
        raise LayoutError(
            f"{name} has 64 rows and columns in steps of {step}, not {shape[0]}x{shape[1]}",
            fix=f"use 64 rows, and a multiple of {step} columns",
        )
    return shape


def _warpgroup(shape, values) -> Owners:
    return Owners(Layout(((4, 8, 4), values[0]), ((values[2], 1, 16), values[1])), shape)


def accumulator(shape) -> Operand:
    """Row 16 * (t/32) + (t%32)/4 + 8 * (v/2%2), column 8 * (v/4) + 2 * (t%4) + v%2."""
    m, n = _tile("sm90.wgmma.C", shape, 8)
    owners = _warpgroup(shape, ((2, 2, n // 8), (m, 8, 8 * m), 2 * m))
    return Operand("sm90.wgmma.C", shape, "f32", REGISTERS, owners=owners, before=_REGISTER_READ)


def _registers(dtype: str) -> Family:
    name = f"sm90.wgmma.A.{dtype}"
    pack = 32 // bits_of(dtype)  # elements of a 32-bit register

    def make(shape) -> Operand:
        """Row as the accumulator's; a register holds `pack` neighbours along K, four registers a step."""
        m, k = _tile(name, shape, 8 * pack)
        owners = _warpgroup(shape, ((pack, 2, k // (4 * pack)), (m, 8, 4 * pack * m), pack * m))
        return Operand(name, shape, dtype, REGISTERS, owners=owners, contraction=1, after=_REGISTER_USE)

    return Family(name, (64, 128), make, "A of wgmma in registers")


def _smem(dtype: str, row: int) -> Family:
    name = f"sm90.smem.A.{dtype}.sw{row}"

    def make(shape) -> Operand:
        return smem_a(name, shape, dtype, row, base="sm90.smem", before=_BEFORE_WRITE, after=_AFTER_WRITE)

    return Family(name, (64, 128), make, f"A of wgmma in shared memory, K-major, {row}-byte swizzle")


FAMILIES = (
    Family("sm90.wgmma.C", (64, 128), accumulator, "C of wgmma.m64nNk16 in the registers of a warpgroup"),
    *(_registers(dtype) for dtype in ("bf16", "f16", "f8e4m3")),
    *(_smem(dtype, row) for dtype in ("bf16", "f16", "f8e4m3") for row in (128, 64, 32)),
)
