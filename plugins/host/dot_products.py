"""x86's dot-product instructions: every lane takes up the products of two or four neighbouring elements.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, VPDPBUSD, VPDPWSSD, VDPBF16PS.
The integer ones wrap around like separate multiplications and additions.  VDPBF16PS rounds to
nearest after each of the two additions, reads subnormal bfloat16 operands as zero and makes
subnormal sums zero, whatever the processor's mode.
"""

from vertebra.core.mlir import ir
from vertebra.core.target import Core, MicroKernel
from vertebra.lowering.linalg_to_vector.lanes import create


def _word_kernel(intrinsic: str, a: str, b: str, acc: str, bits: int, offset: int = 0) -> MicroKernel:
    """A kernel of one 32-bit word of A and as many words of B as a register of `bits` holds."""
    lanes = bits // 32

    def emit(x, y, sums):
        k = x.type.shape[0]
        word = ir.IntegerType.get_signless(32)
        (factor,) = _cast("vector.bitcast", [x], [1], word)
        words = ir.VectorType.get([lanes], word)
        same = create("vector.broadcast", words, [_only(factor)])
        (columns,) = _cast("vector.bitcast", [y], [lanes], word)
        # Opaque to `float_bits`: the intrinsic wants the very type.
        left, right = _cast("llvm.bitcast", [same, columns], [lanes * k], x.type.element_type)
        ordered = [sums, left, right]
        return create(
            "llvm.call_intrinsic",
            sums.type,
            ordered,
            {
                "intrin": ir.StringAttr.get(f"{intrinsic}.{bits}"),
                "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(ordered), 0]),
                "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
            },
        )

    short = intrinsic.rpartition(".")[2]
    k = 32 // {"bf16": 16, "i16": 16, "i8": 8}[a]
    return MicroKernel(f"{short}.{bits}", (1, lanes, k), a, b, acc, emit, a_offset=offset)


def _cast(name: str, values: list, shape: list[int], element) -> list:
    return [create(name, ir.VectorType.get(shape, element), [value]) for value in values]


def _only(vector):
    position = {"static_position": ir.DenseI64ArrayAttr.get([0])}
    return create("vector.extract", vector.type.element_type, [vector], position)


def micro_kernels(core: Core) -> tuple[MicroKernel, ...]:
    """Those that the core's features allow, the widest first."""
    features = set(core.features)
    short = "+avx512vl" in features
    widths = tuple(w for w in (512, 256, 128) if w <= core.vector.bits and (w == 512 or short))
    found: list[MicroKernel] = []
    if "+avx512bf16" in features:
        found += [_word_kernel("llvm.x86.avx512bf16.dpbf16ps", "bf16", "bf16", "f32", w) for w in widths]
    if "+avxvnni" in features and "+avx512vnni" not in features:
        widths = tuple(w for w in (256, 128) if w <= core.vector.bits)
    elif "+avx512vnni" not in features:
        widths = ()
    # Its first factor is unsigned: A goes in 128 higher.
    found += [_word_kernel("llvm.x86.avx512.vpdpbusd", "i8", "i8", "i32", w, offset=128) for w in widths]
    found += [_word_kernel("llvm.x86.avx512.vpdpwssd", "i16", "i16", "i32", w) for w in widths]
    return tuple(found)
