"""The C header: a compiler reads it, and its struct is the binary interface's."""

import ctypes
import shutil
import subprocess
import sys

import pytest

from vertebra.core import abi
from vertebra.core.errors import ConfigError
from vertebra.core.header import c_type, header

SIGNATURE = ("*fp32", "i8", "i64", "fp32", "fp64", "u16", "fp16", "i1", "*i1", "**fp32")
FIELDS = ("x", "default", "n", "scale", "d", "short", "h", "flag", "mask", "class")
# A kernel in C that leaves its slots, its scratch address and its range where the test looks.
KERNEL = """
#include "k.h"
uint64_t seen[64];
void k(const uint64_t *args, void *scratch, int64_t begin, int64_t end, int32_t gx, int32_t gy, int32_t gz)
{
    for (int i = 0; i < 10; i++) seen[i] = args[i];
    ((char *)scratch)[K_SCRATCH_BYTES - 1] = 1;
    seen[10] = (uintptr_t)scratch; seen[11] = begin; seen[12] = end;
    seen[13] = gx; seen[14] = gy; seen[15] = gz;
}
int call(void)
{
    struct k_args a = {0};
    a.x = (float *)0x1234; a.default_ = -3; a.n = -5; a.scale = 1.5f; a.d = 2.5; a.short_ = 65535;
    a.h = 0x3c00; a.flag = 1; a.mask = (uint8_t *)0x77; a.class_ = (void *)0x99;
    return k_run(&a, 3, 4, 5);
}
"""


@pytest.mark.parametrize(
    "name, spelt",
    [
        ("*fp32", "float *"),
        ("*i1", "uint8_t *"),
        ("*bf16", "uint16_t *"),
        ("*fp8e5", "void *"),
        ("*kfp32", "float *"),
        ("**fp32", "void *"),
        ("i32", "int32_t"),
        ("u1", "uint8_t"),
        ("fp64", "double"),
    ],
)
def test_c_type(name, spelt):
    assert c_type(name) == spelt


def test_type_without_form():
    with pytest.raises(ConfigError, match="'fp8e5' has no C form"):
        c_type("fp8e5")


def compile_c(tmp_path, language, source):
    path = tmp_path / f"k.{language}"
    path.write_text(source)
    out = tmp_path / "k.so"
    tool = shutil.which("cc")
    command = [tool] if tool else [sys.executable, "-m", "ziglang", "cc"]
    flags = ["-x", "c++", "-std=c++11"] if language == "cpp" else ["-std=c99"]
    flags += ["-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC", "-O1"]
    subprocess.run([*command, *flags, str(path), "-o", str(out)], check=True, timeout=60)
    return out


def test_a_c_program_fills_the_slots(tmp_path):
    (tmp_path / "k.h").write_text(header("k", SIGNATURE, FIELDS, 1000, "host"))
    library = ctypes.CDLL(str(compile_c(tmp_path, "c", KERNEL)))
    assert library.call() == 0
    seen = list((ctypes.c_uint64 * 64).in_dll(library, "seen"))
    values = (0x1234, -3, -5, 1.5, 2.5, 65535, 1.0, 1, 0x77, 0x99)
    bits = dict(i8=8, fp32=32, u16=16, fp16=16, i1=8)
    for slot, kind, value in zip(seen, SIGNATURE, values, strict=False):
        expected = abi.scalar_bits("i64" if kind.startswith("*") else kind, value)
        mask = (1 << bits.get(kind, 64)) - 1
        assert slot & mask == expected & mask, kind
    assert seen[10] % abi.SCRATCH_ALIGNMENT == 0
    assert seen[11:16] == [0, 60, 3, 4, 5]


def test_cpp_reads_it_too(tmp_path):
    (tmp_path / "k.h").write_text(header("k", SIGNATURE, FIELDS, 0, "host"))
    source = """#include "k.h"
        extern "C" void k(const uint64_t *, void *, int64_t, int64_t, int32_t, int32_t, int32_t) {}
        extern "C" int use() { k_args a = k_args(); return k_run(&a, 1, 1, 1) + (int)sizeof a; }
    """
    assert ctypes.CDLL(str(compile_c(tmp_path, "cpp", source))).use() == 80


def test_kernel_without_arguments(tmp_path):
    (tmp_path / "k.h").write_text(header("k", (), (), 0, "host"))
    source = """#include "k.h"
        int64_t ran;
        void k(const uint64_t *a, void *s, int64_t b, int64_t e, int32_t x, int32_t y, int32_t z)
        { (void)a; (void)s; (void)b; (void)x; (void)y; (void)z; ran = e; }
        int go(void) { struct k_args a = {0}; return k_run(&a, 7, 1, 1); }
    """
    library = ctypes.CDLL(str(compile_c(tmp_path, "c", source)))
    assert library.go() == 0
    assert ctypes.c_int64.in_dll(library, "ran").value == 7


def test_the_services_are_declared_where_the_kernel_calls_them(tmp_path):
    (tmp_path / "k.h").write_text(header("k", (), (), 0, "host", serviced=True))
    # Hidden: this process may have services of its own, which the loader would take instead.
    source = """#include <stdint.h>
        #include <stdlib.h>
        #include <string.h>
        #pragma GCC visibility push(hidden)
        #include "k.h"
        #pragma GCC visibility pop
        int32_t failed;
        void vertebra_print(const char *t, int32_t x, int32_t y, int32_t z, int64_t e, uint64_t v)
        { (void)t; (void)x; (void)y; (void)z; (void)e; (void)v; }
        void vertebra_fail(const char *t, int32_t x, int32_t y, int32_t z) { (void)t; failed = x + y + z; }
        void k(const uint64_t *a, void *s, int64_t b, int64_t e, int32_t x, int32_t y, int32_t z)
        { (void)a; (void)s; (void)b; (void)e; vertebra_fail("", x, y, z); }
        int go(void) { struct k_args a = {0}; return k_run(&a, 7, 2, 1); }
    """
    library = ctypes.CDLL(str(compile_c(tmp_path, "c", source)))
    assert library.go() == 0
    assert ctypes.c_int32.in_dll(library, "failed").value == 10
