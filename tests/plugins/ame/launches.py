"""Kernels of `kernels.py` compiled for a core with a matrix unit, and what their launches execute."""

import functools
from pathlib import Path

import numpy as np

from vertebra.core import compile as stages
from vertebra.core.select import runtime_for
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.triton.aot import compile_file

_KERNELS = Path(__file__).parent / "kernels.py"
_NAMES = {
    **{np.dtype(f"int{bits}"): f"*i{bits}:16" for bits in (8, 32)},
    **{np.dtype(f"float{bits}"): f"*fp{bits}:16" for bits in (16, 32)},
    np.dtype(np.uint16): "*bf16:16",
    int: "i32",
    float: "fp32",
}


@functools.cache
def _compiled(name: str, signature: tuple[str, ...], constants: tuple, core):
    given = (f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}" for key, value in constants)
    made = compile_file(
        str(_KERNELS),
        name,
        signature=",".join(signature),
        constexpr=",".join(given),
        core=AME_GENERIC.name,
        emit="linalg",
    )
    binary = stages.compile(made.data, core, name=name, signature=made.signature, start="linalg")
    return runtime_for(core).load(binary)


def kernel_for(name: str, args: list, core=AME_GENERIC, **constants):
    """Kernel `name` for arguments of the types of `args`."""
    types = [_NAMES[x.dtype if isinstance(x, np.ndarray) else type(x)] for x in args]
    return _compiled(name, tuple(types), tuple(constants.items()), core)


def launch(name: str, grid: tuple, args: list, core=AME_GENERIC, **constants) -> dict[str, int]:
    """Runs kernel `name`; how many instructions the emulator has run for it, by mnemonic."""
    return kernel_for(name, args, core, **constants).count_emulated((*grid, 1), args)


def small(rng, shape, dtype) -> np.ndarray:
    """Numbers whose sums of products are exact."""
    return rng.integers(-4, 5, shape).astype(dtype)
