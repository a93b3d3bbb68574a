"""What loads and runs compiled kernels, and how Python arguments become what a kernel sees."""

import contextlib
import ctypes
import functools
import os
import struct
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np

from vertebra.core.abi import bf16_bits, scalar_bits
from vertebra.core.buffers import Arguments, check_aligned, element_bytes
from vertebra.core.errors import ConfigError, LaunchError
from vertebra.core.target import Core


@attrs.frozen
class Binary:
    """What a runtime needs of a compiled kernel.

    name: the exported symbol.  object: an ELF relocatable object.  signature: Triton's type
    names of the run-time arguments, in slot order ('*fp32', 'i32', ...).  bounds: the last of them
    are hidden ones (see `core/bounds.py`).  arguments: what it says of the others.
    """

    name: str
    object: bytes
    scratch_bytes: int
    signature: tuple[str, ...]
    core: Core
    bounds: bool = False
    arguments: Arguments = attrs.field(factory=Arguments)


class LoadedKernel(Protocol):
    """A kernel that is ready to run."""

    def launch(self, grid: tuple[int, int, int], args: Sequence) -> None:
        """Runs every program of `grid` and returns when all have ended.

        args: tensors, arrays and numbers, in the order of the signature.  Raises LaunchError.
        """


class Runtime(Protocol):
    """One way of running kernels.

    One that emulates a processor may have `emulation(core) -> Emulation`, for libraries that run without it.
    """

    name: str

    def supports(self, core: Core) -> str | None:
        """None where kernels for `core` can be run here, else the reason why not."""

    def load(self, binary: Binary) -> LoadedKernel:
        """Raises LaunchError or ToolError where the kernel cannot be loaded."""


def num_threads() -> int:
    """$VERTEBRA_NUM_THREADS, or as many as there are CPUs for this process.

    Runtimes read it when a kernel is loaded.
    """
    text = os.environ.get("VERTEBRA_NUM_THREADS")
    if not text:
        return len(os.sched_getaffinity(0))
    if not text.isdecimal() or not 1 <= int(text) <= 4096:
        raise ConfigError(
            f"VERTEBRA_NUM_THREADS is {text!r}",
            fix="set it to a number of threads from 1 to 4096, or unset it",
        )
    return int(text)


