"""Runs kernels for RISC-V cores in QEMU's user-mode emulator."""

from vertebra.core.hooks import hookimpl


@hookimpl
def vertebra_runtimes():
    from vertebra.plugins.qemu.runtime import RUNTIME

    return [RUNTIME]
