"""NumPy arrays and NumPy scalars as kernel arguments.

Triton takes the type of an argument in one function, `native_specialize_impl`, which
knows Python's numbers and whatever has `data_ptr()`; it refuses the rest with a
TypeError.  The functions that call it, one for each kernel, are written by
`triton.runtime.jit.create_function_from_signature`.  `install` wraps that function, and
only what it writes for our back end is changed: where Triton refuses an argument, a
second copy of the same function is called, whose `specialize_impl` knows NumPy too.
"""

import functools
import types

import numpy as np

from vertebra.core.runtime import address_of

# A tuple may hold the others.
_NOT_NATIVE = (np.ndarray, np.generic, tuple)


def install() -> None:
    """Idempotent.  Kernels that are launched for the first time afterwards accept NumPy."""
    from triton.runtime import jit

    if not hasattr(jit.create_function_from_signature, "vertebra"):
        jit.create_function_from_signature = _around(jit.create_function_from_signature)


def _around(create):
    from vertebra.plugins.triton.compiler import VertebraBackend

    @functools.wraps(create)
    def create_function_from_signature(signature, params, backend):
        binder = create(signature, params, backend)
        return _accept_numpy(binder) if isinstance(backend, VertebraBackend) else binder

    create_function_from_signature.vertebra = True
    return create_function_from_signature


def _accept_numpy(binder):
    """`binder`, Triton's own function for one kernel, for NumPy arguments too."""
    known = binder.__globals__
    names = {**known, "specialize_impl": _specializer(known["specialize_impl"])}
    general = types.FunctionType(binder.__code__, names, binder.__name__, binder.__defaults__)
    first = binder

    def bind(*args, **options):
        nonlocal first
        try:
            return first(*args, **options)
        except TypeError:
            if first is general:
                raise
        bound = general(*args, **options)
        first = general  # who passes arrays once will do so again
        return bound

    return bind


def _specializer(native):
    def specialize(backend, arg, is_const, specialize_value, align):
        """(Triton's type name, what the kernel may assume of the value) as Triton wants it."""
        if not isinstance(arg, _NOT_NATIVE):
            return native(backend, arg, is_const, specialize_value, align)
        if isinstance(arg, np.ndarray):
            name = _pointer_type(arg.dtype, is_const)
            if not specialize_value:
                return name, None
            return name, "D" if align and address_of(arg) % 16 == 0 else ""
        if isinstance(arg, np.generic):
            return native(backend, arg.item(), is_const, specialize_value, align)
        parts = [specialize(backend, part, is_const, specialize_value, align) for part in arg]
        make = getattr(type(arg), "_make", tuple)
        return make(name for name, _ in parts), make(value for _, value in parts)

    return specialize


@functools.lru_cache(maxsize=256)
def _pointer_type(dtype: np.dtype, is_const: bool) -> str:
    """'*fp32' for float32.  Raises TypeError for what has no type in Triton."""
    from triton._utils import canonicalize_ptr_dtype

    if not dtype.isnative:
        raise TypeError(
            f"a NumPy array of {dtype.name} in the other byte order cannot be an argument; "
            "use array.astype(array.dtype.newbyteorder('='))"
        )
    try:
        return canonicalize_ptr_dtype(dtype, is_const)
    except KeyError:
        raise TypeError(f"a NumPy array of {dtype} cannot be an argument: Triton has no such type") from None
