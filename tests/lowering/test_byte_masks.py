"""Tensors of i1 in memory: a byte an element, whichever operation holds them."""

import numpy as np
import pytest
from test_linalg_to_vector import load, run, store

from vertebra.core.context import context
from vertebra.core.mlir import ir
from vertebra.lowering.byte_masks import widen_carried_masks

N = 50
MASK = f"tensor<{N}xi1>"
X = np.linspace(-1, 1, N, dtype=np.float32)
POSITIVE = X > 0

BEFORE = f"""%c0 = arith.constant 0 : index
%c1 = arith.constant 1 : index
%c3 = arith.constant 3 : index
%z = arith.constant dense<0.0> : tensor<{N}xf32>
%ones = arith.constant dense<true> : {MASK}
%m = arith.cmpf ogt, %x, %z : tensor<{N}xf32>
"""


def stored(body: str, n: int = N) -> np.ndarray:
    """The mask %r that `body` makes of %m, as integers."""
    out = np.full(n, 7, np.int32)
    run(
        load("x", "a0", (N,), "f32")
        + BEFORE
        + body
        + f"%wide = arith.extui %r : tensor<{n}xi1> to tensor<{n}xi32>\n"
        + store("wide", "a1", (n,), "i32"),
        X,
        out,
    )
    return out


def test_a_loop_carries_a_mask():
    found = stored(f"""%r = scf.for %i = %c0 to %c3 step %c1 iter_args(%k = %m) -> {MASK} {{
      %n = arith.xori %k, %ones : {MASK}
      scf.yield %n : {MASK} }}\n""")
    np.testing.assert_array_equal(found, ~POSITIVE)


def test_a_loop_carries_two_masks_that_change_places():
    found = stored(f"""%n = arith.xori %m, %ones : {MASK}
    %r, %s = scf.for %i = %c0 to %c3 step %c1 iter_args(%k = %m, %l = %n) -> ({MASK}, {MASK}) {{
      scf.yield %l, %k : {MASK}, {MASK} }}\n""")
    np.testing.assert_array_equal(found, ~POSITIVE)


@pytest.mark.parametrize("which", ["eq", "ne"])
def test_a_branch_gives_a_mask(which):
    found = stored(f"""%c = arith.cmpi {which}, %px, %gx : i32
    %r = scf.if %c -> {MASK} {{ scf.yield %m : {MASK} }} else {{
      %n = arith.xori %m, %ones : {MASK}
      scf.yield %n : {MASK} }}\n""")
    np.testing.assert_array_equal(found, POSITIVE if which == "ne" else ~POSITIVE)


def test_a_while_loop_carries_a_mask():
    found = stored(f"""%i, %r = scf.while (%i = %c0, %k = %m) : (index, {MASK}) -> (index, {MASK}) {{
      %more = arith.cmpi slt, %i, %c3 : index
      %n = arith.xori %k, %ones : {MASK}
      scf.condition(%more) %i, %n : index, {MASK}
    }} do {{
    ^bb0(%i: index, %k: {MASK}):
      %j = arith.addi %i, %c1 : index
      scf.yield %j, %k : index, {MASK} }}\n""")
    np.testing.assert_array_equal(found, POSITIVE)


def test_a_mask_is_inserted_into_another():
    found = stored(
        f"""%e = tensor.empty() : tensor<{2 * N}xi1>
    %p = tensor.insert_slice %m into %e[0] [{N}] [1] : {MASK} into tensor<{2 * N}xi1>
    %n = arith.xori %m, %ones : {MASK}
    %r = tensor.insert_slice %n into %p[{N}] [{N}] [1] : {MASK} into tensor<{2 * N}xi1>\n""",
        2 * N,
    )
    np.testing.assert_array_equal(found, np.concatenate([POSITIVE, ~POSITIVE]))


def test_a_constant_mask_of_both_values():
    pattern = np.arange(N) * 7 % 3 == 0
    text = ", ".join("true" if p else "false" for p in pattern)
    found = stored(f"%p = arith.constant dense<[{text}]> : {MASK}\n%r = arith.andi %p, %m : {MASK}\n")
    np.testing.assert_array_equal(found, pattern & POSITIVE)


def test_reductions_of_masks():
    out = np.full(2, 7, np.int32)
    body = load("x", "a0", (N,), "f32") + BEFORE
    for name, start in (("andi", "true"), ("ori", "false")):
        body += f"""%{name}c = arith.constant {start}
        %{name}e = tensor.empty() : tensor<i1>
        %{name}i = linalg.fill ins(%{name}c : i1) outs(%{name}e : tensor<i1>) -> tensor<i1>
        %{name}r = linalg.reduce ins(%m : {MASK}) outs(%{name}i : tensor<i1>) dimensions = [0]
          (%in: i1, %acc: i1) {{ %s = arith.{name} %in, %acc : i1 linalg.yield %s : i1 }}
        %{name}s = tensor.extract %{name}r[] : tensor<i1>
        %{name}w = arith.extui %{name}s : i1 to i32
        memref.store %{name}w, %a1[{"%c0" if name == "andi" else "%c1"}] : memref<?xi32>\n"""
    run(body, X, out)
    assert out.tolist() == [0, 1]


def test_what_carries_no_mask_is_left_alone():
    text = """func.func @k(%c: i1, %x: tensor<4xf32>, %n: index) -> tensor<4xf32> {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %t = arith.constant dense<true> : tensor<4xi1>
      %r:2 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x, %b = %c) -> (tensor<4xf32>, i1) {
        scf.yield %a, %b : tensor<4xf32>, i1 }
      return %r#0 : tensor<4xf32> }"""
    with context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        before = str(module)
        widen_carried_masks(module)
        assert str(module) == before