def show(text: bytes) -> None:
    """Writes what a kernel prints to Python's standard output, at once: the kernel may crash next.

    An output that is closed is no reason to end the launch.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.write(text.decode(errors="replace"))
        sys.stdout.flush()


# --- Arguments -----------------------------------------------------------------------------

# Triton's type name -> how struct writes the value and fills its 8-byte slot.
_SLOT_FORMATS = {"fp16": "e6x", "bf16": "H6x", "fp32": "f4x", "f32": "f4x", "fp64": "d", "u64": "Q"}
_SLOT_FORMATS |= dict.fromkeys(("i1", "i8", "i16", "i32", "i64", "u1", "u8", "u16", "u32"), "q")


_Byte = ctypes.c_char


def _array_of(arg) -> np.ndarray | None:
    """A NumPy view of an array-like argument, or None where it has no memory of its own."""
    if isinstance(arg, np.ndarray):
        return arg
    if hasattr(arg, "__array_interface__"):
        return np.asarray(arg)
    if hasattr(arg, "__dlpack__"):
        try:
            return np.from_dlpack(arg)
        except (BufferError, RuntimeError, TypeError) as error:
            raise LaunchError(
                f"an argument of type {type(arg).__name__} is not in this machine's memory: {error}",
                fix="copy it to the CPU first",
            ) from None
    return None


def address_of(arg) -> int:
    """Where the first element of a pointer argument is, in this process.

    arg: a tensor (anything with `data_ptr()`), an array (`__array_interface__` or `__dlpack__`),
    or the address itself.
    """
    if type(arg) is np.ndarray:
        return _array_address(arg)
    try:
        data_ptr = arg.data_ptr
    except AttributeError:
        return _other_address(arg)
    if not getattr(arg, "is_cpu", True):
        raise LaunchError(
            f"a tensor is on device {arg.device}, the kernel reads the CPU's memory", fix="use .cpu()"
        )
    return data_ptr()


def _array_address(array: np.ndarray) -> int:
    try:  # four times faster than the other way, for arrays that are contiguous, writable and not empty
        return ctypes.addressof(_Byte.from_buffer(array))  # type: ignore[arg-type]  # a buffer
    except (TypeError, ValueError, BufferError):
        return array.__array_interface__["data"][0]


def _other_address(arg) -> int:
    if isinstance(arg, int) and not isinstance(arg, bool):
        return arg
    array = _array_of(arg)
    if array is None:
        raise LaunchError(
            f"a pointer is expected, and a value of type {type(arg).__name__} was given",
            fix="pass a torch tensor on the CPU, a NumPy array or an address",
        )
    return array.__array_interface__["data"][0]


@attrs.frozen
class Slots:
    """How the arguments of one signature fill their 8-byte slots (see core/abi.py).

    pointers: which slots hold addresses.  format: all slots in `struct` notation, without its
    byte-order character.  said: what the kernel says of its arguments.
    """

    kernel: str
    signature: tuple[str, ...]
    pointers: frozenset[int]
    format: str
    said: Arguments

    @classmethod
    def of(cls, binary: Binary) -> "Slots":
        """Raises LaunchError where a type has no form in a slot."""
        formats = []
        for number, name in enumerate(binary.signature):
            if not name.startswith("*") and name not in _SLOT_FORMATS:
                raise LaunchError(
                    f"argument {number} of kernel {binary.name} has type {name!r}, which cannot be passed",
                    fix=f"use a pointer, or one of {', '.join(sorted(_SLOT_FORMATS))}",
                )
            formats.append("Q" if name.startswith("*") else _SLOT_FORMATS[name])
        pointers = frozenset(i for i, name in enumerate(binary.signature) if name.startswith("*"))
        return cls(binary.name, binary.signature, pointers, "".join(formats), binary.arguments)

    def packer(self, prefix: str, address: Callable[[Any], int] = address_of) -> Callable[..., bytes]:
        """A function of (*prefix values, args) that packs `prefix` and then the slots, little endian.

        address: turns a pointer argument into its slot.  The function raises LaunchError for a
        wrong number of arguments, one of the wrong kind, or an address that is misaligned; with an `address`
        of one's own alignment is left to `check_aligned`.
        """
        pack = struct.Struct("<" + prefix + self.format).pack
        convert: list[Callable[[Any], int] | None] = [
            address if i in self.pointers else None for i in range(len(self.signature))
        ]
        for i, name in enumerate(self.signature):
            if name == "bf16":
                convert[i] = bf16_bits
        count = len(convert)

        def pack_carefully(*values_and_args) -> bytes:
            """What the written function does not do: numbers that wrap or become infinite, and errors."""
            *values, args = values_and_args
            if len(args) != count:
                raise LaunchError(
                    f"kernel {self.kernel} takes {count} arguments ({', '.join(self.signature)}), "
                    f"{len(args)} were given"
                )
            slots = [f(a) if f else a for f, a in zip(convert, args, strict=True)]
            if address is address_of:
                self.check_aligned(dict(enumerate(slots)))
            try:
                return pack(*values, *slots)
            except (struct.error, OverflowError, TypeError):
                pass
            try:
                head = struct.pack("<" + prefix, *values)
            except struct.error as error:
                raise LaunchError(f"kernel {self.kernel} cannot be launched with {values}: {error}") from None
            return head + b"".join(self._slot(i, s).to_bytes(8, "little") for i, s in enumerate(slots))

        return self._written_packer(prefix, address, pack, pack_carefully)

    def _written_packer(self, prefix: str, address, pack, pack_carefully) -> Callable[..., bytes]:
        """The packer as one straight-line function made for this signature: a launch costs little more."""
        head = struct.Struct("<" + prefix)
        heads = [f"v{i}" for i in range(len(head.unpack(bytes(head.size))))]
        names = [f"a{i}" for i in range(len(self.signature))]
        slots, by_size = [], defaultdict(list)
        for i, (name, kind) in enumerate(zip(names, self.signature, strict=True)):
            if i in self.pointers:
                slot = f"address({name})"
                if address is address_of:
                    slot = f"{name}.data_ptr() if type({name}) is not ndarray and {name}.is_cpu else {slot}"
                    if (size := element_bytes(kind)) > 1:
                        slot = f"(p{i} := {slot})"
                        by_size[size].append(f"p{i}")
            else:
                slot = f"bf16_bits({name})" if kind == "bf16" else name
            slots.append(slot)
        astray = " or ".join(f"({' | '.join(found)}) & {size - 1}" for size, found in by_size.items())
        source = f"""
def packed({", ".join([*heads, "args"])}):
    try:
        [{", ".join(names)}] = args
        request = pack({", ".join([*heads, *slots])})
        {f"if not ({astray}):" if astray else "if True:"}
            return request
    except Exception:
        pass
    return pack_carefully({", ".join([*heads, "args"])})
