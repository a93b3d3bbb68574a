"""What the functions of `smt` ask of their arguments, and the errors when they do not get it."""

import math
import warnings

import triton.language as tl
from triton.language.core import _unwrap_if_constexpr as plain
from triton.language.core import base_value

Tensor = tl.tensor


class MemoryType(tl.block_type):
    """What a block pointer points to: a tensor type without Triton's rule for sizes, as nothing holds it."""

    def __init__(self, element_ty, shape):
        self.element_ty = element_ty
        self.shape = tl.tuple(shape)
        self.numel = math.prod(self.shape)
        self.name = f"<{self.shape}, {element_ty}>"


def tensor_type(function: str, element: tl.dtype, shape) -> tl.block_type:
    """The type of a result.  Raises ValueError for sizes that Triton's IR does not take."""
    odd = [size for size in shape if size & (size - 1)]
    if odd:
        legal = ", ".join(f"{1 << (s.bit_length() - 1)} or {1 << s.bit_length()} for {s}" for s in odd)
        raise ValueError(
            f"smt.{function}: the result would be {shown(shape)}, and Triton takes tensors only of sizes that"
            f" are powers of two: {legal} are the nearest; choose a shape and a tile of powers of two"
        )
    return tl.block_type(element, list(shape))


def items(value) -> list:
    """The members of a list, a Triton tuple or a constant of either; a single value is a list of one."""
    value = plain(value)
    if isinstance(value, tl.tuple):
        value = value.values
    return [plain(v) for v in value] if isinstance(value, list | tuple) else [value]


def is_pair(value) -> bool:
    """Whether an argument is a list (of sizes or offsets), not a value."""
    return isinstance(plain(value), list | tuple | tl.tuple)


def is_pointer(value) -> bool:
    """Whether an argument is a pointer to a block (of `tl.make_block_ptr`, `alloc` or `view`)."""
    return isinstance(value, Tensor) and value.type.is_ptr() and value.type.element_ty.is_block()


def is_block(value) -> bool:
    """Whether an argument is a tensor with dimensions."""
    return isinstance(value, Tensor) and value.type.is_block()


def shape_of(value) -> tuple[int, ...]:
    """The sizes of a tensor, or of what a block pointer points to."""
    kind = value.type.element_ty if is_pointer(value) else value.type
    return tuple(plain(s) for s in kind.shape)


def element_of(value) -> tl.dtype:
    return value.type.element_ty.element_ty if is_pointer(value) else value.type.element_ty


def pointer_to(element: tl.dtype, shape) -> tl.pointer_type:
    return tl.pointer_type(MemoryType(element, shape))


def described(value) -> str:
    """What an argument is, for an error."""
    if is_block(value):
        return f"a {shown(shape_of(value))} tensor of {element_of(value)}"
    if is_pointer(value):
        return f"a pointer to {shown(shape_of(value))} {element_of(value)}"
    return str(value.type) if isinstance(value, base_value) else repr(plain(value))


def shown(shape) -> str:
    """(64, 32) -> '64x32'."""
    return "x".join(str(s) for s in shape)


def constant(function: str, name: str, value, kind: type = int):
    """A compile-time value of `kind`.  Raises TypeError for a run-time value."""
    value = plain(value)
    if isinstance(value, base_value):
        raise TypeError(
            f"smt.{function}: {name} is a run-time value; make it a tl.constexpr or a literal {kind.__name__}"
        )
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"smt.{function}: {name} is {value!r}; it has to be of type {kind.__name__}")
    return value


def sizes(function: str, name: str, value, *, rank: int | None = 2, least: int = 1) -> tuple[int, ...]:
    """Compile-time sizes, `rank` of them, each `least` or more."""
    found = items(value)
    if rank is not None and len(found) != rank:
        raise ValueError(
            f"smt.{function}: {name} has {len(found)} members; give {rank}, one for each dimension"
            " of the plain matrix"
        )
    known = tuple(constant(function, f"{name}[{i}]", v) for i, v in enumerate(found))
    for i, size in enumerate(known):
        if size < least:
            raise ValueError(f"smt.{function}: {name}[{i}] is {size}; it has to be at least {least}")
    return known


def offsets(function: str, value, rank: int = 2) -> list:
    """`rank` offsets, each an int or a scalar integer of run time."""
    found = items(value)
    if len(found) != rank:
        raise ValueError(f"smt.{function}: {len(found)} offsets for {rank} dimensions; give {rank}")
    for i, offset in enumerate(found):
        integer(function, f"offset {i}", offset)
    return found


def integer(function: str, name: str, value):
    """An int or a scalar integer tensor, unchanged.  Raises TypeError for anything else."""
    value = plain(value)
    scalar = isinstance(value, Tensor) and not value.type.is_block() and value.type.scalar.is_int()
    if not scalar and (not isinstance(value, int) or isinstance(value, bool)):
        raise TypeError(f"smt.{function}: {name} is {described(value)}; it has to be an integer")
    return value


def i32(semantic, value):
    """The IR handle of an integer as i32."""
    value = plain(value)
    if isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            raise ValueError(f"{value} does not fit 32 bits; the range is {-(2**31)} to {2**31 - 1}")
        return semantic.builder.get_int32(value)
    return semantic.cast(value, tl.int32).handle


def ceil_div(size: int, tile: int) -> int:
    return -(-size // tile)


def note(old: str, new: str) -> None:
    """Tells that a signature of an earlier date was used, and today's."""
    warnings.warn(f"smt: {old} is an old signature; write {new}", FutureWarning, stacklevel=4)
