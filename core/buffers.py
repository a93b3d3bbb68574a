"""What the memory of a launch's arguments must be like, told before the kernel runs.

Aligned: every pointer is a multiple of the size of its elements.  Apart: a kernel that uses a matrix engine
holds operands in registers and panels for longer than others do, so that programs which run at once must
not write what others still read in another place or as another type.  Work in place, on the same tensor,
is the kernel's own business.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from vertebra.core.errors import LaunchError

# How much `numpy.shares_memory` may try before two tensors count as apart.
_MOST_WORK = 100_000
_BITS = re.compile(r"(\d+)")


@attrs.frozen
class Arguments:
    """What a compiled kernel says of its run-time arguments.

    names: in slot order, empty where unknown.  stored: numbers of the pointers that it stores through.
    engine: whether it uses a matrix engine.
    """

    names: tuple[str, ...] = ()
    stored: tuple[int, ...] = ()
    engine: bool = False

    @classmethod
    def parse(cls, text: str) -> "Arguments":
        """The inverse of `text`."""
        engine, stored, names = text.split(";")
        numbers = tuple(int(number) for number in stored.split(",") if number)
        return cls(tuple(names.split(",")) if names else (), numbers, engine == "1")

    @property
    def text(self) -> str:
        return f"{self.engine:d};{','.join(map(str, self.stored))};{','.join(self.names)}"

    def name(self, number: int) -> str:
        """What people call argument `number`."""
        known = self.names[number] if number < len(self.names) else ""
        return f"argument {known}" if known else f"argument {number}"


def element_bytes(pointer: str) -> int:
    """The size of what a pointer of Triton type `pointer` points to: 4 for '*fp32', 8 for '**fp32'."""
    pointee = pointer[1:]
    found = None if pointee.startswith("*") else _BITS.search(pointee)
    return max(1, int(found[1]) // 8) if found else 8


def check_aligned(
    kernel: str, signature: Sequence[str], said: Arguments, addresses: Mapping[int, int]
) -> None:
    """Raises LaunchError for the first pointer that is no multiple of the size of its elements.

    addresses: number of an argument -> the address.
    """
    for number, address in addresses.items():
        size = element_bytes(signature[number])
        if address % size:
            raise LaunchError(
                f"{said.name(number)} of kernel {kernel} is misaligned: {address:#x} is {address % size}"
                f" bytes past a multiple of {size}, the size of an element of {signature[number][1:]}",
                fix=f"pass a tensor that starts at a multiple of {size} bytes, such as a copy of this one",
            )


def overlap_check(binary) -> Callable | None:
    """A function of (grid, args) that raises LaunchError where programs may write what others read.

    binary: a `vertebra.core.runtime.Binary`.  None where that cannot be: it uses no matrix engine, or stores
    through none of several pointers.
    """
    kernel, signature, said = binary.name, binary.signature, binary.arguments
    pointers = [number for number, kind in enumerate(signature) if kind.startswith("*")]
    stored = [number for number in pointers if number in said.stored]
    if not said.engine or not stored or len(pointers) < 2:
        return None
    pairs = [(s, p) for s in stored for p in pointers if p != s and not (p in stored and p < s)]

    def check(grid: tuple[int, int, int], args: Sequence) -> None:
        if math.prod(grid) < 2:
            return
        elements = {number: _elements(args[number]) for number in pointers if number < len(args)}
        for number, other in pairs:
            one, two = elements.get(number), elements.get(other)
            if one is None or two is None or not _share(one, two):
                continue
            if _start(one) == _start(two) and signature[number] == signature[other]:
                continue
            raise LaunchError(
                f"kernel {kernel} on grid {tuple(grid)} stores through {said.name(number)}"
                f" ({_shown(one, signature[number])}), which overlaps {said.name(other)}"
                f" ({_shown(two, signature[other])}): programs run at once, and the engine reads its"
                " operands ahead",
                fix="pass tensors without a common element, such as a copy, or for work in place the same"
                " tensor: same address, same type",
            )

    return check


class _Elements:
    """Elements in memory, for NumPy to look at."""

    def __init__(self, address: int, shape: Sequence[int], strides: Sequence[int], size: int):
        self.__array_interface__ = {
            "data": (address, True),
            "shape": tuple(shape),
            "strides": tuple(strides),
            "typestr": f"|V{size}",
            "version": 3,
        }


def _elements(arg) -> np.ndarray | None:
    """Where the elements of a pointer argument are; None where it does not say."""
    if isinstance(arg, np.ndarray):
        return arg
    try:
        size = arg.element_size()
        strides = [stride * size for stride in arg.stride()]
        return np.asarray(_Elements(arg.data_ptr(), arg.shape, strides, size))
    except (AttributeError, TypeError):
        return np.asarray(arg) if hasattr(arg, "__array_interface__") else None


def _share(one: np.ndarray, two: np.ndarray) -> bool:
    if not np.may_share_memory(one, two):  # the bounds alone
        return False
    try:
        return np.shares_memory(one, two, max_work=_MOST_WORK)  # type: ignore[arg-type]  # any number
    except np.exceptions.TooHardError:
        return False


def _start(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _shown(array: np.ndarray, kind: str) -> str:
    low, high = np.lib.array_utils.byte_bounds(array)
    return f"{kind[1:]}, bytes {low:#x} to {high - 1:#x}"
