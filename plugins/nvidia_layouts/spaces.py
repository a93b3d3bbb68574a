"""Memories and register files, and the shared-memory operands that both generations read.

Sources: the PTX ISA (sections on shared-memory matrix layouts, async proxy fences, stmatrix, tcgen05)
and CUTLASS's cute/atom/mma_traits_sm90_gmma.hpp and copy_traits_sm100.hpp.
"""

from typing import NamedTuple

from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.operand import Banks, Instruction, Operand, Space, Step
from vertebra.core.layout.swizzle import Xor

# The XORs that the units apply to byte addresses, by the bytes of their row.
SWIZZLES = {32: Xor(1, 4, 3), 64: Xor(2, 4, 3), 128: Xor(3, 4, 3)}

PROXY_FENCE = Step(
    "fence", "fence.proxy.async.shared::cta", "each storing thread", proxies=("generic", "async")
)
TENSOR_STORE_WAIT = Step(
    "drain", "tcgen05.wait::st.sync.aligned", "each storing thread", proxies=("tcgen05.st", "tcgen05.mma")
)


SMEM_STORES = (
    Instruction("st.shared.v4.b32", 16),
    Instruction("st.shared.v2.b32", 8),
    Instruction("st.shared.b32", 4),
    Instruction("st.shared.b16", 2),
    Instruction("st.shared.b8", 1),
    Instruction("stmatrix.sync.aligned.m8n8.x4.shared.b16", 16, rows=8, row_bytes=16, matrices=4),
)
SMEM_LOADS = (
    Instruction("ld.shared.v4.b32", 16),
    Instruction("ld.shared.v2.b32", 8),
    Instruction("ld.shared.b32", 4),
    Instruction("ld.shared.b16", 2),
    Instruction("ld.shared.b8", 1),
)

# 227 KB per CTA.  Buffers that swizzled descriptors name start at multiples of the pattern, 1024 bytes.
SMEM = Space(
    "sm90.smem",
    "memory",
    SMEM_STORES,
    SMEM_LOADS,
    banks=Banks(32, 4),
    fences=(PROXY_FENCE,),
    alignment=1024,
    swizzles=tuple(SWIZZLES.values()),
    capacity=232448,
)
REGISTERS = Space("gpu.registers", "registers", banks=Banks(32, 4))

# 128 lanes of 512 columns of 32 bits; bit 16 of an address is one lane.
TMEM_LANE_BYTES = 4 << 16
TMEM = Space(
    "sm100.tmem",
    "memory",
    stores=(*(Instruction(f"tcgen05.st.32x32b.x{n}", 4 * n) for n in (32, 16, 8, 4, 2, 1)),),
    loads=(*(Instruction(f"tcgen05.ld.32x32b.x{n}", 4 * n) for n in (32, 16, 8, 4, 2, 1)),),
    proxy="tcgen05.st",
    fences=(TENSOR_STORE_WAIT,),
    alignment=2048,
    lane_bytes=TMEM_LANE_BYTES,
    capacity=128 * 512 * 4,
)
SPACES = (SMEM, REGISTERS, TMEM)


class Descriptor(NamedTuple):
    """The 64 bits by which a unit finds an operand in shared memory.

    start: byte address of the first row.  stride: bytes between groups of eight rows (SBO).
    row: bytes of a swizzled row, 128, 64 or 32.  leading: LBO in bytes, unused when swizzled.
    """

    start: int
    stride: int
    row: int
    leading: int = 16

    def bits(self, layout_codes, layout_shift: int, version: int = 0) -> int:
        """start >> 4 in bits 0-13, LBO in 16-29, SBO in 32-45, version in 46-47, the layout on top."""
        word = (self.start >> 4) & 0x3FFF | (self.leading >> 4) << 16 | (self.stride >> 4) << 32
        return word | version << 46 | layout_codes[self.row] << layout_shift

    def address(self, row, byte):
        """Where the unit fetches byte `byte` of row `row` of one block: the XOR is on absolute addresses."""
        plain = self.start + self.stride * (row // 8) + self.row * (row % 8) + byte
        return SWIZZLES[self.row](plain)


def smem_a(name: str, shape, dtype: str, row: int, *, base: str, **steps) -> Operand:
    """A, K-major, in shared memory: blocks of all M rows by `row` bytes of K, rows XORed in groups of 8.

    Raises LayoutError for an M that is no multiple of 8 and a K that is none of the row.
    """
    m, k = shape
    wide = row * 8 // bits_of(dtype)
    if m % 8 or k % wide:
        raise LayoutError(
            f"{name} takes tiles of 8 rows by {wide} elements, and {m}x{k} is {m % 8} rows and {k % wide}"
            " elements too many",
            fix=f"pad it to {-(-m // 8) * 8}x{-(-k // wide) * wide}",
        )
    inner = (wide, k // wide)
    layout = Layout((m, inner), (wide, (1, m * wide)))
    return Operand(
        name,
        (m, k),
        dtype,
        SMEM._replace(name=base),
        layout,
        swizzle=SWIZZLES[row],
        reader="async",
        contraction=1,
        **steps,
    )


def descriptors(operand: Operand, instruction_bytes: int = 32) -> tuple[Descriptor, ...]:
    """The descriptors of A's steps along K: each instruction consumes 32 bytes of every row."""
    row = next(r for r, xor in SWIZZLES.items() if xor == operand.swizzle)
    m, k = operand.shape
    blocks = k * bits_of(operand.dtype) // 8 // row
    return tuple(
        Descriptor(block * m * row + step, 8 * row, row)
        for block in range(blocks)
        for step in range(0, row, instruction_bytes)
    )
