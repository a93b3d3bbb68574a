"""x86's dot-product instructions.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, VPDPBUSD, VPDPWSSD, VPMADDWD,
VDPBF16PS.  The integer ones wrap around like separate multiplications and additions.  VDPBF16PS
rounds to nearest after each of the two additions, reads subnormal bfloat16 operands as zero and
makes subnormal sums zero, whatever the processor's mode.
"""

from vertebra.core.mlir import ir
from vertebra.core.target import Core, MicroKernel
from vertebra.lowering.linalg_to_vector.lanes import create
from vertebra.plugins.host.dot_products import call, word_kernel

_PAIRS = {512: "llvm.x86.avx512.pmaddw.d.512", 256: "llvm.x86.avx2.pmadd.wd", 128: "llvm.x86.sse2.pmadd.wd"}


def micro_kernels(core: Core) -> tuple[MicroKernel, ...]:
    """Those that the core's features allow, the best first, and of one kind the widest first."""
    features = frozenset(core.features)
    found: list[MicroKernel] = []
    if "+avx512bf16" in features:
        found += [_brain_floats(width) for width in _widths(core, features)]
    if "+avx512vnni" in features:
        fused = _widths(core, features)
    else:
        fused = _widths(core, frozenset()) if "+avxvnni" in features else ()
    found += [_bytes(width) for width in fused]
    found += [_words(width) for width in fused]
    if not fused:
        found += [_pairs(width) for width in _plain_widths(core, features)]
    return tuple(found)


def _widths(core: Core, features: frozenset[str]) -> tuple[int, ...]:
    """Register widths of instructions that AVX-512 brought; without it, of their AVX forms."""
    widest = 512 if "+avx512f" in features else 256
    shorter = "+avx512vl" in features or "+avx512f" not in features
    return tuple(w for w in (512, 256, 128) if w <= min(widest, core.vector.bits) and (w == 512 or shorter))


def _plain_widths(core: Core, features: frozenset[str]) -> tuple[int, ...]:
    needs = {512: "+avx512bw", 256: "+avx2", 128: "+sse2"}
    return tuple(w for w, feature in needs.items() if w <= core.vector.bits and feature in features)


def _brain_floats(width: int) -> MicroKernel:
    def step(sums, a, b):
        return call(f"llvm.x86.avx512bf16.dpbf16ps.{width}", sums.type, [sums, a, b])

    return word_kernel("dpbf16ps", width, "bf16", "f32", step)


def _bytes(width: int) -> MicroKernel:
    def step(sums, unsigned, signed):
        return call(f"llvm.x86.avx512.vpdpbusd.{width}", sums.type, [sums, unsigned, signed])

    def swapped(sums, a, b):
        return step(sums, b, a)

    # Its first factor is unsigned: A goes in 128 higher, or B does.
    plain = word_kernel("vpdpbusd", width, "i8", "i32", swapped, b_offset=128)
    return word_kernel("vpdpbusd", width, "i8", "i32", step, a_offset=128, plain=plain)


def _words(width: int) -> MicroKernel:
    def step(sums, a, b):
        return call(f"llvm.x86.avx512.vpdpwssd.{width}", sums.type, [sums, a, b])

    return word_kernel("vpdpwssd", width, "i16", "i32", step)


def _pairs(width: int) -> MicroKernel:
    def step(sums, a, b):
        product = call(_PAIRS[width], ir.VectorType.get([width // 32], sums.type.element_type), [a, b])
        return create("arith.addi", sums.type, [sums, product])

    return word_kernel("pmaddwd", width, "i16", "i32", step)
