"""Kernels that check every access to the memory of their arguments, and what they have to be told.

Behind the arguments of its signature such a kernel has two hidden ones for each pointer, in order:
how many bytes of the tensor's storage lie before its address, and how many from there on.  Whoever
launches through `checked` passes none of them.
"""

from collections.abc import Sequence

import attrs

from vertebra.core.errors import LaunchError
from vertebra.core.runtime import Binary, LoadedKernel, address_of, storage_of

# The Triton types of the hidden arguments of one pointer.
HIDDEN = ("i64", "i64")
# What is told of an address whose extent nobody knows; no sum of two overflows.
UNKNOWN = 1 << 61


def hidden_types(signature: Sequence[str]) -> tuple[str, ...]:
    """The types of the hidden arguments behind those of `signature`."""
    return HIDDEN * sum(kind.startswith("*") for kind in signature)


def hidden_names(signature: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """A C name for each of them.  names: those of the arguments of `signature`."""
    pointers = [name for kind, name in zip(signature, names, strict=True) if kind.startswith("*")]
    return tuple(f"{name}_bytes_{where}" for name in pointers for where in ("before", "behind"))


def extent(arg) -> tuple[int, int]:
    """(bytes before, bytes from there on) of the storage around the address that a pointer argument has."""
    try:
        storage = storage_of(arg)
    except LaunchError:  # a bare address
        return UNKNOWN, UNKNOWN
    address = address_of(arg)
    return address - storage.address, storage.end - address


@attrs.frozen
class CheckedKernel:
    """A loaded kernel that is launched without the hidden arguments.  pointers: places of the others."""

    kernel: LoadedKernel
    pointers: tuple[int, ...]

    def launch(self, grid: tuple[int, int, int], args: Sequence) -> None:
        extents = [n for i in self.pointers if i < len(args) for n in extent(args[i])]
        self.kernel.launch(grid, (*args, *extents))


def checked(binary: Binary, kernel: LoadedKernel) -> LoadedKernel:
    """`kernel`, made of `binary`, as it is to be launched."""
    if not binary.bounds:
        return kernel
    return CheckedKernel(kernel, tuple(i for i, kind in enumerate(binary.signature) if kind.startswith("*")))
