"""Libraries of kernels: what C programs see of them, and what their launches answer."""

import ctypes
import subprocess

import attrs
import numpy as np
import pytest

from vertebra.core import elf, toolchain
from vertebra.core.errors import ConfigError, ToolError
from vertebra.core.library import build
from vertebra.core.library.build import name_of, target_for
from vertebra.core.select import find_core

from .specimens import binary, form, kernel

HOST = find_core("host")
OK, FAILED, NO_SPECIALISATION, BAD_ARGUMENT, _, WRONG_PROCESSOR = range(0, -6, -1)


class Args(ctypes.Structure):
    _fields_ = [("out", ctypes.c_void_p), ("n", ctypes.c_int32)]


def loaded(tmp_path, kernels, name="probes", core=HOST):
    path = tmp_path / f"lib{name}.so"
    path.write_bytes(build(name, "so", kernels, core).data)
    library = ctypes.CDLL(str(path))
    getattr(library, f"{name}_message").restype = ctypes.c_char_p
    return library


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    kernels = (
        kernel(
            form(binary(1), multiples=frozenset({"out", "n"}), when="n < 64"),
            form(binary(2), when="0 <= n < 100"),
        ),
        kernel(form(binary(3), constants={"BLOCK": 16, "n": 5}), name="other"),
    )
    return loaded(tmp_path_factory.mktemp("library"), kernels)


def launch(library, n, grid=(4, 1, 1), threads=1, offset=0):
    """(status, what the programs wrote: a row each)"""
    memory = np.full(64, -1, np.int64)
    out = memory[-memory.ctypes.data % 16 // 8 + offset :][: 3 * 4].reshape(4, 3)
    args = Args(out.ctypes.data, n)
    return library.probe_launch(ctypes.byref(args), *grid, threads), out


def test_a_launch_takes_the_first_specialisation_that_fits(library):
    for n, offset, number in [(48, 0, 1), (48, 1, 2), (47, 0, 2), (64, 0, 2)]:
        status, out = launch(library, n, offset=offset)
        assert status == OK
        np.testing.assert_array_equal(out, [[number, n, p] for p in range(4)])


def test_choosing_tells_which(library):
    assert library.probe_choose(ctypes.byref(Args(32, 48))) == 1
    assert library.probe_choose(ctypes.byref(Args(32, 3))) == 2
    assert library.probe_choose(ctypes.byref(Args(32, -16))) == 1
    assert library.probe_choose(ctypes.byref(Args(8, -16))) == 0
    assert library.probe_choose(None) == 0


def test_no_specialisation_fits(library):
    status, out = launch(library, 200)
    assert status == NO_SPECIALISATION and (out == -1).all()
    said = library.probes_message().decode()
    assert said.startswith("probe: no specialisation fits; 1 wants n to be a multiple of 16, n is 200; ")
    assert said.endswith("2 wants 0 <= n < 100, n is 200")


@pytest.mark.parametrize(
    "grid, threads, said",
    [
        ((-1, 1, 1), 1, "probe on grid (-1, 1, 1): a size is negative"),
        ((1, 1, 1), -2, "-2 threads; use 1 to 4096"),
        ((1, 1, 1), 5000, "5000 threads"),
        ((2**31 - 1,) * 3, 1, "more than 2^62 programs"),
    ],
)
def test_grids_and_threads_that_cannot_be(library, grid, threads, said):
    status, out = launch(library, 3, grid, threads)
    assert status == BAD_ARGUMENT and (out == -1).all()
    assert said in library.probes_message().decode()


def test_no_arguments(library):
    assert library.probe_launch(None, 1, 1, 1, 1) == BAD_ARGUMENT
    assert library.probes_message() == b"probe: args is NULL"


def test_misaligned_addresses(library):
    memory = np.full(8, -1, np.int64)
    args = Args(memory.ctypes.data + 2, 3)
    assert library.probe_launch(ctypes.byref(args), 1, 1, 1, 1) == BAD_ARGUMENT and (memory == -1).all()
    said = library.probes_message().decode()
    assert said == f"probe: out is misaligned: {memory.ctypes.data + 2:#x} is 2 bytes past a multiple of 8"


def test_an_empty_grid_is_none(library):
    status, out = launch(library, 3, (0, 5, 1))
    assert status == OK and (out == -1).all()


@pytest.mark.parametrize("threads", [0, 1, 2, 7])
def test_any_number_of_threads(library, threads):
    status, out = launch(library, 3, threads=threads)
    assert status == OK and (out[:, 2] == range(4)).all()


def test_a_program_that_fails(library):
    assert launch(library, 13)[0] == FAILED
    assert library.probes_message() == b"probe on grid (4, 1, 1): program (2, 0, 0): thirteen"
    assert launch(library, 3)[0] == OK  # and the next launch runs


def test_what_kernels_print(library):
    lines = []
    sink = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lines.append)
    library.probes_print_to(sink)
    try:
        assert launch(library, 14)[0] == OK
    finally:
        library.probes_print_to(None)
    assert lines == [f"pid ({p}, 0, 0) text: \n".encode() for p in range(4)]


def test_another_processor(tmp_path):
    core = attrs.evolve(HOST, features=(*HOST.features, "+avx10.9-none"))
    if core.arch != "x86_64":
        pytest.skip("only x86-64 and RISC-V tell what their processors have")
    other = loaded(tmp_path, (kernel(form(binary())),), core=core)
    assert launch_of(other) == WRONG_PROCESSOR
    assert b"made for a processor with avx10.9-none" in other.probes_message()


def launch_of(library):
    memory = np.zeros(3, np.int64)
    return library.probe_launch(ctypes.byref(Args(memory.ctypes.data, 1)), 1, 1, 1, 1)


