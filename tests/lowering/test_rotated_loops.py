"""Loops with their condition at the end, and a tensor.empty for each use."""

import ctypes
import importlib
import sys
from pathlib import Path

import llvmlite.binding as llvm
import pytest

from vertebra.core.llvm_syntax import downgrade
from vertebra.core.mlir import ir, passmanager
from vertebra.core.mlir import llvm as mlir_llvm
from vertebra.lowering.empty_tensors import split_empty_tensors
from vertebra.lowering.rotated_loops import rotate_loops

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
PIPELINE = importlib.import_module("math_ulp")._PIPELINE

LOOPS = """
func.func @kernel(%low: index, %high: index, %step: index) -> i64 {
  %zero = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %three = arith.constant 3 : index
  %one = arith.constant 1 : i64
  %count, %sum = scf.for UNSIGNED %i = %low to %high step %step iter_args(%n = %one, %s = %one) -> (i64, i64) {
    %inner = scf.for %j = %zero to %three step %c1 iter_args(%t = %s) -> (i64) {
      %at = arith.index_cast %j : index to i64
      %more = arith.addi %t, %n : i64
      %most = arith.addi %more, %at : i64
      scf.yield %most : i64
    }
    %next = arith.addi %n, %one : i64
    scf.yield %next, %inner : i64, i64
  }
  scf.for %i = %low to %low step %step {
  }
  %hundred = arith.constant 1000 : i64
  %high_part = arith.muli %count, %hundred : i64
  %result = arith.addi %high_part, %sum : i64
  return %result : i64
}
"""


def expected(low: int, high: int, step: int) -> int:
    count, total = 1, 1
    for _ in range(low, high, step):
        total += sum(count + j for j in range(3))
        count += 1
    return 1000 * count + total


def rotated(text: str) -> str:
    """LLVM IR of `text` with rotated loops."""
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(text)
        rotate_loops(module)
        module.operation.verify()
        assert "scf.for" not in str(module)
        assert str(module).count("scf.while") == 3
        assert str(module).count("scf.if") == 2  # the inner loop has constant bounds
        passmanager.PassManager.parse(PIPELINE).run(module.operation)
        return downgrade(mlir_llvm.translate_module_to_llvmir(module.operation))


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("bounds", [(0, 0, 1), (0, 1, 1), (2, 9, 3), (0, 6, 2), (5, 3, 1), (-4, 3, 2)])
def test_the_same_trips(bounds, unsigned):
    # A negative number is a huge one without its sign.
    want = expected(0, 0, 1) if unsigned and bounds[0] < 0 else expected(*bounds)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(rotated(LOOPS.replace("UNSIGNED", "unsigned" if unsigned else "")))
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    call = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)(engine.get_function_address("kernel"))
    assert call(*bounds) == want


EMPTY = """
func.func @f(%x: f32) -> (tensor<4xf32>, tensor<4xf32>) {
  %e = tensor.empty() : tensor<4xf32>
  %a = linalg.fill ins(%x : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %b = linalg.add ins(%a, %a : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  return %a, %b : tensor<4xf32>, tensor<4xf32>
}
"""


def test_every_use_has_an_empty_tensor_of_its_own():
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(EMPTY)
        split_empty_tensors(module)
        module.operation.verify()
        empties = [
            op for op in module.body.operations[0].body.blocks[0].operations if op.name == "tensor.empty"
        ]
    assert [len(list(op.result.uses)) for op in empties] == [1, 1]
