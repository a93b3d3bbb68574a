"""Memory that this process and the emulated one both see."""

import ctypes
import mmap
import os
from bisect import bisect_right
from collections.abc import Mapping

from vertebra.core.runtime import Storage, copy_changed, merge

PAGE = 4096
# What lies between two blocks: neither zero nor a plausible number, so that reading it shows.
_GAP = b"\xa5" * PAGE


class SharedMemory:
    """A block of anonymous memory with a file descriptor; it vanishes with its last user."""

    def __init__(self):
        self.file = os.memfd_create("vertebra")
        self.nbytes = 0
        self._map: mmap.mmap | None = None
        self.address = 0

    def grow(self, nbytes: int) -> None:
        if nbytes <= self.nbytes:
            return
        nbytes = max(-(-nbytes // PAGE) * PAGE, 2 * self.nbytes)
        os.ftruncate(self.file, nbytes)
        self._map = mmap.mmap(self.file, nbytes)
        self.nbytes = nbytes
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)
        self.file, self._map, self.nbytes = -1, None, 0


class Placement:
    """Where the memory of one launch's arguments lies in the shared memory.

    arguments: number of a pointer argument -> the block it is a view of.  A block keeps its
    address modulo the page size, hence every alignment that it has here.  Between blocks there
    is a gap that no kernel may touch.
    """

    def __init__(self, arguments: Mapping[int, Storage]):
        self._arguments = arguments
        self.storages = merge(list(arguments.values()))
        self._starts = [s.address for s in self.storages]
        self.offsets: list[int] = []
        end = 0
        for storage in self.storages:
            offset = end + PAGE + (storage.address - end) % PAGE
            self.offsets.append(offset)
            end = offset + storage.nbytes
        self.nbytes = end + PAGE

    def offset_of(self, address: int) -> int:
        """The offset in shared memory of what is at `address` here.

        An address in none of the blocks (that of an empty tensor) is given a gap.
        """
        index = bisect_right(self._starts, address) - 1
        if index >= 0 and address <= self.storages[index].end:
            return self.offsets[index] + address - self.storages[index].address
        return 0

    def copy_in(self, memory: SharedMemory) -> None:
        memory.grow(self.nbytes)
        for storage, offset in zip(self.storages, self.offsets, strict=True):
            ctypes.memmove(memory.address + offset, storage.address, storage.nbytes)
            for begin in (offset - PAGE, offset + storage.nbytes):
                ctypes.memmove(memory.address + begin, _GAP, PAGE)

    def copy_out(self, memory: SharedMemory) -> None:
        for storage, offset in zip(self.storages, self.offsets, strict=True):
            copy_changed(storage.address, memory.address + offset, storage.nbytes)

    def stray_write(self, memory: SharedMemory) -> str | None:
        """Words for what the kernel wrote in the page before or after a block, or None."""
        for storage, offset in zip(self.storages, self.offsets, strict=True):
            before = ctypes.string_at(memory.address + offset - PAGE, PAGE)
            after = ctypes.string_at(memory.address + offset + storage.nbytes, PAGE)
            if after != _GAP:
                return (
                    f"wrote up to {len(after.rstrip(_GAP[:1]))} bytes past the end of {self._name(storage)}"
                )
            if before != _GAP:
                return f"wrote up to {len(before.lstrip(_GAP[:1]))} bytes before {self._name(storage)}"
        return None

    def describe(self, offset: int) -> str:
        """Words for a place in shared memory, which `storages` must not leave empty."""
        index = max(0, bisect_right(self.offsets, offset) - 1)
        return f"byte {offset - self.offsets[index]} of {self._name(self.storages[index])}"

    def _name(self, storage: Storage) -> str:
        inside = [i for i, s in self._arguments.items() if storage.address <= s.address < storage.end]
        noun = "argument" if len(inside) == 1 else "arguments"
        return f"the {storage.nbytes} bytes of {noun} {', '.join(map(str, inside))}"
