"""`from triton.language.extra import libdevice` for this back end, and `triton.language.extra.cpu.libdevice`.

The functions, their operand types and the symbols that they leave in the IR are those of
Triton's own module for CUDA; here they take float16 and bfloat16, too, by way of float32, and
there are those that only other back ends' modules have.
"""

import functools
import inspect
from collections.abc import Callable

from triton.language import core
from triton.language.extra.cuda import libdevice

_NARROW = {core.float16: "half", core.bfloat16: "bfloat16"}
_DIRECTIONS = ("_rz", "_rd", "_ru")


def _call(symbol: str, args: list, result: core.dtype, semantic):
    """The function `symbol` of operands of any types."""
    types = {tuple(x.dtype for x in args): (symbol, result)}
    return core.extern_elementwise("", "", args, types, is_pure=True, _semantic=semantic)


def _narrowed(value, to: core.dtype, name: str, semantic):
    """A float32 as float16 or bfloat16 `to`, rounded as the function `name` says."""
    if name.endswith(_DIRECTIONS):
        return _call(f"__nv_float2{_NARROW[to]}{name[-3:]}", [value], to, semantic)
    return value.to(to, _semantic=semantic)


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
            return _narrowed(result, narrow, function.__name__, _semantic)
        return result

    return call


def _is_function(thing) -> bool:
    return inspect.isfunction(thing) and thing.__module__ == libdevice.__name__


globals().update({name: _widening(f) for name, f in inspect.getmembers(libdevice, _is_function)})


def _declared(name: str, symbols: dict[str, str], result: core.dtype | None = None) -> Callable:
    """A function of one operand: its type's name -> symbol; the result is of that type, or `result`."""

    def function(arg0, _semantic=None):
        types = {(core.dtype(t),): (s, result or core.dtype(t)) for t, s in symbols.items()}
        value = core.extern_elementwise("", "", [arg0], types, is_pure=True, _semantic=_semantic)
        return value if result is None else value.to(core.int1, _semantic=_semantic)

    function.__name__ = name
    return _widening(function)


def _both(name: str) -> dict[str, str]:
    return {"fp32": f"__nv_{name}f", "fp64": f"__nv_{name}"}


silu, gelu_tanh, gelu_none = (_declared(name, _both(name)) for name in ("silu", "gelu_tanh", "gelu_none"))
fast_tanhf = _declared("fast_tanhf", {"fp32": "__nv_fast_tanhf"})
# Triton's own take one of the two types each.
finitef, isfinited = (
    _declared(name, {"fp32": "__nv_finitef", "fp64": "__nv_isfinited"}, core.int32)
    for name in ("finitef", "isfinited")
)

_next_after = globals()["nextafter"]  # one of Triton's


@core.builtin
def nextafter(arg0, arg1, _semantic=None):
    """The neighbour of arg0 on the way to arg1, in their own type."""
    args = [_semantic.to_tensor(x) for x in (arg0, arg1)]
    narrow = next((x.dtype for x in args if x.dtype in _NARROW), None)
    if narrow is None or any(x.dtype != narrow for x in args):
        return _next_after(*args, _semantic=_semantic)
    return _call("__nv_nextafter", args, narrow, _semantic)
