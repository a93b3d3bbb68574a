"""Tiles by number on the cores, compared with NumPy."""

import numpy as np
import pytest
from plugged import names_at_linalg, plugged, run, tensor_of

RNG = np.random.default_rng(0)
CORES = ["host", "spacemit-x60"]


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("tle"):
        yield


def place(index, shape, tile):
    grid = [s // t for s, t in zip(shape, tile, strict=True)]
    at = np.unravel_index(index % int(np.prod(grid)), grid)
    return tuple(slice(i * t, (i + 1) * t) for i, t in zip(at, tile, strict=True))


CASES = [((64,), (16,)), ((8, 64), (4, 16)), ((8, 32), (1, 32)), ((2, 4, 16), (1, 2, 16)), ((8, 32), (8, 32))]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("shape, tile", CASES)
@pytest.mark.parametrize("known", [True, False])
def test_extract_every_tile(core, shape, tile, known):
    x = RNG.standard_normal(shape).astype(np.float32)
    count = x.size // int(np.prod(tile))
    for n in {0, count // 2, count - 1} | (set() if known else {count + 1}):
        want = x[place(n, shape, tile)].copy()
        index = "%k" if known else "%n"
        body = f"""%k = arith.constant {n if known else 0} : i32
        %y0 = tle.extract_tile %x0[{index}] : {tensor_of(x)}, i32 -> {tensor_of(want)}"""
        (got,) = run(core, body, [x], [np.zeros_like(want)], n)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("shape, tile", CASES)
@pytest.mark.parametrize("known", [True, False])
def test_insert_leaves_the_source(core, shape, tile, known):
    x, t = RNG.standard_normal(shape).astype(np.float32), RNG.standard_normal(tile).astype(np.float32)
    n = x.size // t.size - 1
    want = x.copy()
    want[place(n, shape, tile)] = t
    body = f"""%k = arith.constant {n} : i32
    %y0 = tle.insert_tile %x0[{"%k" if known else "%n"}] = %x1
        : {tensor_of(x)}, i32, {tensor_of(t)} -> {tensor_of(x)}
    %y1 = arith.addf %x0, %x0 : {tensor_of(x)}"""
    got, twice = run(core, body, [x, t], [np.zeros_like(x), np.zeros_like(x)], n)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(twice, 2 * x)


def test_a_known_tile_is_a_slice_without_arithmetic():
    x, t = np.zeros((8, 64), np.float32), np.zeros((4, 16), np.float32)
    body = f"""%k = arith.constant 5 : i32
    %y0 = tle.extract_tile %x0[%k] : {tensor_of(x)}, i32 -> {tensor_of(t)}"""
    names = names_at_linalg(body, [x], [t])
    assert "tensor.extract_slice" in names
    assert not {"arith.divui", "arith.remui"} & set(names)
