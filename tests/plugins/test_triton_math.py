"""Options and modules of the frontend that concern mathematics."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton.language.extra import libdevice
from triton.language.extra.cuda import libdevice as cuda_libdevice

from vertebra.core import select
from vertebra.lowering.tt_to_linalg.libdevice import find_function
from vertebra.plugins.triton import libdevice as own_libdevice

N = 1024


@pytest.fixture(autouse=True)
def on_host():
    select.set_core("host")
    yield
    select.set_core(None)


@triton.jit
def exponential(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.exp(tl.load(x + i)))


@triton.jit
def quick(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, libdevice.fast_expf(tl.load(x + i)))


@triton.jit
def wrong_operand(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, libdevice.tgamma(tl.load(x + i)))


def computed(kernel, x: torch.Tensor, **options) -> np.ndarray:
    out = torch.empty_like(x)
    kernel[(1,)](x, out, N=x.numel(), **options)
    return out.numpy()


def test_fast_math_takes_looser_functions_within_their_bounds():
    x = torch.linspace(-80, 80, N)
    exact = np.exp(x.double().numpy())
    accurate, fast = computed(exponential, x), computed(exponential, x, fast_math=True)
    ulp = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert np.max(np.abs(accurate - exact) / ulp) <= 1
    assert 1 < np.max(np.abs(fast - exact) / ulp) <= 4
    np.testing.assert_array_equal(computed(quick, x), fast)


def test_fast_math_leaves_double_precision_alone():
    x = torch.linspace(-80, 80, N, dtype=torch.float64)
    np.testing.assert_array_equal(computed(exponential, x), computed(exponential, x, fast_math=True))


SYMBOLS = sorted(set(re.findall(r'"(__nv_\w+)"', Path(cuda_libdevice.__file__).read_text())))


def test_every_symbol_of_tritons_module_is_known():
    assert len(SYMBOLS) > 300
    assert not [s for s in SYMBOLS if find_function(s) is None]


def test_every_function_of_tritons_interface_exists():
    names = [n for n, f in vars(libdevice).items() if callable(f) and hasattr(cuda_libdevice, n)]
    assert len(names) > 150
    assert not [n for n in names if not hasattr(own_libdevice, n)]


def test_operands_of_other_types_are_refused():
    x = torch.zeros(N, dtype=torch.int32)
    with pytest.raises(triton.CompilationError) as caught:
        computed(wrong_operand, x)
    assert "tgamma does not take (int32)" in str(caught.value.__cause__ or caught.value)
