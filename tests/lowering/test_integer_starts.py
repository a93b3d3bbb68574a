"""Rows that are added behind a loop of sums move to where the sums begin."""

import pytest

from vertebra.core.context import context
from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector import integer_starts

_LOOP = """
#row = affine_map<(i, j) -> (0, j)>
#all = affine_map<(i, j) -> (i, j)>
func.func @k(%x: memref<?xi32>, %o: memref<?xi32>, %many: index, %a: tensor<4x4xi8>, %b: tensor<4x4xi8>) {{
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  %c = arith.constant dense<{start}> : tensor<4x4xi32>
  %v = arith.constant 7 : i32
  %r = scf.for %i = %zero to %many step %one iter_args(%s = %c) -> tensor<4x4xi32> {{
    {inside}
    %p = linalg.matmul ins(%a, %b : tensor<4x4xi8>, tensor<4x4xi8>) outs({sums} : tensor<4x4xi32>)
      -> tensor<4x4xi32>
    scf.yield %p : tensor<4x4xi32>
  }}
  {between}
  %buffer = memref.alloc() : memref<4xi32>
  %view = memref.reinterpret_cast %x to offset: [{offset}], sizes: [4], strides: [1]
    : memref<?xi32> to memref<4xi32, strided<[1], offset: ?>>
  memref.copy %view, %buffer : memref<4xi32, strided<[1], offset: ?>> to memref<4xi32>
  %load = bufferization.to_tensor %buffer restrict writable : memref<4xi32> to tensor<4xi32>
  %line = tensor.expand_shape %load [[0, 1]] output_shape [1, 4] : tensor<4xi32> into tensor<1x4xi32>
  %e = tensor.empty() : tensor<4x4xi32>
  %m = linalg.generic {{indexing_maps = [#row, #all], iterator_types = ["parallel", "parallel"]}}
    ins(%line : tensor<1x4xi32>) outs(%e : tensor<4x4xi32>) {{
  ^bb0(%in: i32, %out: i32):
    linalg.yield %in : i32
  }} -> tensor<4x4xi32>
  %t = arith.addi %r, {other} : tensor<4x4xi32>
  %w = memref.reinterpret_cast %o to offset: [0], sizes: [4, 4], strides: [4, 1]
    : memref<?xi32> to memref<4x4xi32, strided<[4, 1]>>
  bufferization.materialize_in_destination %t in writable %w
    : (tensor<4x4xi32>, memref<4x4xi32, strided<[4, 1]>>) -> ()
  return
}}
"""
_STORE = "memref.store %v, %x[%zero] : memref<?xi32>"


@pytest.fixture(autouse=True)
def in_context():
    with context(), ir.Location.unknown():
        yield


def prepared(**parts) -> ir.Module:
    fields = {
        "start": "0",
        "inside": "",
        "between": "",
        "offset": "%one",
        "other": "%m",
        "sums": "%s",
    } | parts
    module = ir.Module.parse(_LOOP.format(**fields))
    integer_starts.prepare(module.body.operations[0].regions[0].blocks[0])
    assert module.operation.verify()
    return module


def names(module) -> list[str]:
    return [op.operation.name for op in module.body.operations[0].regions[0].blocks[0].operations]


def test_a_row_moves_in_front_of_the_loop():
    found = names(prepared())
    assert "arith.addi" not in found
    assert found.index("memref.copy") < found.index("linalg.generic") < found.index("scf.for")


@pytest.mark.parametrize(
    "parts",
    [
        {"start": "1"},
        {"inside": _STORE},  # the loop may change the row
        {"between": _STORE},
        {"other": "%r"},
        {"inside": "%d = arith.addi %s, %s : tensor<4x4xi32>", "sums": "%d"},  # doubled in every turn
        {"between": "%n = tensor.extract %r[%zero, %zero] : tensor<4x4xi32>"},  # others need the sums
    ],
)
def test_everything_else_stays(parts):
    found = names(prepared(**parts))
    assert "arith.addi" in found
    assert found.index("scf.for") < found.index("linalg.generic")
