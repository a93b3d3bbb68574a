"""Saturating additions against NumPy, their textual form, and what they refuse."""

import numpy as np
import pytest
import triton
import triton.language as tl
import vertebra_saturate.language as sat

from vertebra.core import assembly, hooks
from vertebra.core.context import context
from vertebra.core.errors import CompileError


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    tl.store(out + i, sat.add(tl.load(x + i, inside), tl.load(y + i, inside)), inside)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_sums_stop_at_the_ends_of_the_type(kind):
    ends = np.iinfo(kind)
    some = np.array([ends.min, ends.min + 1, ends.max // 2, ends.max - 1, ends.max, 0, 1], kind)
    x, y = (side.ravel() for side in np.meshgrid(some, some))
    out = np.zeros_like(x)
    add[(4,)](x, y, out, x.size, BLOCK=16)
    want = np.clip(x.astype(np.int64) + y.astype(np.int64), ends.min, ends.max)
    np.testing.assert_array_equal(out, want.astype(kind))


def test_the_text_is_read_and_printed():
    line = "%0 = sat.add unsigned %arg0, %arg1 : tensor<8xi8>"
    text = f"func.func @f(%arg0: tensor<8xi8>, %arg1: tensor<8xi8>) {{\n  {line}\n  return\n}}"
    with context():
        assert line in assembly.print_module(assembly.parse(text, context()))


def test_floats_are_refused():
    text = "func.func @f(%a: f32) {\n  %0 = sat.add signed %a, %a : f32\n  return\n}"
    with context(), pytest.raises(CompileError, match="f32 does not saturate"):
        assembly.parse(text, context())


def test_it_is_found():
    assert "sat" in hooks.dialects()
    assert "sat-to-arith" in [step.name for step in hooks.lowerings()]
