"""`sat` in Triton kernels: `import vertebra_saturate.language as sat`."""

import triton.language as tl
from triton.language.core import builtin

from vertebra.lowering.leave_call import leave_call


@builtin
def add(a, b, _semantic=None, _generator=None):
    """a + b, or the nearest number that the type has.

    a, b: integers of at most 32 bits, or tensors of them, of one type.  Raises TypeError for others.
    """
    if a.type != b.type or not a.dtype.is_int() or a.dtype.primitive_bitwidth > 32:
        raise TypeError(
            f"sat.add: a is {a.type} and b is {b.type}; give two of one type, integers of at most 32 bits"
        )
    # Enumerations are numbers in calls: 0 is signed, 1 is unsigned.
    (out,) = leave_call(
        _generator,
        "sat.add",
        {"a": a.handle, "b": b.handle},
        [a.type.to_ir(_semantic.builder)],
        {"sign": int(a.dtype.is_int_unsigned())},
    )
    return tl.tensor(out, a.type)
