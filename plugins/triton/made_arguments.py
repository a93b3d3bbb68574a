"""Arguments for a kernel that nobody has called: as large as the kernel needs them, with made-up contents."""

from collections.abc import Mapping

import numpy as np

from vertebra.core.errors import ConfigError
from vertebra.core.tuning.job import made_up

# Triton's type of an element -> what torch calls it, by which results are found later.
_NAMES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "fp64": "float64", "u1": "bool"}
_NAMES |= {
    f"{sign}{bits}": f"{word}{bits}"
    for sign, word in (("i", "int"), ("u", "uint"))
    for bits in (8, 16, 32, 64)
}
_NAMES |= {
    "fp8e4nv": "float8_e4m3fn",
    "fp8e4b8": "float8_e4m3fnuz",
    "fp8e4b15": "float8e4b15",
    "fp8e5": "float8_e5m2",
    "fp8e5b16": "float8_e5m2fnuz",
}


class Buffer:
    """An array of any of Triton's types.  Floats are between -1 and 1, everything else is 0."""

    def __init__(self, element: str, nbytes: int):
        if element not in _NAMES:
            raise ConfigError(
                f"an array of {element} cannot be made up",
                fix="call the kernel from Python, where it is tuned",
            )
        self.element, self.nbytes = element, nbytes
        self.dtype = _NAMES[element]
        self._space = np.zeros(nbytes + 64, np.uint8)
        start = -self._space.ctypes.data % 64
        self._bytes = self._space[start : start + nbytes]
        if element in ("fp16", "bf16", "fp32", "fp64"):
            numbers = made_up(element, nbytes, np.random.default_rng(0))
            self._bytes[: numbers.nbytes] = numbers.view(np.uint8)

    def data_ptr(self) -> int:
        return self._bytes.ctypes.data

    def copy(self) -> np.ndarray:
        return self._bytes.copy()

    def __setitem__(self, key, value) -> None:
        self._bytes[key] = value


def element_bytes(element: str) -> int:
    digits = "".join(c if c.isdigit() else " " for c in _NAMES.get(element, "int64")).split()
    return 1 if "float8" in _NAMES.get(element, "") or not digits else int(digits[-1]) // 8


def arguments(types: Mapping[str, str], values: Mapping[str, int], sizes: Mapping[str, int]) -> dict:
    """name -> argument.

    types: Triton's, of the run-time arguments.  values: of integers; of pointers, how many elements they
    point to.  sizes: of pointers, in bytes, where `values` does not say.  Raises ConfigError.
    """
    if unknown := [name for name in values if name not in types]:
        raise ConfigError(
            f"--args: {', '.join(unknown)}: the kernel takes no such argument at run time",
            fix=f"it takes {', '.join(types) or 'nothing'}",
        )
    return {name: _argument(name, kind, values, sizes) for name, kind in types.items()}


def _argument(name: str, kind: str, values: Mapping[str, int], sizes: Mapping[str, int]):
    if kind.startswith("tensordesc"):
        raise ConfigError(
            f"argument {name} is a tensor descriptor, of which none is made up",
            fix="call the kernel from Python, where it is tuned",
        )
    if kind.startswith("*"):
        element = kind[1:]
        size = values[name] * element_bytes(element) if name in values else sizes.get(name, 64)
        return Buffer(element, size)
    if kind.startswith(("fp", "bf")):
        return float(values.get(name, 1.0))
    if name not in values:
        raise ConfigError(f"argument {name} has no value", fix=f"add --args '{name}=...'")
    return values[name]
