"""AArch64's dot-product and matrix instructions on vectors of 128 bits.

Source: Arm Architecture Reference Manual for A-profile, SDOT, SMMLA, BFDOT, BFMMLA.  The integer
ones wrap around.  BFDOT and BFMMLA, unless a process asks for FEAT_EBF16's rounding, add the products of
a pair with rounding to odd and read and write subnormal numbers as zero.
"""

from vertebra.core.target import Core, MicroKernel
from vertebra.plugins.host.dot_products import call, exactly, word_kernel


def micro_kernels(core: Core) -> tuple[MicroKernel, ...]:
    """Those that the core's features allow, the most products per instruction first."""
    features = frozenset(core.features)
    return tuple(kernel for feature, kernel in _KERNELS if feature in features)


def _dot(name: str, element: str, acc: str) -> MicroKernel:
    intrinsic = f"llvm.aarch64.neon.{name}.{_vector(acc, 32)}.{_vector(element)}"
    return word_kernel(name, 128, element, acc, lambda s, a, b: call(intrinsic, s.type, [s, a, b]))


def _square(name: str, element: str, acc: str, k: int, suffix: str = "") -> MicroKernel:
    """Two rows by two columns: the register of A holds two rows, that of B two columns, of k elements."""

    def emit(a, b, sums):
        return call(f"llvm.aarch64.neon.{name}{suffix}", sums.type, [sums, exactly(a), exactly(b)])

    return MicroKernel(name, (2, 2, k), element, element, acc, emit)


def _vector(element: str, bits: int = 0) -> str:
    width = bits or int(element.lstrip("abcdefghijklmnopqrstuvwxyz"))
    return f"v{128 // width}{element}"


_KERNELS = (
    ("+bf16", _square("bfmmla", "bf16", "f32", 4)),
    ("+bf16", _dot("bfdot", "bf16", "f32")),
    ("+i8mm", _square("smmla", "i8", "i32", 8, ".v4i32.v16i8")),
    ("+dotprod", _dot("sdot", "i8", "i32")),
)