"""
        namespace = {
            "address": address,
            "bf16_bits": bf16_bits,
            "ndarray": np.ndarray,
            "pack": pack,
            "pack_carefully": pack_carefully,
        }
        exec(source, namespace)
        return namespace["packed"]

    def check_aligned(self, slots: Mapping[int, int]) -> None:
        """Raises LaunchError for an address in `slots`, by number, that is misaligned."""
        addresses = {number: slots[number] for number in sorted(self.pointers) if number in slots}
        check_aligned(self.kernel, self.signature, self.said, addresses)

    def _slot(self, number: int, value) -> int:
        name = self.signature[number]
        if number in self.pointers:
            return value & 0xFFFF_FFFF_FFFF_FFFF
        try:
            if name == "bf16":
                return value
            return scalar_bits(name, value)
        except OverflowError:
            return scalar_bits(name, float("inf") if value > 0 else float("-inf"))
        except (TypeError, ValueError, struct.error):
            raise LaunchError(
                f"argument {number} of kernel {self.kernel} is a {type(value).__name__}, its type is {name}",
                fix=f"pass a number for {name}",
            ) from None


def name_kernel(error: LaunchError, kernel: str) -> LaunchError:
    """`error` with the kernel's name in it."""
    if f"kernel {kernel}" in error.message:
        return error
    return LaunchError(f"kernel {kernel}: {error.message}", fix=error.fix)


# --- Memory, for runtimes that run elsewhere -------------------------------------------------


@attrs.frozen
class Storage:
    """A block of this process's memory that arguments stand on: [address, address + nbytes)."""

    address: int
    nbytes: int

    @property
    def end(self) -> int:
        return self.address + self.nbytes


def storage_of(arg) -> Storage:
    """The whole block of memory that a pointer argument is a view of.

    The block is the owner's, so that views which overlap share it: a tensor's untyped storage,
    or the array at the end of a chain of `.base`.  Raises LaunchError for a bare address, whose
    extent nobody knows.
    """
    if hasattr(arg, "untyped_storage"):
        address_of(arg)  # refuses a tensor that is not on the CPU
        storage = arg.untyped_storage()
        return Storage(storage.data_ptr(), storage.nbytes())
    array = _array_of(arg)
    if array is not None:
        low, high = np.lib.array_utils.byte_bounds(array)
        base = array.base
        while base is not None:
            if isinstance(base, np.ndarray):
                bounds = np.lib.array_utils.byte_bounds(base)
                low, high = min(low, bounds[0]), max(high, bounds[1])
            base = getattr(base, "base", None)
        return Storage(low, high - low)
    if hasattr(arg, "data_ptr") and hasattr(arg, "nbytes"):
        return Storage(address_of(arg), int(arg.nbytes))
    raise LaunchError(
        f"a value of type {type(arg).__name__} says where it is but not how long it is, and this kernel "
        "runs in another process",
        fix="pass a torch tensor on the CPU or a NumPy array",
    )


def merge(storages: Sequence[Storage]) -> list[Storage]:
    """`storages` joined where they overlap, in order of address, without the empty ones."""
    merged: list[Storage] = []
    for storage in sorted(storages, key=lambda s: s.address):
        if storage.nbytes == 0:
            continue
        if merged and storage.address < merged[-1].end:
            last = merged.pop()
            storage = Storage(last.address, max(last.end, storage.end) - last.address)
        merged.append(storage)
    return merged


@functools.cache
def _libc():
    libc = ctypes.CDLL(None)
    libc.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    return libc


def copy_changed(to: int, source: int, nbytes: int, *, block: int = 1 << 20) -> int:
    """Copies `nbytes` bytes from address `source` to `to`, and writes only blocks that differ.

    So memory that the kernel only reads, which may be read-only, is not written.  Returns the
    number of bytes written.
    """
    written = 0
    for offset in range(0, nbytes, block):
        size = min(block, nbytes - offset)
        if _libc().memcmp(to + offset, source + offset, size):
            ctypes.memmove(to + offset, source + offset, size)
            written += size
    return written


@attrs.frozen
class Emulation:
    """C code for programs that run kernels on an emulated processor, which lacks some of their instructions.

    start: a function of `sources`, without arguments and result, to be called before the first launch.
    headers: files that they include.  flags: for the compiler.  adapt: what else has to change in a
    kernel's object.
    """

    start: str
    sources: tuple[Path, ...]
    headers: tuple[Path, ...]
    flags: tuple[str, ...] = ()
    adapt: Callable[[bytes], bytes] | None = None


@attrs.frozen
class Emulator:
    """Software for instructions that an emulated processor lacks (see core/native/emulate.h).

    name: the C object, a `struct vertebra_emulator`, which `source` defines.  serves: names, without
    sign, of the features and extensions of a core (`vertebra.core.target.Core`) that it serves; it is told
    which of them the core has.  table: the text of NAME_table.h, which `source` may include.
    headers: other files that it includes.
    """

    name: str
    source: Path
    serves: frozenset[str]
    table: Callable[[], str] | None = None
    headers: tuple[Path, ...] = ()

    def served(self, core: Core) -> frozenset[str]:
        """What it serves of what `core` has."""
        return self.serves & ({feature.lstrip("+-") for feature in core.features} | core.extensions)
