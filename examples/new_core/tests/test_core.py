"""What is special about acme-v512; everything else is tested by `pytest --vertebra-core acme-v512`."""

import numpy as np
import triton
import triton.language as tl
from vertebra_acme_v512 import CORE, DOT
from vertebra.core import hooks, select


@triton.jit
def product(a, b, c, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    """c (M, N) = a (M, K) @ b (K, N)"""
    i, j, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    x = tl.load(a + i[:, None] * K + k[None, :])
    y = tl.load(b + k[:, None] * N + j[None, :])
    tl.store(c + i[:, None] * N + j[None, :], tl.dot(x, y))


def test_the_core_is_listed():
    assert select.find_core("acme-v512") is CORE
    assert [tile.instruction for tile in hooks.matrix_tiles(CORE)] == [DOT.name]


def test_products_use_the_instruction():
    select.set_core("acme-v512")
    m, n, k = 32, 64, 128
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((m, k), (k, n)))
    c = np.zeros((m, n), np.int32)
    try:
        product[(1,)](a, b, c, M=m, N=n, K=k)
    finally:
        select.set_core(None)
    np.testing.assert_array_equal(c, a.astype(np.int32) @ b.astype(np.int32))
    tile = DOT.tile(CORE)
    runtime = select.runtime_for(CORE)
    if hasattr(runtime, "emulated_counts"):  # not on a board that has the instruction
        dots = runtime.emulated_counts(CORE)[DOT.name]
        assert dots == (m // tile.m) * (n // tile.n) * (k // tile.k)
