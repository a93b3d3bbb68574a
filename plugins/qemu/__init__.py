"""Runs kernels for RISC-V cores in QEMU's user-mode emulator."""

from vertebra.plugins.qemu.runtime import QemuRuntime

RUNTIME = QemuRuntime()
