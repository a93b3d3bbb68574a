"""How many instructions a launch executes."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vertebra.core import toolchain
from vertebra.core.errors import ToolError
from vertebra.core.runtime import num_threads
from vertebra.plugins.qemu import process
from vertebra.plugins.qemu.runtime import QemuKernel

# Where the runner loads kernels: KERNEL_WINDOW_* in loader.h.
_WINDOW = (0x10_0000_0000, 0x10_1000_0000)


def _plugin() -> Path:
    source = Path(__file__).parent / "insn_count.c"
    # Symbols of the emulator stay undefined until it loads the plugin.
    return toolchain.build("insn_count", [source], "so", flags=["-Wl,-z,lazy", "-Wl,--allow-shlib-undefined"])


def count_instructions(kernel: QemuKernel, grid: tuple[int, int, int], args: Sequence) -> dict[str, int]:
    """Runs `kernel` once, on one thread, and counts the instructions of its own code.

    The arguments change as in any launch.  Returns 'all' and, out of these, 'vector_load',
    'vector_store', 'vector_set' (vsetvl and its like), 'vector_arithmetic' and 'custom1' (the opcode
    of IME).  The runner's code is not counted; an instruction that is emulated in software counts
    once.  Raises LaunchError, or ToolError where the emulator loads no plugins.
    """
    low, high = _WINDOW
    with tempfile.TemporaryDirectory(prefix="vertebra-") as folder:
        out = Path(folder) / "counts"
        plugin = f"{_plugin()},lo={low:x},hi={high:x},out={out}"
        runner = kernel.start_process(["-plugin", plugin])
        try:
            kernel.launch_on(runner, grid, args, threads=1)
        finally:
            runner.finish()
        if not out.exists():
            raise ToolError(
                f"{process.emulator_program()} ran and its plugin counted nothing",
                fix="use an emulator of version 5 to 8 that is built with plugins",
            )
        return {name: int(count) for name, count in map(str.split, out.read_text().splitlines())}


@contextlib.contextmanager
def counting() -> Iterator[list[dict[str, int]]]:
    """Counts every launch under the emulator: gives a list that receives `count_instructions` of each."""
    counts: list[dict[str, int]] = []

    def launch(self, grid, args):
        counts.append(count_instructions(self, grid, args))

    plain = QemuKernel.launch
    QemuKernel.launch = launch
    try:
        yield counts
    finally:
        QemuKernel.launch = plain


def count_emulated(kernel: QemuKernel, grid: tuple[int, int, int], args: Sequence) -> dict[str, int]:
    """Runs `kernel` once and counts the instructions that were carried out in software, by mnemonic.

    The arguments change as in any launch.  Raises LaunchError.
    """
    runner = kernel.start_process()
    try:
        kernel.launch_on(runner, grid, args, num_threads())
        return runner.emulated_counts()
    finally:
        runner.finish()
