"""Functions of tt: control flow, calls, the grid, descriptors, signatures."""

import numpy as np
import pytest
import triton
import triton.language as tl
from evaluate import evaluate
from ttir import ttir_of

from vertebra.core import assembly
from vertebra.core.compile import compile
from vertebra.core.context import context
from vertebra.core.errors import CompileError
from vertebra.core.hooks import cores
from vertebra.core.mlir import ir
from vertebra.core.select import runtime_for
from vertebra.lowering.total_arith import make_arith_total
from vertebra.lowering.tt_to_func import KERNEL, convert_functions, convert_signatures
from vertebra.lowering.tt_to_linalg import check_lowered, lower_compute


@triton.jit(noinline=True)
def helper(a, b):
    if a > b:
        return a * 2
    return a + b + tl.program_id(1)


@triton.jit
def branches(o, n):
    p = tl.program_id(0)
    if p > n:
        return
    if p == 3:
        if n == 4:
            return
        n += 100
    tl.store(o + p, helper(p, n) + helper(n, p))


@triton.jit
def describe(d, o):
    tl.store(o, tl.sum(d.load([0, 4])))


def functions_of(text: str):
    module = assembly.parse(text, context())
    convert_functions(module, None, None)
    module.operation.verify()
    return module


def names_in(module) -> set[str]:
    found = set()

    def visit(op):
        found.add(op.name)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


def test_kernel_becomes_one_function_of_one_block():
    with context(), ir.Location.unknown():
        text = ttir_of(branches, {"o": "*i32", "n": "i32"}, attrs={(0,): [["tt.divisibility", 16]]})
        module = functions_of(text)
        (kernel,) = module.body.operations
        assert kernel.name.value == "branches" and KERNEL in kernel.attributes
        assert len(kernel.regions[0].blocks) == 1
        assert [str(t) for t in kernel.type.inputs] == ["!tt.ptr<i32>", "i32"] + ["i32"] * 6
        assert "tt.divisibility" in kernel.attributes["arg_attrs"][0]
        assert len(kernel.attributes["arg_attrs"]) == 8
        names = names_in(module)
        assert (
            not {"func.call", "tt.call", "tt.get_program_id", "cf.br", "cf.cond_br", "scf.index_switch"}
            & names
        )
        assert "test_tt_to_func.py" in str(next(iter(kernel.entry_block.operations)).location)


@triton.jit
def choose(a, b):
    if a > b:
        return a * 2
    return b


@triton.jit
def mapped(o, n):
    x = tl.arange(0, 8)
    tl.store(o + x, tl.map_elementwise(choose, x, x * n))


def test_branches_inside_a_mapped_function():
    with context(), ir.Location.unknown():
        module = functions_of(ttir_of(mapped, {"o": "*i32", "n": "i32"}))
        assert "cf.cond_br" not in names_in(module)
        lower_compute(module, None, None)
        module.operation.verify()
        assert "tt.map_elementwise" not in names_in(module)


SOURCE = """
tt.func public @f(%o: memref<?xi32>, %n: i32) {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : i32
  %c3 = arith.constant 3 : i32
  %c4 = arith.constant 4 : i32
  %c100 = arith.constant 100 : i32
  %p = tt.get_program_id x : i32
  %g = tt.get_num_programs z : i32
  %0 = arith.cmpi sgt, %p, %n : i32
  cf.cond_br %0, ^bb1, ^bb2
^bb1:
  tt.return
^bb2:
  %1 = arith.cmpi eq, %p, %c3 : i32
  cf.cond_br %1, ^bb3, ^bb5(%n : i32)
^bb3:
  %2 = arith.cmpi eq, %n, %c4 : i32
  cf.cond_br %2, ^bb1, ^bb4
^bb4:
  %m = arith.addi %n, %c100 : i32
  cf.br ^bb5(%m : i32)
^bb5(%3: i32):
  %4 = tt.call @helper(%p, %3) : (i32, i32) -> i32
  %5 = tt.call @helper(%3, %g) : (i32, i32) -> i32
  %6 = arith.addi %4, %5 : i32
  memref.store %6, %o[%c0] : memref<?xi32>
  tt.return
}
tt.func private @helper(%a: i32, %b: i32) -> i32 {
  %c2 = arith.constant 2 : i32
  %0 = arith.cmpi sgt, %a, %b : i32
  cf.cond_br %0, ^bb1, ^bb2
^bb1:
  %1 = arith.muli %a, %c2 : i32
  tt.return %1 : i32
^bb2:
  %y = tt.get_program_id y : i32
  %2 = arith.addi %a, %b : i32
  %3 = arith.addi %2, %y : i32
  tt.return %3 : i32
}
"""


