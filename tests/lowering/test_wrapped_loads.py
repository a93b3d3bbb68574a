"""Loads whose indices wrap around: in place where a block does not reach the point where it would wrap."""

import re

import numpy as np
import pytest
from test_micro_kernels import HOST

from vertebra.core.compile import compile, render
from vertebra.core.select import runtime_for

B = 32
TEXT = f"""tt.func public @k(%x: !tt.ptr<f32>, %y: !tt.ptr<f32>, %s: i32, %n: i32, %h: i32) {{
  %r = tt.make_range {{end = {B} : i32, start = 0 : i32}} : tensor<{B}xi32>
  %sv = tt.splat %s : i32 -> tensor<{B}xi32>
  %o = arith.addi %r, %sv : tensor<{B}xi32>
  %nv = tt.splat %n : i32 -> tensor<{B}xi32>
  %w = arith.remsi %o, %nv : tensor<{B}xi32>
  %p = tt.splat %x : !tt.ptr<f32> -> tensor<{B}x!tt.ptr<f32>>
  %px = tt.addptr %p, %w : tensor<{B}x!tt.ptr<f32>>, tensor<{B}xi32>
  %hv = tt.splat %h : i32 -> tensor<{B}xi32>
  %m = arith.cmpi slt, %r, %hv : tensor<{B}xi32>
  %c = arith.constant dense<-1.0> : tensor<{B}xf32>
  %v = tt.load %px, %m, %c : tensor<{B}x!tt.ptr<f32>>
  %q = tt.splat %y : !tt.ptr<f32> -> tensor<{B}x!tt.ptr<f32>>
  %py = tt.addptr %q, %r : tensor<{B}x!tt.ptr<f32>>, tensor<{B}xi32>
  tt.store %py, %v : tensor<{B}x!tt.ptr<f32>>
  tt.return
}}"""


@pytest.fixture(scope="module")
def kernel():
    signature = ("*fp32", "*fp32", "i32", "i32", "i32")
    return runtime_for(HOST).load(compile(TEXT, HOST, name="k", signature=signature))


@pytest.mark.parametrize("start", [0, 5, 68, 69, 99, 250])
@pytest.mark.parametrize("modulo", [100, 3, 1])
@pytest.mark.parametrize("below", [B, B + 9, 31, 7, 0])
def test_numbers(kernel, start, modulo, below):
    x, y = np.arange(modulo, dtype=np.float32), np.zeros(B, np.float32)
    kernel.launch((1, 1, 1), (x, y, start, modulo, below))
    i = np.arange(B)
    np.testing.assert_array_equal(y, np.where(i < below, (start + i) % modulo, -1))


def test_only_blocks_that_wrap_are_copied_first():
    """What is read is memory itself or that copy, as it turns out."""
    text = render(TEXT, "linalg", HOST)
    straight = re.sub(r"\n    scf\.if.*?\n    }\n", "\n", text, flags=re.S)
    assert straight.count("memref.copy") == 1 < text.count("memref.copy")
    (chosen,) = re.findall(r"(%\S+) = arith\.select .* : memref<\?xf32>", straight)
    assert f"memref.reinterpret_cast {chosen} " in straight
