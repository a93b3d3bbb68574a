"""Hints to the compiler, and what it knows of the machine."""

import triton.language as tl
from triton.language.core import base_value, builtin

from vertebra.lowering.leave_call import leave_call
from vertebra.plugins.xsmt.language.arguments import constant, plain


@builtin
def compile_hint(t, name, val=None, _semantic=None, _generator=None):
    """Attaches the hint `name` to a tensor; it never changes values.

    val: a bool or an int of 32 bits; what counts as false (None, 0, False, "") is a bare hint.
    """
    name, value = constant("compile_hint", "name", name, str), plain(val)
    if not isinstance(t, tl.tensor):
        raise TypeError(f"smt.compile_hint: {plain(t)!r} is no tensor; a hint belongs to a tensor")
    if value and not isinstance(value, int):
        kind = value.type if isinstance(value, base_value) else repr(value)
        raise ValueError(f"smt.compile_hint: the value of {name!r} is {kind}; give a bool, an int or none")
    if value and not -(2**31) <= value < 2**31:
        raise ValueError(f"smt.compile_hint: the value of {name!r} is {value}; it has to fit 32 bits")
    leave_call(_generator, "xsmt.annotation", {"src": t.handle}, (), {name: value or None})


@builtin
def get_num_of_thread(_semantic=None, _generator=None):
    """How many threads run this program, a scalar int32: the useful number of sub-blocks."""
    (handle,) = leave_call(_generator, "xsmt.get_num_of_thread", {}, [_semantic.builder.get_int32_ty()])
    return tl.tensor(handle, tl.int32)
