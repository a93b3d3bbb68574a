"""Micro-kernels of instructions whose every lane takes up the products of two or four neighbours.

All of them see a word of 32 bits, the k elements of one row of A, in every lane, and as many words
of B, the k elements of one column each, as a register holds.
"""

from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.core.target import MicroKernel
from vertebra.lowering.linalg_to_vector.lanes import create


def call(intrinsic: str, result, operands: list):
    """An LLVM intrinsic, by its full name."""
    return create(
        "llvm.call_intrinsic",
        result,
        operands,
        {
            "intrin": ir.StringAttr.get(intrinsic),
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(operands), 0]),
            "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
        },
    )


def word_kernel(name: str, bits: int, element: str, acc: str, step: Callable, **fields) -> MicroKernel:
    """A kernel of one word of A and a register of `bits` of B, both of `element`.

    step: (sums, A's word in every lane, B's words) -> sums; the words are vectors of `element`.
    """
    lanes = bits // 32
    k = 32 // int(element.lstrip("abcdefghijklmnopqrstuvwxyz"))

    def emit(x, y, sums):
        word = ir.IntegerType.get_signless(32)
        (factor,) = _cast("vector.bitcast", [x], [1], word)
        words = ir.VectorType.get([lanes], word)
        same = create("vector.broadcast", words, [_only(factor)])
        (columns,) = _cast("vector.bitcast", [y], [lanes], word)
        return step(sums, *(_elements(v, x.type.element_type) for v in (same, columns)))

    def by_lanes(x, y, sums):
        return step(sums, *(exactly(v) for v in (x, y)))

    shape = (1, lanes, k)
    return MicroKernel(f"{name}.{bits}", shape, element, element, acc, emit, by_lanes=by_lanes, **fields)


def exactly(vector):
    """`vector` as an operand of an intrinsic: of its very type, where `float_bits` has made it bits."""
    (words,) = _cast("vector.bitcast", [vector], [_bits(vector) // 32], ir.IntegerType.get_signless(32))
    return _elements(words, vector.type.element_type)


def _elements(words, type):
    return _cast("llvm.bitcast", [words], [_bits(words) // type.width], type)[0]


def _bits(vector) -> int:
    return vector.type.shape[0] * vector.type.element_type.width


def _cast(name: str, values: list, shape: list[int], element) -> list:
    return [create(name, ir.VectorType.get(shape, element), [value]) for value in values]


def _only(vector):
    position = {"static_position": ir.DenseI64ArrayAttr.get([0])}
    return create("vector.extract", vector.type.element_type, [vector], position)
