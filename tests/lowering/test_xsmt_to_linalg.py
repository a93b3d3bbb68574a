"""Packed matrices on the cores, compared with NumPy."""

import numpy as np
import pytest
from plugged import packed, plugged, run, tensor_of, window

RNG = np.random.default_rng(0)
CORES = ["host", "spacemit-x60"]


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("xsmt"):
        yield


def unpacked(x):
    a, b, c, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(a * c, b * d).copy()


def floats(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def offset_lines(offsets) -> str:
    return "\n".join(f"%o{i} = arith.constant {o} : i32" for i, o in enumerate(offsets))


# (offsets, shape, tile) for a source of 32x64
VIEWS = [
    ((0, 0), (32, 64), (8, 16)),
    ((8, 16), (16, 32), (4, 32)),
    ((3, 5), (17, 30), (8, 16)),
    ((16, 32), (32, 64), (12, 32)),
    ((-3, -5), (16, 32), (8, 8)),
    ((40, 0), (8, 8), (8, 8)),
    ((0, 0), (64, 64), (16, 4)),
]


def pack_text(x, y, offsets, shape, tile, op="xsmt.pack") -> str:
    return (
        f"%y0 = {op} %x0[{offsets}] shape [{shape[0]}, {shape[1]}]"
        f" packed_size [{tile[0]}, {tile[1]}] : {tensor_of(x)} -> {tensor_of(y)}"
    )


@pytest.mark.parametrize("offsets, shape, tile", VIEWS)
def test_pack_at_known_offsets(offsets, shape, tile):
    x = floats(32, 64)
    want = packed(x, offsets, shape, tile)
    body = offset_lines(offsets) + "\n" + pack_text(x, want, "%o0, %o1", shape, tile)
    (got,) = run("host", body, [x], [np.full_like(want, 7)])
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    "n, shape, tile", [(8, (16, 32), (8, 16)), (20, (32, 64), (8, 16)), (-4, (10, 10), (4, 8))]
)
def test_pack_at_run_time_offsets(core, n, shape, tile):
    x = floats(32, 64)
    want = packed(x, (n, n), shape, tile)
    (got,) = run(core, pack_text(x, want, "%n, %n", shape, tile), [x], [np.full_like(want, 7)], n)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int32])
def test_pack_of_every_width(dtype):
    x = RNG.integers(-100, 100, (30, 50)).astype(dtype)
    want = packed(x, (0, 0), (30, 50), (8, 16))
    body = offset_lines((0, 0)) + "\n" + pack_text(x, want, "%o0, %o1", (30, 50), (8, 16))
    (got,) = run("host", body, [x], [np.full_like(want, 7)])
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("offsets, shape", [((0, 0), (32, 64)), ((5, 7), (16, 32)), ((16, 48), (32, 64))])
def test_unpack(core, offsets, shape):
    x = floats(4, 4, 8, 16)
    want = window(unpacked(x), offsets, shape, shape)
    body = (
        offset_lines(offsets)
        + f"\n%y0 = xsmt.unpack %x0[%o0, %o1] shape [{shape[0]}, {shape[1]}]"
        + f" : {tensor_of(x)} -> {tensor_of(want)}"
    )
    (got,) = run(core, body, [x], [np.full_like(want, 7)])
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("n, shape, tile", [(0, (32, 64), (16, 8)), (3, (16, 32), (4, 4))])
def test_repack(core, n, shape, tile):
    x = floats(4, 4, 8, 16)
    want = packed(unpacked(x), (n, n), shape, tile)
    (got,) = run(
        core, pack_text(x, want, "%n, %n", shape, tile, "xsmt.repack"), [x], [np.full_like(want, 7)], n
    )
    np.testing.assert_array_equal(got, want)


PRODUCTS = [
    (np.float32, np.float32, np.float32),
    (np.float16, np.float16, np.float16),
    (np.float16, np.float16, np.float32),
    (np.float16, np.float32, np.float32),
    (np.float64, np.float64, np.float64),
    (np.float32, np.float64, np.float16),
    (np.float16, np.float16, np.float64),
    (np.int8, np.int8, np.int32),
    (np.int8, np.int8, np.int8),
    (np.int16, np.int16, np.int32),
]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("left, right, sums", PRODUCTS)
@pytest.mark.parametrize("with_acc", [True, False])
def test_mmt4d(core, left, right, sums, with_acc):
    a = RNG.integers(-4, 5, (3, 2, 8, 4)).astype(left)
    b = RNG.integers(-4, 5, (2, 2, 16, 4)).astype(right)
    c = RNG.integers(-4, 5, (3, 2, 8, 16)).astype(sums)
    want = np.einsum("ipkq,jplq->ijkl", a.astype(np.float64), b.astype(np.float64)) + (c if with_acc else 0)
    body = (
        f"%y0 = xsmt.mmt4d %x0, %x1{', %x2' if with_acc else ''}"
        f" : {tensor_of(a)}, {tensor_of(b)} -> {tensor_of(c)}"
    )
    (got,) = run(core, body, [a, b, c], [np.zeros_like(c)])
    wrapped = want.astype(np.int64).astype(sums) if np.issubdtype(sums, np.integer) else want
    np.testing.assert_array_equal(got, wrapped)


def test_half_sums_are_rounded_once():
    """2048 + 1 + 1 ... stays 2048 where every step is rounded to half."""
    a = np.ones((1, 64, 1, 1), np.float16)
    b = np.ones((1, 64, 1, 1), np.float16)
    c = np.full((1, 1, 1, 1), 2048, np.float16)
    body = f"%y0 = xsmt.mmt4d %x0, %x1, %x2 : {tensor_of(a)}, {tensor_of(b)} -> {tensor_of(c)}"
    (got,) = run("host", body, [a, b, c], [np.zeros_like(c)])
    assert got.item() == 2048 + 64


PACKED_DOT = """
    %a = xsmt.pack %x0[%zero, %zero] shape [16, 32] packed_size [8, 4]
        : tensor<16x32xf32> -> tensor<2x8x8x4xf32>
    %t = tt.trans %x1 {order = array<i32: 1, 0>} : tensor<32x48xf32> -> tensor<48x32xf32>
    %b = xsmt.pack %t[%zero, %zero] shape [48, 32] packed_size [16, 4]
        : tensor<48x32xf32> -> tensor<3x8x16x4xf32>
    %c = xsmt.mmt4d %a, %b : tensor<2x8x8x4xf32>, tensor<3x8x16x4xf32> -> tensor<2x3x8x16xf32>
    %y0 = xsmt.unpack %c[%zero, %zero] shape [16, 48] : tensor<2x3x8x16xf32> -> tensor<16x48xf32>
"""


@pytest.mark.parametrize("core", CORES)
def test_a_product_through_packed_matrices(core):
    x, w = floats(16, 32), floats(32, 48)
    (got,) = run(core, PACKED_DOT, [x, w], [np.zeros((16, 48), np.float32)])
    np.testing.assert_allclose(got, x @ w, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_program_alone_has_all_threads(threads, monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", str(threads))
    x = np.zeros((4, 4), np.int32)
    body = f"%t = xsmt.get_num_of_thread : i32\n%y0 = tt.splat %t : i32 -> {tensor_of(x)}"
    (got,) = run("host", body, [x], [np.zeros_like(x)])
    np.testing.assert_array_equal(got, np.full_like(x, threads))
