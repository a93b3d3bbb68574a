"""Accesses out of bounds, told with line, argument and index; and the same code where nobody asks."""

import subprocess

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from vertebra.core import bounds, hooks, select, toolchain
from vertebra.core.errors import LaunchError
from vertebra.core.select import set_core
from vertebra.plugins.triton import aot
from vertebra.plugins.triton.options import parse_options

CORES = ["host", *[name for name in ("spacemit-x60",) if name in hooks.cores()]]


@pytest.fixture(params=CORES, autouse=True)
def core(request):
    before = select.current_core().name
    set_core(request.param)
    yield request.param
    set_core(before)


@triton.jit
def shifted(x, out, n, by, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i + by, mask=i < n)  # shifted load
    tl.store(out + i, v, mask=i < n)  # plain store


@triton.jit
def gathered(x, places, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    where = tl.load(places + i, mask=i < n, other=0)
    tl.store(out + i, tl.load(x + where, mask=i < n), mask=i < n)  # gather


@triton.jit
def counted(bins, places, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    where = tl.load(places + i, mask=i < n, other=0)
    tl.atomic_add(bins + where, 1.0, mask=i < n)  # atomic


@triton.jit
def scalars(x, out, at):
    tl.store(out, tl.load(x + at))  # scalar


@triton.jit
def blocked(x, out, rows, columns, row, M: tl.constexpr, N: tl.constexpr, CHECK: tl.constexpr):
    block = tl.make_block_ptr(x, (rows, columns), (columns, 1), (row, 0), (M, N), (1, 0))
    v = tl.load(block, boundary_check=(0, 1)) if CHECK else tl.load(block)  # block
    tl.store(out + tl.arange(0, M)[:, None] * N + tl.arange(0, N)[None, :], v)


@triton.jit
def strided(x, out, step, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + (BLOCK - 1 - i) * step))  # strided


def line(text: str) -> int:
    with open(__file__) as file:
        return next(n for n, code in enumerate(file, 1) if code.rstrip().endswith(f"# {text}"))


def refusal(kernel, grid, *arguments, **constants) -> str:
    with pytest.raises(LaunchError) as caught:
        kernel[grid](*arguments, **constants, bounds_check=True)
    return caught.value.message


def numbers(count, dtype=np.float32):
    return np.arange(count).astype(dtype)


@pytest.mark.parametrize("n", [1, 63, 64, 100, 128])
def test_accesses_inside_are_as_ever(n):
    x, out = numbers(n), np.zeros(n, np.float32)
    shifted[(2,)](x, out, n, 0, BLOCK=64, bounds_check=True)
    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.int32, np.float64, np.bool_])
@pytest.mark.parametrize("by, element, programs, bad", [(1, 100, 2, 1), (-1, -1, 2, 0), (1000, 1063, 1, 0)])
def test_a_load_outside_names_line_argument_program_and_element(dtype, by, element, programs, bad):
    """One program alone fails: of several, whichever fails first has the word."""
    x, out = numbers(100, dtype), np.zeros(100, dtype)
    said = refusal(shifted, (programs,), x, out, 100, by, BLOCK=64)
    assert f"program ({bad}, 0, 0): {__file__}:{line('shifted load')}:" in said
    assert said.endswith(f"reads x out of bounds: element {element}, its tensor has elements 0 to 99")
    assert not out[64:].any()


def test_a_store_outside_does_not_happen():
    memory = np.zeros(100, np.float32)
    said = refusal(shifted, (1,), numbers(64), memory[:50].copy(), 64, 0, BLOCK=64)
    assert f":{line('plain store')}:" in said
    assert said.endswith("writes out out of bounds: element 63, its tensor has elements 0 to 49")


def test_the_bounds_are_those_of_the_storage_that_a_view_is_of():
    whole = np.zeros(20, np.float32)
    out = np.zeros(8, np.float32)
    shifted[(1,)](whole[8:16], out, 8, -8, BLOCK=8, bounds_check=True)
    shifted[(1,)](whole[8:16], out, 8, 4, BLOCK=8, bounds_check=True)
    said = refusal(shifted, (1,), whole[8:16], out, 8, -9, BLOCK=8)
    assert said.endswith("element -9, its tensor has elements -8 to 11")
    tensor = torch.zeros(20)[4:]
    assert refusal(shifted, (1,), tensor, out, 8, 9, BLOCK=8).endswith("elements -4 to 15")


def test_an_empty_tensor_has_no_elements():
    said = refusal(shifted, (1,), np.zeros(0, np.float32), np.zeros(8, np.float32), 8, 0, BLOCK=8)
    assert said.endswith("its tensor has none")
    shifted[(1,)](np.zeros(0, np.float32), np.zeros(0, np.float32), 0, 0, BLOCK=8, bounds_check=True)