def test_only_its_own_functions_are_seen(library):
    with open(library._name, "rb") as file:
        data = file.read()
    names = elf.dynamic_symbols(data)
    assert names == {
        *(f"{kernel}_{what}" for kernel in ("probe", "other") for what in ("launch", "choose")),
        "probes_message",
        "probes_print_to",
    }


def test_a_shared_object_for_a_board(tmp_path):
    core = find_core("spacemit-x60")
    data = build("probes", "so", (kernel(form(binary(core=core.name))),), core).data
    assert elf.dynamic_symbols(data) == {"probe_launch", "probe_choose", "probes_message", "probes_print_to"}
    assert b"libc.so.6\0" in data and b"GLIBC_2.27\0" in data and b"libprobes.so\0" in data


MAIN = """
#include "libone.h"
#include "libtwo.h"
#include <stdio.h>
#include <string.h>
int main(void) {
  int64_t out[6] = {0};
  struct one_args one = {.out = out, .n = 7, .BLOCK = 32};
  struct two_args two = {.out = out + 3, .n = 8};
  if (one_launch(&one, 1, 1, 1, 2) || two_launch(&two, 1, 1, 1, 0)) return 1;
  for (int i = 0; i < 6; i++) printf("%d ", (int)out[i]);
  one.BLOCK = 64;
  printf("%d %s", one_launch(&one, 1, 1, 1, 2), one_message());
  return 0;
}
"""


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_one_program_links_two_archives(tmp_path, language):
    for name, kernels in {
        "one": kernel(
            form(binary(1), constants={"BLOCK": 16}), form(binary(2), constants={"BLOCK": 32}), name="one"
        ),
        "two": kernel(form(binary(3)), name="two", doc="Tells */ what /* it does."),
    }.items():
        made = build(name, "archive", (kernels,), HOST)
        (tmp_path / f"lib{name}.a").write_bytes(made.data)
        (tmp_path / f"lib{name}.h").write_text(made.header)
    (tmp_path / "main.c").write_text(MAIN)
    language_flags = ["-x", "c++", "-std=c++20"] if language == "cpp" else ["-std=c99"]
    words = [
        *language_flags,
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        str(tmp_path / "main.c"),
        "-x",
        "none",
    ]
    words += [
        str(tmp_path / "libone.a"),
        str(tmp_path / "libtwo.a"),
        "-lpthread",
        "-o",
        str(tmp_path / "main"),
    ]
    toolchain.run_compiler(["-target", toolchain.host_triple(), *words])
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    numbers, said = done.stdout.split("-2 ")
    assert numbers.split() == ["2", "7", "0", "3", "8", "0"]
    wants = [f"{i} wants BLOCK to be {size}, BLOCK is 64" for i, size in ((1, 16), (2, 32))]
    assert said == f"one: no specialisation fits; {'; '.join(wants)}"


def test_helpers_of_half_precision_come_along():
    source = "float probe(_Float16 *x) { return *x; }"
    flags = ["-fPIC", "-mcpu=generic_rv64+m+a+f+d+c"]
    obj = toolchain.compile_source(source, triple="riscv64-linux-gnu", flags=flags)
    core = find_core("spacemit-x60")
    made = attrs.evolve(binary(core=core.name), object=obj)
    data = build("halves", "archive", (kernel(form(made)),), core).data
    assert b"vertebra_helpers.o" in data
    plain = build("halves", "archive", (kernel(form(binary(core=core.name))),), core).data
    assert b"vertebra_helpers.o" not in plain


@pytest.mark.parametrize(
    "path, name", [("/a/libkernels.so", "kernels"), ("my-lib.a", "my_lib"), ("libk2.1.so", "k2")]
)
def test_the_librarys_name(path, name):
    assert name_of(path) == name


def test_wrong_choices():
    kernels = (kernel(form()),)
    with pytest.raises(ConfigError, match="no function called 2d_message"):
        name_of("lib2d.so")
    with pytest.raises(ConfigError, match="no kind of library 'dll'"):
        build("k", "dll", kernels, HOST)
    with pytest.raises(ConfigError, match=r"no C library 'bionic'\nfix: use gnu or musl"):
        target_for(HOST, "bionic")
    with pytest.raises(ConfigError, match="nothing here emulates core host"):
        build("k", "so", kernels, HOST, emulate=True)
    with pytest.raises(ToolError):  # an object without the function that it is to export
        broken = attrs.evolve(binary(), object=toolchain.compile_source("int x;", flags=["-fPIC"]))
        build("k", "so", (kernel(form(broken)),), HOST)


def test_names_that_run_together(tmp_path):
    """Kernel b_c of library a, and kernel c of library a_b."""
    main = """
#include "liba.h"
#include "liba_b.h"
int main(void) {
  int64_t out[6] = {0};
  struct b_c_args one = {.out = out};
  struct c_args two = {.out = out + 3};
  if (b_c_launch(&one, 1, 1, 1, 1) || c_launch(&two, 1, 1, 1, 1)) return 99;
  return (int)(10 * out[0] + out[3]);
}
"""
    for number, (name, short) in enumerate({"a": "b_c", "a_b": "c"}.items(), 1):
        made = build(name, "archive", (kernel(form(binary(number)), name=short),), HOST)
        (tmp_path / f"lib{name}.a").write_bytes(made.data)
        (tmp_path / f"lib{name}.h").write_text(made.header)
    (tmp_path / "main.c").write_text(main)
    words = [str(tmp_path / name) for name in ("main.c", "liba.a", "liba_b.a")]
    toolchain.run_compiler(
        ["-target", toolchain.host_triple(), *words, "-lpthread", "-o", str(tmp_path / "main")]
    )
    assert subprocess.run([tmp_path / "main"], timeout=30).returncode == 12
