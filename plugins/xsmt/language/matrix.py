"""The packed matrix product."""

import triton.language as tl
from triton.language.core import builtin

from vertebra.core.select import find_core
from vertebra.core.tiles import products_of
from vertebra.lowering.leave_call import leave_call
from vertebra.plugins.xsmt.language.accumulators import refreshed, write_back
from vertebra.plugins.xsmt.language.arguments import (
    described,
    element_of,
    is_block,
    plain,
    shape_of,
    shown,
    tensor_type,
)

_FLOATS = (tl.float16, tl.bfloat16, tl.float32, tl.float64)
# Integers that linalg's products take, extended with their sign.
_AS_THEY_ARE = (tl.int8, tl.int16, tl.int32)


@builtin
def dot(a, b, acc=None, *, out_dtype=None, overwrite=False, _semantic=None, _generator=None):
    """out = a @ b, or acc + a @ b, on packed matrices

    a: (MB, KB, mb, kb); b: (KB, NB, kb, nb), or turned (NB, KB, nb, kb); out, acc: (MB, NB, mb, nb).
    Where a square b fits both readings the first holds, so a square b that was turned by
    hand is read wrongly: leave the turning to `dot`.

    out_dtype: the result's element type.  Without it that of acc, or of a; int32 for integers.
    Integers of up to 32 bits, signed or not, may differ; floats are float16 to float64.
    Sums are made in float32 (int32 for integers) and rounded once.  overwrite: acc gives
    the type only, its value is not added.  Where acc is a `view` of a variable, the result is also put
    into that part of the variable, for all who read it afterwards.  Raises ValueError with both shapes.
    """
    for name, value in (("a", a), ("b", b)):
        _check_packed(name, value)
    left, right = shape_of(a), shape_of(b)
    if left[1] == right[0] and left[3] == right[2]:
        columns, width = right[1], right[3]
        turned = tensor_type("dot", element_of(b), (columns, right[0], width, right[2]))
        b = tl.tensor(_semantic.builder.create_trans(b.handle, [1, 0, 3, 2]), turned)
    elif left[1] == right[1] and left[3] == right[3]:
        columns, width = right[0], right[2]
    else:
        raise ValueError(
            f"smt.dot: a is {shown(left)}, that is {left[1]} tiles of {left[3]} along K; b is {shown(right)};"
            f" b has to be {left[1]} x NB x {left[3]} x nb, or NB x {left[1]} x nb x {left[3]}"
        )
    shape = (left[0], columns, left[2], width)
    kinds = [element_of(a), element_of(b)]
    _check_types(kinds, _semantic)
    if kinds[0].is_int() != kinds[1].is_int():
        raise ValueError(
            f"smt.dot: a is of {kinds[0]} and b of {kinds[1]}; convert one, for example a.to({kinds[1]})"
        )
    if kinds[0].is_int() and (kinds[0] != kinds[1] or kinds[0] not in _AS_THEY_ARE):
        a, b = (_semantic.cast(x, tl.int32) for x in (a, b))  # engines find the narrow types again
    out_dtype, overwrite = plain(out_dtype), bool(plain(overwrite))
    operands = {"a": a.handle, "b": b.handle}
    if acc is not None:
        _check_packed("acc", acc)
        if shape_of(acc) != shape:
            raise ValueError(f"smt.dot: acc is {shown(shape_of(acc))}; a and b give {shown(shape)}")
        if out_dtype is not None and out_dtype != element_of(acc):
            raise ValueError(
                f"smt.dot: out_dtype is {out_dtype} and acc of {element_of(acc)}; give one of them"
            )
        out_dtype = element_of(acc)
        if not overwrite:
            operands["acc"] = refreshed(_semantic, _generator, acc).handle
    elif overwrite:
        raise ValueError("smt.dot: overwrite without acc; leave it out, the result is new")
    if out_dtype is None:
        out_dtype = tl.int32 if kinds[0].is_int() else kinds[0]
    if out_dtype.is_int() != kinds[0].is_int():
        raise ValueError(
            f"smt.dot: the product of {kinds[0]} and {kinds[1]} cannot be {out_dtype}; take"
            f" {'an integer' if kinds[0].is_int() else 'a float'} type and convert afterwards"
        )
    kind = tensor_type("dot", out_dtype, shape)
    (handle,) = leave_call(_generator, "xsmt.mmt4d", operands, [kind.to_ir(_semantic.builder)])
    product = tl.tensor(handle, kind)
    if acc is not None:
        write_back(_semantic, _generator, acc, product)
    return product


def _check_types(kinds: list, semantic) -> None:
    """Raises ValueError for types that no core multiplies, with the rows of the table that the core has."""
    if all(k in _FLOATS or (k.is_int() and k.primitive_bitwidth <= 32) for k in kinds):
        return
    core = getattr(semantic.builder.options, "core", None)
    known = products_of(find_core(core)) if core else ""
    raise ValueError(
        f"smt.dot: a is of {kinds[0]} and b of {kinds[1]}, which are not multiplied; use float16, bfloat16,"
        " float32, float64, or integers of 32 bits or fewer"
        + (f"; {core} has instructions for {known}" if known else "")
    )


def _check_packed(name: str, value) -> None:
    if not is_block(value) or len(shape_of(value)) != 4:
        raise ValueError(
            f"smt.dot: {name} is {described(value)}; it has to be a packed tensor of 4 dimensions:"
            f" smt.view({name}, (0, 0), shape, packed_size) makes one, from a pointer after tl.load"
        )
