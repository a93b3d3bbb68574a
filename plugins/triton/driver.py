"""Triton's driver class: the current core as a device, loading and launching.

When is vertebra the active driver?  Where the user has named a core ($VERTEBRA_CORE,
`set_core`) always, also beside a GPU; otherwise wherever no other driver is active.
"""

import os

from triton.backends.driver import DriverBase

from vertebra.core import bounds, select
from vertebra.core.errors import ConfigError
from vertebra.core.target import Core
from vertebra.plugins.triton import proton
from vertebra.plugins.triton.launcher import make_launcher

NAME = "vertebra"

# Triton insists on one active driver and asks this variable first; a choice that the user has
# made with it stays.
if select.is_chosen():
    os.environ.setdefault("TRITON_DEFAULT_BACKEND", NAME)

_asking = False


def _others() -> list[str]:
    """The names of the other back ends that are active."""
    global _asking
    from triton.backends import backends

    if _asking:  # another back end asks the same of us
        return []
    _asking = True
    try:
        return [n for n, b in backends.items() if b.driver is not VertebraDriver and b.driver.is_active()]
    finally:
        _asking = False


def activate() -> None:
    """Makes vertebra Triton's active driver, whatever it was before."""
    from triton.runtime.driver import driver

    if not isinstance(driver._active, VertebraDriver):
        driver.set_active(VertebraDriver())


class _Utils:
    """What Triton asks of a driver's `utils`."""

    @staticmethod
    def load_binary(name: str, data: bytes, shared: int, device: int):
        """(module, function, registers, spills, most threads of a program); the function is what
        the launcher is given."""
        from vertebra.plugins.triton.compiler import read_binary

        binary = read_binary(data)
        kernel = bounds.checked(binary, select.runtime_for(binary.core).load(binary))
        return binary, kernel, binary.core.vector.registers, 0, 1 << 20

    @staticmethod
    def get_device_properties(device: int) -> dict:
        from vertebra.core.runtime import num_threads

        core = _devices[device]
        return {
            "max_shared_mem": (1 << 31) - 1,
            "max_num_regs": core.vector.registers,
            "multiprocessor_count": num_threads(),
            "warpSize": 1,
            "sm_clock_rate": int(core.clock * 1e6),  # kHz
            "mem_clock_rate": int(core.clock * 1e6),
            "mem_bus_width": 64,
        }


# Device number -> core, in order of first use: each core's kernels are cached under its own number.
_devices: list[Core] = []


class VertebraDriver(DriverBase):
    """The active driver's only instance is Triton's own, or the one that `activate` makes."""

    def __init__(self):
        super().__init__()
        self.utils = _Utils()
        self.launcher_cls = make_launcher
        self._core: Core | None = None  # whose number is _device
        self._device = 0
        proton.profile_program()

    @classmethod
    def is_active(cls) -> bool:
        wanted = os.environ.get("TRITON_DEFAULT_BACKEND")
        if wanted:
            return wanted == NAME
        others = _others()
        if others and select.is_chosen():
            raise ConfigError(
                f"a core was chosen after Triton had been imported, and {', '.join(others)} is active too",
                fix="set VERTEBRA_CORE before importing triton, or call vertebra.core.select.set_core()",
            )
        return not others

    def get_current_device(self) -> int:
        core = select.current_core()
        if core is self._core:
            return self._device
        if core not in _devices:
            _devices.append(core)
        self._core, self._device = core, _devices.index(core)
        return self._device

    def set_current_device(self, device: int) -> None:
        select.set_core(_devices[device].name)

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self):
        from vertebra.plugins.triton.compiler import target_for

        return target_for(select.current_core())

    def get_device_capability(self, device: int = 0) -> tuple[int, int]:
        return (0, 0)

    def get_active_torch_device(self):
        import torch

        return torch.device("cpu")

    def get_device_interface(self):
        from vertebra.plugins.triton.timing import DeviceInterface

        return DeviceInterface

    def get_benchmarker(self):
        from vertebra.plugins.triton.timing import benchmark

        return benchmark

    def get_empty_cache_for_benchmark(self):
        from vertebra.plugins.triton.timing import cache_flusher

        return cache_flusher()

    def clear_cache(self, cache) -> None:
        cache.fill(0)

    def map_python_to_cpp_type(self, ty: str) -> str:
        from vertebra.core.header import c_type

        return c_type(ty)
