"""Kernels written in C, which stand for compiled ones."""

from vertebra.core import toolchain
from vertebra.core.library import Kernel, Specialisation
from vertebra.core.runtime import Binary
from vertebra.core.select import find_core

# Writes its number, its second argument and the program to its first argument; 13 fails and 14 prints.
_SOURCE = """
#include <stdint.h>
void vertebra_fail(const char *, int32_t, int32_t, int32_t);
void vertebra_print(const char *, int32_t, int32_t, int32_t, int64_t, uint64_t);
void probe(const uint64_t *args, void *scratch, int64_t begin, int64_t end, int32_t x, int32_t y, int32_t z) {
  for (int64_t p = begin; p < end; p++) {
    int64_t *out = (int64_t *)args[0];
    out[3 * p] = NUMBER;
    out[3 * p + 1] = (int64_t)args[1];
    out[3 * p + 2] = p;
    ((char *)scratch)[63] = 1;
    if ((int32_t)args[1] == 13 && p == 2)
      vertebra_fail("thirteen", 2, 0, 0);
    if ((int32_t)args[1] == 14)
      vertebra_print(" text: \\0-", (int32_t)p, 0, 0, 0, 0);
  }
}
"""


def binary(number: int = 1, core: str = "host", signature=("*i64", "i32")) -> Binary:
    """A kernel `probe` that is told apart by `number`."""
    chosen = find_core(core)
    flags = ["-fPIC", "-fvisibility=default", f"-DNUMBER={number}"]
    obj = toolchain.compile_source(_SOURCE, triple=None if core == "host" else chosen.triple, flags=flags)
    return Binary("probe", obj, 64, signature, chosen)


def form(made: Binary | None = None, *, types=(("out", "*i64"), ("n", "i32")), slots=("out", "n"), **more):
    """A specialisation of a kernel with parameters out, n and BLOCK."""
    constants = more.pop("constants", {"BLOCK": 16})
    arguments = {name: ((name, kind),) for name, kind in types}
    made = made or Binary("probe", b"", 64, tuple(kind for _, kind in types), find_core("host"))
    return Specialisation(made, arguments, slots, constants, **more)


def kernel(*forms, name="probe", doc="") -> Kernel:
    return Kernel(name, "probe in specimens.py, line 1", ("out", "n", "BLOCK"), forms, doc)
