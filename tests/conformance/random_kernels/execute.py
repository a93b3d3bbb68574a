"""Runs a random kernel in the reference and on a core, and compares memory."""

import importlib.util
from pathlib import Path

import numpy as np

from ..arrays import GUARD, GUARD_BYTE, STORAGE
from .language import namespace
from .memory import Buffer, Pointer
from .numbers import Tensor, is_float, loaded
from .program import Program

_HEAD = "import triton\nimport triton.language as tl\n\n\n"


def reference(program: Program) -> dict[str, Buffer]:
    """Region -> what it holds after the kernel.

    Raises OutOfBounds or Undecided where the kernel has no definite meaning.
    """
    buffers = {name: Buffer(program.regions[name].dtype, data) for name, data in program.initial().items()}
    code = compile(program.text, "<random kernel>", "exec")
    for p in range(program.programs):
        names = namespace(p, program.programs)
        exec(code, names)
        args = {name: Pointer(buffers[region], at) for name, (region, at) in program.arrays.items()}
        args |= {name: Tensor("i32", value) for name, value in program.scalars.items()}
        with np.errstate(all="ignore"):
            names["kernel"](**args)
    return buffers


class Memory:
    """One region's bytes between guard zones, for a core to work on."""

    def __init__(self, data: np.ndarray):
        self.owner = np.full(data.nbytes + 2 * GUARD, GUARD_BYTE, np.uint8)
        self.data = self.owner[GUARD : GUARD + data.nbytes].view(data.dtype)
        self.data[...] = data

    def tensor(self, dtype: str, at: int):
        import torch

        kind = getattr(torch, {"bf16": "bfloat16"}.get(dtype) or STORAGE[dtype].name)
        whole = torch.from_numpy(self.owner).view(kind)
        start = GUARD // STORAGE[dtype].itemsize + at
        return whole.as_strided((len(self.data) - at,), (1,), start)

    def guards_hold(self) -> bool:
        return bool((self.owner[:GUARD] == GUARD_BYTE).all() and (self.owner[-GUARD:] == GUARD_BYTE).all())


def load_kernel(program: Program, folder: Path):
    """The jitted kernel; Triton reads its text from a file."""
    path = folder / "random_kernel.py"
    path.write_text(_HEAD + program.text)
    spec = importlib.util.spec_from_file_location("random_kernel", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.kernel


def run(program: Program, kernel) -> dict[str, np.ndarray]:
    """Region -> its contents after a run on the current core, in the storage dtype."""
    memories = {name: Memory(data) for name, data in program.initial().items()}
    args = {
        name: memories[region].tensor(program.regions[region].dtype, at)
        for name, (region, at) in program.arrays.items()
    }
    kernel[(program.programs,)](**args, **program.scalars)
    for name, memory in memories.items():
        assert memory.guards_hold(), f"the kernel wrote outside {name}"
    return {name: memory.data.copy() for name, memory in memories.items()}


def differences(program: Program, want: dict[str, Buffer], got: dict[str, np.ndarray]) -> list[str]:
    """One line for each element that is off by more than its bound."""
    lines = []
    for name, buffer in want.items():
        values = loaded(buffer.dtype, got[name])
        with np.errstate(all="ignore"):
            fine = np.isinf(buffer.error) | (values == buffer.values)
            if is_float(buffer.dtype):
                fine |= np.abs(values - buffer.values) <= 2 * buffer.error
                fine |= np.isnan(values) & np.isnan(buffer.values)
        args = ", ".join(a for a, (region, _) in program.arrays.items() if region == name)
        for i in np.flatnonzero(~fine)[:4]:
            lines.append(
                f"{args}[{i}]: got {values[i]}, want {buffer.values[i]} +- {buffer.error[i]:.3g} "
                f"({(~fine).sum()} of {fine.size})"
            )
    return lines