@pytest.mark.parametrize("bad", [-3, 10, 2**30])
def test_gathers_are_checked_element_by_element(bad):
    places = np.array([3, 1, bad, 2, 99], np.int32)
    x, out = numbers(10), np.zeros(8, np.float32)
    gathered[(1,)](x, places, out, 2, BLOCK=8, bounds_check=True)
    np.testing.assert_array_equal(out[:2], [3, 1])
    said = refusal(gathered, (1,), x, places, out, 4, BLOCK=8)
    assert f":{line('gather')}:" in said
    assert said.endswith(f"reads x out of bounds: element {bad}, its tensor has elements 0 to 9")


def test_atomics_are_checked():
    bins, places = np.zeros(4, np.float32), np.array([0, 3, 3, 4], np.int32)
    counted[(1,)](bins, places, 3, BLOCK=4, bounds_check=True)
    np.testing.assert_array_equal(bins, [1, 0, 0, 2])
    said = refusal(counted, (1,), bins, places, 4, BLOCK=4)
    assert f":{line('atomic')}:" in said and "accesses bins out of bounds: element 4," in said


def test_scalars_are_checked():
    x, out = numbers(5), np.zeros(1, np.float32)
    scalars[(1,)](x, out, 4, bounds_check=True)
    assert out[0] == 4
    assert "reads x out of bounds: element 5, its" in refusal(scalars, (1,), x, out, 5)


def test_blocks_without_a_boundary_check_are_caught():
    x, out = numbers(12).reshape(4, 3), np.zeros((2, 4), np.float32)
    blocked[(1,)](x, out, 4, 3, 3, M=2, N=4, CHECK=True, bounds_check=True)
    np.testing.assert_array_equal(out, [[9, 10, 11, 0], [0, 0, 0, 0]])
    said = refusal(blocked, (1,), x, out, 4, 3, 3, M=2, N=4, CHECK=False)
    assert f":{line('block')}:" in said and "element 15, its tensor has elements 0 to 11" in said


@pytest.mark.parametrize("step, said", [(3, "element 21,"), (-1, "element -7,")])
def test_steps_of_any_sign_are_checked(step, said):
    x, out = numbers(15), np.zeros(8, np.float32)
    strided[(1,)](x, out, 2, BLOCK=8, bounds_check=True)
    np.testing.assert_array_equal(out, x[14::-2])
    assert said in refusal(strided, (1,), x, out, step, BLOCK=8)


def test_without_the_option_the_code_is_the_same(core):
    def made(**options):
        chosen = select.find_core(core)
        text = "*fp32,*fp32,i32,i32"
        return aot.compile_function(
            shifted, signature=text, constexpr="BLOCK=64", core=chosen, emit="asm", **options
        ).data

    assert made() == made(bounds_check=False)
    assert "vertebra_out_of_bounds" not in made()
    assert "vertebra_out_of_bounds" in made(bounds_check=True)


def test_the_environment_chooses_too(monkeypatch):
    monkeypatch.delenv("VERTEBRA_BOUNDS", raising=False)
    assert not parse_options({}, "host").bounds_check
    monkeypatch.setenv("VERTEBRA_BOUNDS", "1")
    assert parse_options({}, "host").bounds_check
    assert not parse_options({"bounds_check": False}, "host").bounds_check
    monkeypatch.setenv("VERTEBRA_BOUNDS", "0")
    assert not parse_options({}, "host").bounds_check


def test_the_extent_of_a_bare_address_is_not_known():
    x = numbers(4)
    assert bounds.extent(x.ctypes.data) == (bounds.UNKNOWN, bounds.UNKNOWN)
    assert bounds.extent(x[1:]) == (4, 12)


def test_a_c_program_passes_the_extents(tmp_path):
    set_core("host")
    core = select.current_core()
    options = {"signature": "*fp32,*fp32,i32,i32", "constexpr": "BLOCK=8", "core": core, "bounds_check": True}
    artifact = aot.compile_function(shifted, emit="obj", **options)
    assert "int64_t x_bytes_before;" in artifact.header and "int64_t out_bytes_behind;" in artifact.header
    (tmp_path / "libshifted.h").write_text(artifact.header)
    (tmp_path / "shifted.o").write_bytes(artifact.data)
    (tmp_path / "main.c").write_text("""
#include "libshifted.h"
#include <stdio.h>
void vertebra_out_of_bounds(const char *what, int64_t element, int64_t first, int64_t end,
                            int32_t x, int32_t y, int32_t z) {
  printf("%s %d of %d..%d\\n", what, (int)element, (int)first, (int)end);
  fflush(stdout);
  _Exit(3);
}
int main(void) {
  static float x[8], out[8];
  struct shifted_args args = {.x = x, .out = out, .n = 8, .by = 1};
  args.x_bytes_behind = args.out_bytes_behind = 32;
  return shifted_run(&args, 1, 1, 1);
}
""")
    program = tmp_path / "main"
    flags = [f"-I{tmp_path}", str(tmp_path / "main.c"), str(tmp_path / "shifted.o"), "-o", str(program)]
    toolchain.run_compiler(["-target", toolchain.host_triple(), "-O1", *flags])
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done
    assert done.stdout.endswith("reads x out of bounds: 8 of 0..8\n")
