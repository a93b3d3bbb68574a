"""Scans over long axes: tiles, and how far rounding errors grow."""

import re

import numpy as np
import pytest
import triton
import triton.language as tl
from evaluate import lowered

from vertebra.core import select
from vertebra.core.context import context
from vertebra.core.mlir import ir


def text_of(shape: str, axis: int, reverse: bool = False) -> str:
    return f"""func.func @f(%x: tensor<{shape}xf32>) -> tensor<{shape}xf32> {{
      %y = "tt.scan"(%x) <{{axis = {axis} : i32, reverse = {str(reverse).lower()}}}> ({{
      ^bb0(%a: f32, %b: f32):
        %s = arith.addf %a, %b : f32
        tt.scan.return %s : f32
      }}) : (tensor<{shape}xf32>) -> tensor<{shape}xf32>
      return %y : tensor<{shape}xf32>
    }}"""


@pytest.mark.parametrize(
    "shape, axis, tile",
    [
        ("1048576", 0, "1024"),
        ("4096", 0, "1024"),
        ("2x8192", 1, "2x1024"),
        ("8192x256", 0, "256x256"),
        ("2048", 0, None),
        ("8192x2", 1, None),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_long_axes_are_scanned_in_tiles(shape, axis, tile, reverse):
    with context(), ir.Location.unknown():
        text = str(lowered(text_of(shape, axis, reverse)))
    assert text.count("scf.for") == (3 if tile else 1)
    sizes = set(re.findall(r"tensor\.extract_slice .* to tensor<([\dx]+)xf32>", text))
    assert (tile in sizes) if tile else not any(s.startswith("1024") for s in sizes)


@triton.jit
def running_sums(x, y, SIZE: tl.constexpr):
    i = tl.arange(0, SIZE)
    tl.store(y + i, tl.cumsum(tl.load(x + i), 0))


@triton.jit
def since_start(value, starts, next_value, next_starts):
    if next_starts != 0:  # noqa: SIM108 - a branch is what is tested
        total = next_value
    else:
        total = value + next_value
    return total, starts | next_starts


@triton.jit
def sums_of_parts(x, s, y, ROWS: tl.constexpr, SIZE: tl.constexpr, BACK: tl.constexpr):
    at = tl.arange(0, ROWS)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    y_, _ = tl.associative_scan((tl.load(x + at), tl.load(s + at)), 1, since_start, reverse=BACK)
    tl.store(y + at, y_)


@pytest.mark.parametrize("back", [False, True])
def test_pairs_and_branches_in_tiles(on_host, back):
    """Sums that begin anew at marks, some of them more than a tile apart."""
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (2, 8192)).astype(np.int32)
    s = (rng.random((2, 8192)) < [[0.01], [0.0003]]).astype(np.int32)
    y = np.zeros_like(x)
    sums_of_parts[(1,)](x, s, y, ROWS=2, SIZE=8192, BACK=back)
    ordered, marks = (x[:, ::-1], s[:, ::-1]) if back else (x, s)
    want = ordered.copy()
    for i in range(1, 8192):
        want[:, i] = np.where(marks[:, i] != 0, ordered[:, i], want[:, i - 1] + ordered[:, i])
    np.testing.assert_array_equal(y, want[:, ::-1] if back else want)


@pytest.fixture
def on_host():
    select.set_core("host")
    yield
    select.set_core(None)


def test_errors_grow_with_tiles_not_with_elements(on_host):
    """A million equal numbers that have no exact sum: one after the other they come to 1e-2 less."""
    x = np.full(1 << 20, 0.1, np.float32)
    y = np.zeros_like(x)
    running_sums[(1,)](x, y, x.size)
    want = np.cumsum(x, dtype=np.float64)
    assert np.abs(y / want - 1).max() < 1e-4
    assert np.abs(np.cumsum(x) / want - 1).max() > 1e-3
