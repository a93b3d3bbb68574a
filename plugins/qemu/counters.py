"""Counts of instructions that emulated kernels execute, which can be read while they run (insn_count.c)."""

import mmap
import os
import struct
from pathlib import Path

from vertebra.core import toolchain

# Where the runner loads kernels: KERNEL_WINDOW_* in loader.h.
_WINDOW = (0x10_0000_0000, 0x10_1000_0000)
# CLASSES in insn_count.c.
CLASSES = ("all", "vector_load", "vector_store", "vector_set", "vector_arithmetic", "custom1")
_COUNTS = struct.Struct(f"<{len(CLASSES)}Q")


def _plugin(emulator: tuple[int, int]) -> Path:
    """emulator: its version, which decides that of its interface for plugins."""
    source = Path(__file__).parent / "insn_count.c"
    # Symbols of the emulator stay undefined until it loads the plugin.
    flags = ["-Wl,-z,lazy", "-Wl,--allow-shlib-undefined", f"-DPLUGIN_VERSION={1 + (emulator >= (9, 0))}"]
    return toolchain.build("insn_count", [source], "so", flags=flags)


class Counters:
    """Memory of counts that one emulated process writes, and it and this process read.

    file: its descriptor.  Only kernels are counted, and none of the runner's code; an instruction that is
    emulated in software counts once.
    """

    def __init__(self) -> None:
        self.file = os.memfd_create("vertebra-counts")
        os.ftruncate(self.file, _COUNTS.size)
        self._view = mmap.mmap(self.file, _COUNTS.size)

    def options(self, emulator: tuple[int, int]) -> list[str]:
        """Those of the emulator of this version."""
        low, high = _WINDOW
        return ["-plugin", f"{_plugin(emulator)},lo={low:x},hi={high:x},counts={self.file}"]

    def read(self) -> tuple[int, ...]:
        """Of each of `CLASSES`, since the process began."""
        return _COUNTS.unpack_from(self._view)

    def since(self, before: tuple[int, ...]) -> dict[str, int]:
        """Class -> instructions executed since `read` returned `before`."""
        return dict(zip(CLASSES, (b - a for a, b in zip(before, self.read(), strict=True)), strict=True))

    def close(self) -> None:
        """Also a second time."""
        if self.file >= 0:
            self._view.close()
            os.close(self.file)
        self.file = -1
