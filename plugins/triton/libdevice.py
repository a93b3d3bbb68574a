"""`from triton.language.extra import libdevice` for this back end.

The functions, their operand types and the symbols that they leave in the IR are those of
Triton's own module for CUDA; here they take float16 and bfloat16, too, by way of float32.
"""

import functools
import inspect
from collections.abc import Callable

from triton.language import core
from triton.language.extra.cuda import libdevice

_NARROW = (core.float16, core.bfloat16)


def _widening(function: Callable) -> Callable:
    """`function`, which knows float32 and float64, for narrower floats as well."""

    @core.builtin
    @functools.wraps(function)
    def call(*args, _semantic=None):
        args = [_semantic.to_tensor(x) for x in args]
        floats = [x.dtype for x in args if x.dtype.is_floating()]
        narrow = floats[0] if floats and all(kind in _NARROW for kind in floats) else None
        args = [x.to(core.float32, _semantic=_semantic) if x.dtype in _NARROW else x for x in args]
        try:
            result = function(*args, _semantic=_semantic)
        except KeyError as error:
            types = ", ".join(str(x.dtype) for x in args)
            raise ValueError(
                f"libdevice.{function.__name__} does not take ({types}); convert the operands with .to(...), "
                "floats to float32 or float64 and integers to int32 or int64"
            ) from error
        if narrow is not None and result.dtype == core.float32:
            return result.to(narrow, _semantic=_semantic)
        return result

    return call


def _is_function(thing) -> bool:
    return inspect.isfunction(thing) and thing.__module__ == libdevice.__name__


globals().update({name: _widening(f) for name, f in inspect.getmembers(libdevice, _is_function)})
