"""Runs kernels for RISC-V cores in QEMU's user-mode emulator."""

from vertebra.core.hooks import hookimpl
from vertebra.plugins.qemu.runtime import QemuRuntime

RUNTIME = QemuRuntime()


@hookimpl
def vertebra_runtimes():
    return [RUNTIME]