def reference(p, y, n, g):
    """What SOURCE and `branches` compute, the latter with g = p; -1 where they return early."""

    def helper(a, b):
        return a * 2 if a > b else a + b + y

    if p > n or (p == 3 and n == 4):
        return -1
    if p == 3:
        n += 100
    return helper(p, n) + helper(n, g)


@pytest.mark.parametrize("p, n", [(5, 4), (3, 4), (3, 5), (2, 4), (4, 4)])
def test_early_returns_and_calls(p, n):
    y, g = 7, 3
    with context(), ir.Location.unknown():
        module = functions_of(SOURCE)
        place = np.full(1, -1, np.int32)
        evaluate(module, "f", place, n, 1, 1, g, p, y, 0, out=[], in_place=True)
    assert place[0] == reference(p, y, n, g)


@pytest.mark.parametrize("n", [4, 5])
def test_early_returns_and_calls_of_a_kernel_on_the_host(n):
    core, programs = cores()["host"], 8
    text = ttir_of(branches, {"o": "*i32", "n": "i32"})
    binary = compile(text, core, name="branches", signature=("*i32", "i32"))
    out = np.full(programs, -1, np.int32)
    runtime_for(core).load(binary).launch((programs, 1, 1), (out, n))
    np.testing.assert_array_equal(out, [reference(p, 0, n, p) for p in range(programs)])


def test_a_function_that_calls_itself_is_refused():
    text = SOURCE.replace("%2 = arith.addi %a, %b : i32", "%2 = tt.call @helper(%a, %b) : (i32, i32) -> i32")
    with context(), ir.Location.unknown(), pytest.raises(CompileError, match="helper calls itself"):
        functions_of(text)


def test_descriptor_argument_is_a_pointer_with_shape_and_strides():
    with context(), ir.Location.unknown():
        module = functions_of(ttir_of(describe, {"d": "tensordesc<fp32[8, 16]>", "o": "*fp32"}))
        (kernel,) = module.body.operations
        shown = [str(t) for t in kernel.type.inputs]
        assert shown[:6] == ["!tt.ptr<f32>", "i32", "i32", "i64", "i64", "!tt.ptr<f32>"]
        first = next(iter(kernel.entry_block.operations))
        assert first.operation.name == "tt.make_tensor_descriptor"
        assert list(first.operands) == list(kernel.entry_block.arguments)[:5]


def test_signature_has_memrefs_and_no_casts():
    text = """
    tt.func public @k(%x: !tt.ptr<f32> {tt.divisibility = 16 : i32}) {
      %m = builtin.unrealized_conversion_cast %x : !tt.ptr<f32> to memref<?xf32>
      %c = arith.constant 0 : index
      %v = memref.load %m[%c] : memref<?xf32>
      memref.store %v, %m[%c] : memref<?xf32>
      tt.return
    }"""
    with context(), ir.Location.unknown():
        module = functions_of(text)
        convert_signatures(module, None, None)
        module.operation.verify()
        (kernel,) = module.body.operations
        assert str(kernel.type.inputs[0]) == "memref<?xf32>"
        assert "builtin.unrealized_conversion_cast" not in names_in(module)


def test_what_is_left_is_named():
    text = """
    tt.func public @k(%x: !tt.ptr<f32>, %v: f32) {
      tt.store %x, %v : !tt.ptr<f32>
      tt.return
    }"""
    with context(), ir.Location.unknown():
        module = functions_of(text)
        lower_compute(module, None, None)
        make_arith_total(module, None, None)
        with pytest.raises(CompileError, match=r"tt\.store .*f32") as caught:
            check_lowered(module, None, None)
    assert caught.value.kernel == "k"
