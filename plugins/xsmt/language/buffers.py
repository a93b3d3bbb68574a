"""Scratch memory of a program."""

import triton.language as tl
from triton.language.core import base_type, base_value, builtin

from vertebra.lowering.leave_call import leave_call
from vertebra.plugins.xsmt.language.arguments import (
    constant,
    i32,
    integer,
    is_pair,
    note,
    plain,
    pointer_to,
    shown,
    sizes,
)
from vertebra.plugins.xsmt.language.views import make_view

# Names that scripts use for where memory should be.  Here they are hints: a CPU's caches decide.
STORAGES = ("fragment", "tcm", "l2", "ddr", "global")


@builtin
def alloc(shape, *args, _semantic=None, _generator=None, **named):
    """A pointer to a new block of memory, not initialised, which lives as long as the program.

    alloc(shape, type=float32, storage="l2"), where `scope` is another name for `storage`
    alloc(shape, dtype, micro, storage) and alloc(shape, micro, dtype), of earlier dates, give the
    pointer packed in tiles of `micro`, which has to divide the shape.
    """
    kind, micro, storage, rest = tl.float32, None, "l2", list(args)
    rest += [named.pop(n) for n in ("type", "dtype", "micro", "storage", "scope") if n in named]
    if named or len(rest) > 3:
        raise TypeError(
            f"smt.alloc: {len(rest) + 1} arguments{', and ' + ', '.join(named) if named else ''}; write"
            ' (shape, type=tl.float32, storage="l2")'
        )
    for value in rest:
        if isinstance(plain(value), tl.dtype):
            kind = plain(value)
        elif is_pair(value):
            micro = sizes("alloc", "micro", value)
        else:
            storage = _storage("alloc", value)
    shape = sizes("alloc", "shape", shape, rank=None)
    pointer = _allocate(_semantic, _generator, "xsmt.alloc", kind, shape, {"storage": storage})
    if micro is None:
        return pointer
    note("alloc with a tile size", "view(alloc(shape, type), (0, 0), shape, packed_size)")
    return make_view(_semantic, _generator, pointer, (0, 0), shape, micro, None)


@builtin
def alloc_copies(shape, dtype=tl.float32, storage="l2", copies=1, _semantic=None, _generator=None):
    """`copies` blocks of memory of one shape; `buffers[i]` is a pointer to one, i of run time or not."""
    shape = sizes("alloc_copies", "shape", shape, rank=None)
    copies = number_of_copies("alloc_copies", copies)
    storage = _storage("alloc_copies", storage)
    pointer = _allocate(
        _semantic,
        _generator,
        "xsmt.alloc_copies",
        plain(dtype),
        (copies, *shape),
        {"storage": storage, "copies": copies},
    )
    return Buffers(pointer.handle, BuffersType(plain(dtype), (copies, *shape)))


def number_of_copies(function: str, copies) -> int:
    """A compile-time number of copies.  Raises ValueError below 1."""
    copies = constant(function, "copies", copies)
    if copies < 1:
        raise ValueError(f"smt.{function}: {copies} copies; at least 1 is needed")
    return copies


def _storage(function: str, value) -> str:
    """A known place for memory.  Raises ValueError for any other name, with those that are known."""
    name = constant(function, "storage", value, str)
    if name not in STORAGES:
        raise ValueError(f"smt.{function}: there is no storage {name!r}; use one of {', '.join(STORAGES)}")
    return name


def _allocate(semantic, generator, operation, element, shape, attributes):
    if not isinstance(element, tl.dtype) or element.is_block() or element.is_ptr():
        raise TypeError(f"smt.alloc: the element type is {element!r}; give one such as tl.float16")
    kind = pointer_to(element, shape)
    (handle,) = leave_call(generator, operation, {}, [kind.to_ir(semantic.builder)], attributes)
    return tl.tensor(handle, kind)


class BuffersType(base_type):
    """element: what the memory holds.  shape: the copies, then the sizes of one."""

    def __init__(self, element: tl.dtype, shape: tuple[int, ...]):
        self.element, self.shape = element, shape

    def __eq__(self, other):
        return type(other) is BuffersType and (self.element, self.shape) == (other.element, other.shape)

    def __hash__(self):
        return hash((str(self.element), self.shape))

    def __repr__(self):
        return f"{self.shape[0]} buffers of {shown(self.shape[1:])} {self.element}"

    def _unflatten_ir(self, handles, cursor):
        return Buffers(handles[cursor], self), cursor + 1

    def _flatten_ir_types(self, builder, out):
        out.append(pointer_to(self.element, self.shape).to_ir(builder))

    def mangle(self):
        return f"buffers_{self.element.mangle()}_{shown(self.shape)}"


class Buffers(base_value):
    """What `alloc_copies` returns."""

    def __init__(self, handle, type):
        self.handle, self.type = handle, type

    def _flatten_ir(self, handles):
        handles.append(self.handle)

    @builtin
    def __getitem__(self, index, _semantic=None, _generator=None):
        index = integer("alloc_copies", "the index", index)
        copies, *shape = self.type.shape
        if isinstance(index, int) and not 0 <= index < copies:
            raise ValueError(f"smt.alloc_copies: index {index} of {copies} buffers; use 0 to {copies - 1}")
        kind = pointer_to(self.type.element, tuple(shape))
        operands = {"buffer": self.handle, "index": i32(_semantic, index)}
        (handle,) = leave_call(
            _generator, "xsmt.buffer_tensor_view", operands, [kind.to_ir(_semantic.builder)]
        )
        return tl.tensor(handle, kind)
