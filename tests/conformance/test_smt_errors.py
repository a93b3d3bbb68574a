"""Kernels in `smt` and `tle` that cannot be: errors tell kernel, line, what is wrong and what is legal."""

import linecache
import re

import numpy as np
import pytest
import triton
import triton.language as tl
import triton.language.extra.smt as smt
from triton.language.extra import tle

from vertebra.core import hooks
from vertebra.core.errors import CompileError, LaunchError
from vertebra.core.tiles import whole_tile


@triton.jit
def matrix(p, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    return tl.make_block_ptr(p, (ROWS, COLUMNS), (COLUMNS, 1), (0, 0), (ROWS, COLUMNS), (1, 0))


@triton.jit
def wrong(x, n, CASE: tl.constexpr):
    a = tl.load(matrix(x, 32, 64))
    if CASE == "tile of memory":
        smt.view(matrix(x, 32, 64), (0, 0), (20, 64), (8, 16))  # here
    elif CASE == "tile of a tensor":
        tle.extract_tile(a, 0, (8, 24))  # here
    elif CASE == "power of two":
        smt.view(a, (0, 0), (32, 64), (12, 16))  # here
    elif CASE == "tiles along K":
        smt.dot(smt.view(a, (0, 0), (32, 64), (8, 8)), smt.view(a, (0, 0), (64, 32), (16, 8)))  # here
    elif CASE == "three dimensions":
        smt.view(a[None, :, :], (0, 0), (32, 64), (8, 16))  # here
    elif CASE == "tile number":
        tle.extract_tile(a, (4, 0), (8, 16))  # here
    elif CASE == "buffer number":
        smt.alloc_copies((8, 16), copies=2)[2]  # here
    elif CASE == "barrier number":
        smt.mbarrier_copies(copies=3)[3]  # here
    elif CASE == "barrier in a loop":
        for _ in range(n):
            smt.barrier_arrive(smt.mbarrier())  # here
    elif CASE == "count":
        smt.mbarrier(expect_count=32768)  # here
    elif CASE == "copies":
        smt.alloc_copies((8, 16), copies=0)  # here
    elif CASE == "shape of run time":
        smt.view(a, (0, 0), (n, 64), (8, 16))  # here
    elif CASE == "storage":
        smt.alloc((8, 16), storage="l3")  # here


CASES = {
    "tile of memory": ("smt.view: shape[0] is 20, which the tile's 8 does not divide", "16 or 24"),
    "tile of a tensor": ("tle.extract_tile: dimension 1 of the tensor is 64", "16 and 32"),
    "power of two": ("smt.view: the result would be 3x4x12x16", "8 or 16 for 12"),
    "tiles along K": (
        "smt.dot: a is 4x8x8x8, that is 8 tiles of 8 along K; b is 4x4x16x8",
        "8 x NB x 8 x nb",
    ),
    "three dimensions": (
        "smt.view: base has 3 dimensions (1x32x64)",
        "give a matrix of 2, or a packed one of 4",
    ),
    "tile number": ("tle.extract_tile: index 4 of 4 tiles in a grid of 4x4", "use 0 to 3"),
    "buffer number": ("smt.alloc_copies: index 2 of 2 buffers", "use 0 to 1"),
    "barrier number": ("smt.mbarrier_copies: index 3 of 3 barriers", "use 0 to 2"),
    "barrier in a loop": ("smt.mbarrier: a barrier is made inside of a loop", "make it before the loop"),
    "count": ("smt.mbarrier: expect_count is 32768", "1 to 32767"),
    "copies": ("smt.alloc_copies: 0 copies", "at least 1"),
    "shape of run time": ("smt.view: shape[0] is a run-time value", "tl.constexpr"),
    "storage": ("smt.alloc: there is no storage 'l3'", "fragment, tcm, l2, ddr, global"),
}


@pytest.mark.parametrize("case", CASES)
def test_seen_when_compiling(use_core, case):
    use_core("host")
    with pytest.raises(triton.CompilationError) as raised:
        wrong[(1,)](np.zeros(2048, np.float32), 3, CASE=case)
    told, (what, legal) = str(raised.value), CASES[case]
    shown, _, message = told.rpartition("^")
    assert what in message and legal in message
    place = re.search(rf"{__file__}:(\d+):\d+: error in kernel wrong: (?:smt|tle)\.", message)
    assert "# here" in linecache.getline(__file__, int(place[1]))
    assert shown.rstrip().splitlines()[-1].endswith("# here")


@triton.jit
def in_tiles(a, SIZE: tl.constexpr):
    return smt.view(a, (0, 0), (SIZE, 64), (8, 24))  # here


@triton.jit
def calling(x):
    in_tiles(tl.load(matrix(x, 32, 64)), 32)  # the call


def test_an_error_in_a_function_is_told_with_the_call(use_core):
    use_core("host")
    with pytest.raises(triton.CompilationError) as raised:
        calling[(1,)](np.zeros(2048, np.float32))
    shown, _, message = str(raised.value).rpartition("^")
    assert shown.rstrip().splitlines()[-1].endswith("# the call")
    line = int(
        re.search(rf"{__file__}:(\d+):\d+: error in function in_tiles: smt.view: .*16 or 32", message)[1]
    )
    assert "# here" in linecache.getline(__file__, line)


@triton.jit
def unfit(x, m, n, row, CASE: tl.constexpr):
    if CASE == "known":
        whole = tl.make_block_ptr(x, (30, 64), (64, 1), (0, 0), (32, 64), (1, 0))
        tl.store(
            x, tl.sum(tl.sum(tl.sum(tl.sum(tl.load(smt.view(whole, (0, 0), (32, 64), (8, 16))), 0), 0), 0))
        )
    else:
        whole = tl.make_block_ptr(x, (m, n), (n, 1), (row, 0), (32, 64), (1, 0))
        seen = smt.view(whole, (0, 0), (32, 64), (8, 16))  # here
        tl.store(seen, tl.load(seen) + 1)


def test_a_tensor_of_parts_of_tiles_is_not_seen_in_tiles(use_core):
    use_core("host")
    message = "xsmt.subview_pack: the tensor's size in dimension 0 is 30, no multiple of 8; 24 and 32 are"
    with pytest.raises(CompileError, match=message) as raised:
        unfit[(1,)](np.zeros(2048, np.float32), 30, 64, 0, CASE="known")
    assert raised.value.kernel == "unfit" and raised.value.place.line


@pytest.mark.parametrize(
    "m, n, row, message",
    [
        (30, 64, 0, "the tensor's size in dimension 0 is no multiple of 8"),
        (32, 56, 0, "the tensor's size in dimension 1 is no multiple of 16"),
        (32, 64, 4, "the offset in dimension 0 is inside of a tile of 8; use a multiple of 8"),
    ],
)
def test_sizes_and_offsets_of_run_time_are_checked_when_run(core, use_core, m, n, row, message):
    use_core(core)
    x = np.zeros(4096, np.float32)
    with pytest.raises(
        LaunchError, match=rf"program \(0, 0, 0\): \S+:\d+:\d+: assertion failed: .*{message}"
    ):
        unfit[(1,)](x, m, n, row, CASE="run time")
    unfit[(1,)](x, 32, 64, 0, CASE="run time")
    np.testing.assert_array_equal(x, np.repeat([1, 0], 2048))


@triton.jit
def whole_numbers(x, CASE: tl.constexpr):
    tl.load(matrix(x, 8, 16), boundary_check=(0, 1), padding_option=CASE)


@pytest.mark.parametrize("padding", ["inf", "neg_inf"])
def test_integers_have_no_infinity(use_core, padding):
    use_core("host")
    with pytest.raises(
        triton.CompilationError, match=f"padding_option is '{padding}' and the elements are int32"
    ):
        whole_numbers[(1,)](np.zeros(128, np.int32), CASE=padding)


@triton.jit
def packed_product(x, w, out, SIZE: tl.constexpr, TILE: tl.constexpr):
    a = smt.view(tl.load(matrix(x, SIZE, SIZE)), (0, 0), (SIZE, SIZE), (TILE[0], TILE[2]))
    b = smt.view(tl.load(matrix(w, SIZE, SIZE)), (0, 0), (SIZE, SIZE), (TILE[2], TILE[1]))
    c = smt.dot(a, b)  # here
    tl.store(matrix(out, SIZE, SIZE), smt.view(c, (0, 0), (SIZE, SIZE), (1, 1)))


@pytest.mark.parametrize("tile", [(2, 64, 64), (64, 2, 64), (64, 64, 2), (2, 2, 2)])
def test_tiles_that_a_cores_instructions_cannot_express(core, use_core, tile):
    """An error that names legal ones, which then run; where no instruction takes the types, any tile runs."""
    use_core(core)
    rng = np.random.default_rng(sum(tile))
    x, w = rng.integers(-128, 128, (2, 64, 64), np.int8)
    legal = whole_tile(hooks.cores()[core], "i8", "i8", "i32", tile)
    if legal != tile:
        with pytest.raises(CompileError) as raised:
            packed_product[(1,)](x, w, np.zeros((64, 64), np.int32), SIZE=64, TILE=tile)
        error, shown = raised.value, "x".join(map(str, tile))
        assert error.kernel == "packed_product" and error.place.filename == __file__
        assert "# here" in linecache.getline(__file__, error.place.line)
        assert f"tile {shown} (MxNxK) of i8 x i8 -> i32" in error.message and core in error.message
        assert f"here {'x'.join(map(str, legal))}" in error.fix
    out = np.zeros((64, 64), np.int32)
    packed_product[(1,)](x, w, out, SIZE=64, TILE=legal)
    np.testing.assert_array_equal(out, x.astype(np.int32) @ w.astype(np.int32))


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_types_that_no_core_multiplies(core, use_core, dtype):
    """The error names types that are multiplied, and the rows of the core's table."""
    use_core(core)
    with pytest.raises(triton.CompilationError) as raised:
        packed_product[(1,)](
            np.zeros((16, 16), dtype),
            np.zeros((16, 16), dtype),
            np.zeros(256, np.int32),
            SIZE=16,
            TILE=(8, 8, 8),
        )
    told = str(raised.value)
    name = np.dtype(dtype).name
    assert f"error in kernel packed_product: smt.dot: a is of {name} and b of {name}" in told
    assert "integers of 32 bits or fewer" in told
    rows = [row for row in hooks.matrix_tiles(hooks.cores()[core]) if row.plain]
    assert all(f"{row.a} x {row.b} -> {row.acc}, tiles of {row.m}x{row.n}x{row.k}" in told for row in rows)


@triton.jit
def whole_product(x, w, out, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """Matrices of a single tile each."""
    a = smt.view(tl.load(matrix(x, M, K)), (0, 0), (M, K), (M, K))
    b = smt.view(tl.load(matrix(w, K, N)), (0, 0), (K, N), (K, N))
    tl.store(matrix(out, M, N), smt.view(smt.dot(a, b), (0, 0), (M, N), (1, 1)))


@pytest.mark.parametrize("size", [(1, 2, 2), (1, 64, 128), (2, 32, 64), (64, 1, 16), (16, 16, 2)])
def test_a_matrix_smaller_than_an_instruction_is_one_tile(core, use_core, size):
    use_core(core)
    m, n, k = size
    rng = np.random.default_rng(m + n + k)
    x, w = rng.integers(-128, 128, (m, k), np.int8), rng.integers(-128, 128, (k, n), np.int8)
    out = np.zeros((m, n), np.int32)
    whole_product[(1,)](x, w, out, M=m, N=n, K=k)
    np.testing.assert_array_equal(out, x.astype(np.int32) @ w.astype(np.int32))
