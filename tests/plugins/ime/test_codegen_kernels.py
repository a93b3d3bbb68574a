"""Triton kernels on the matrix engines: blocks inside of their matrices, and blocks at the edges."""

from pathlib import Path

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.compile import compile
from vertebra.core.select import runtime_for
from vertebra.plugins.triton.aot import compile_file

from .products import random_integers

pytestmark = pytest.mark.filterwarnings("ignore:tl.make_block_ptr is deprecated")
cores = pytest.mark.parametrize("name", ["spacemit-a60", "spacemit-a100"])
KERNELS = str(Path(__file__).parent / "kernels.py")


def run(name: str, kernel: str, constants: str, sizes: int, grid, args) -> None:
    core = hooks.cores()[name]
    signature = ",".join(["*i8:16", "*i8:16", "*i32:16", *["i32"] * sizes])
    made = compile_file(KERNELS, kernel, signature=signature, constexpr=constants, core=name, emit="llir")
    binary = compile(made.data, core, name=kernel, signature=made.signature, start="llir")
    runtime_for(core).load(binary).launch((*grid, 1), args)


@cores
@pytest.mark.parametrize("n, k", [(64, 256), (64, 250), (70, 256), (5, 3), (129, 511)])
def test_matrix_by_vector(name, n, k):
    rng = np.random.default_rng(n + k)
    x, weight, out = (
        random_integers(rng, "i8", k),
        random_integers(rng, "i8", (n, k)),
        np.full(n + 3, 7, np.int32),
    )
    run(name, "masked_gemv", "BLOCK_N=32,BLOCK_K=128", 2, (-(-n // 32), 1), [x, weight, out, n, k])
    np.testing.assert_array_equal(out[:n], weight.astype(np.int32) @ x.astype(np.int32))
    assert (out[n:] == 7).all()


@cores
@pytest.mark.parametrize("m, n, k", [(64, 64, 64), (70, 33, 45), (1, 100, 64), (31, 1, 7), (40, 40, 130)])
def test_matrix_by_matrix(name, m, n, k):
    rng = np.random.default_rng(m + n + k)
    a, b = random_integers(rng, "i8", (m, k)), random_integers(rng, "i8", (k, n))
    out = np.full((m, n), 7, np.int32)
    run(name, "masked_product", "M=32,N=32,K=32", 3, (-(-m // 32), -(-n // 32)), [a, b, out, m, n, k])
    np.testing.assert_array_equal(out, a.astype(np.int32) @ b.astype(np.int32))
