"""What tt-to-tts finds in kernels, by the shape of what it leaves."""

import functools

import access_kernels
import pytest
import triton
import triton.language as tl
from ttir import ttir_of

from vertebra.core import assembly
from vertebra.core.context import context
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects.tts import mixed
from vertebra.lowering.tt_to_func import convert_functions
from vertebra.lowering.tt_to_tts import tt_to_tts

INDEX = {"index": "*i32", "table": "*i64"}
FLOATS = ("x", "y", "a", "b", "c", "out")


def signature(kernel, **types) -> dict[str, str]:
    known = {**{name: "*fp32" for name in FLOATS}, **INDEX, **types}
    return {name: known.get(name, "i32") for name in kernel.arg_names if name != "B"}


@functools.cache  # operations die with their module
def structured(kernel):
    """The module of `kernel` after tt-to-tts."""
    types = TYPES.get(kernel.__name__, {})
    module = assembly.parse(ttir_of(kernel, signature(kernel, **types), {"B": 16}), context())
    with context(), ir.Location.unknown():
        convert_functions(module, None, None)
        tt_to_tts(module, None, None)
        module.operation.verify()
    return module


def operations(module) -> list:
    found = []

    def visit(op):
        found.append(op.opview)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


def pointer(value) -> str:
    """How a tensor of pointers is made."""
    op = value.owner
    if not isinstance(value.type, ir.RankedTensorType):
        return "block" if value.type.is_block else ""
    if op.operation.name == "tts.make_tptr":
        return "wrapped" if any(n != 0 for n in mixed(op, "shape")) else "strided"
    return {"tts.make_gather_scatter_tptr": "rows", "tt.addptr": "scattered"}[op.operation.name]


def describe(op) -> str | None:
    """A memory operation in short: what it does, to what, and how it is limited."""
    name = op.operation.name
    if name in ("tts.load", "tts.store"):
        bounded = len(op.static_mask_dims) or len(op.boundaryCheck)
        return " ".join(filter(None, (name, pointer(op.ptr), "bounded" if bounded else "")))
    if name in ("tts.gather", "tts.scatter", "tt.load", "tt.store", "tt.atomic_rmw", "tt.atomic_cas"):
        masked = getattr(op, "mask", None) is not None
        return " ".join(filter(None, (name, pointer(op.ptr), "masked" if masked else "")))
    return None


def accesses(module) -> list[str]:
    return [text for op in operations(module) if (text := describe(op))]


LOAD, STORE = "tts.load strided", "tts.store strided"
EXPECTED = {
    "vector_add": [f"{LOAD} bounded", f"{LOAD} bounded", f"{STORE} bounded"],
    "unmasked": [LOAD, STORE],
    "known_mask": [LOAD, f"{STORE} bounded"],
    "swapped_mask": [f"{LOAD} bounded", f"{STORE} bounded"],
    "strided": [LOAD, STORE],
    "backwards": [LOAD, f"{STORE} bounded"],
    "middle": ["tts.load block bounded", STORE],
    "one_element": ["tts.load block bounded", STORE],
    "descending_mask": [f"{LOAD} bounded", STORE],
    "odd_mask": ["tt.load strided masked", "tt.store strided masked"],
    "uniform_mask": [f"{LOAD} bounded", STORE],
    "tensor_other": [f"{LOAD} bounded", STORE],
    "unsigned_mask": [f"{LOAD} bounded", STORE],
    "rows": [f"{LOAD} bounded", STORE],
    "transposed": [LOAD, STORE],
    "three_dimensions": [f"{LOAD} bounded", STORE],
    "reshaped": [LOAD, STORE],
    "wide": [f"{LOAD} bounded", f"{STORE} bounded"],
    "wrapped": ["tts.load wrapped", STORE],
    "wrapped_rows": ["tts.load wrapped", STORE],
    "wrapped_both": ["tts.load wrapped bounded", STORE],
    "wrapped_by_two": ["tts.load rows", STORE],
    "wrapped_store": [LOAD, "tts.store wrapped bounded"],
    "gather": [LOAD, "tts.load rows bounded", STORE],
    "gather_around": [LOAD, "tts.load rows", "tts.load rows", STORE],
    "never": ["tts.load block bounded", f"{STORE} bounded", LOAD, "tts.store block bounded"],
    "unsigned_window": ["tts.load block bounded", STORE],
    "gather_rows": [LOAD, "tts.load rows bounded", STORE],
    "gather_anywhere": [LOAD, "tts.gather masked", STORE],
    "scatter": [LOAD, LOAD, "tts.store rows bounded"],
    "scatter_rows": [LOAD, LOAD, "tts.store rows"],
    "scalars": ["tt.load", "tt.store"],
    "matmul": ["tts.load wrapped bounded", "tts.load wrapped bounded", f"{STORE} bounded"],
    "nested_loops": [LOAD, STORE],
    "carried_offsets": [f"{LOAD} bounded", STORE],
    "carried_strides": [LOAD, STORE],
    "carried_lookups": ["tts.load rows", LOAD, STORE],
    "swapped_pointers": [LOAD, LOAD, STORE],
    "scalar_in_loop": ["tt.load", "tt.load", "tt.store"],
    "while_loop": [LOAD, LOAD, STORE],
    "one_of_two": [LOAD, STORE],
    "selected": [LOAD, "tts.load rows", STORE],
    "block_pointers": ["tts.load block bounded", "tts.store block bounded"],
    "block_inside": [LOAD, STORE],
    "descriptors": ["tts.load block bounded", "tts.store block bounded"],
    "descriptor_rows": [LOAD, "tt.load rows masked", STORE],
    "addresses": [LOAD, "tts.load rows", STORE],
    "pointers_in_memory": [f"{LOAD} bounded", f"{STORE} bounded", "tt.load", "tts.load rows bounded",
                           "tt.load", STORE],
    "one_of_one": [LOAD, LOAD, STORE],
    "halves": ["tts.load rows", "tt.load", STORE],
    "booleans": [LOAD, STORE],
    "atomics": [LOAD, LOAD, "tt.atomic_rmw rows masked", LOAD, "tt.atomic_rmw strided", "tt.load", "tt.load",
                "tt.atomic_cas"],
}  # fmt: skip
TYPES = {
    "booleans": {"out": "*i1"},
    "atomics": {"x": "*i32", "out": "*i32"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_accesses(name):
    module = structured(access_kernels.SOURCES[name])
    assert accesses(module) == EXPECTED[name]


def test_every_kernel_is_tested():
    assert set(access_kernels.SOURCES) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_no_pointer_arithmetic_is_left_over(name):
    """What is left of tensors of pointers is what memory operations stand on; loops carry none."""
    module = structured(access_kernels.SOURCES[name])
    for op in operations(module):
        if op.operation.name in ("scf.for", "scf.while", "scf.if"):
            assert not any("!tt.ptr" in str(r.type) for r in op.results)
        if len(op.results) and "x!tt.ptr" in str(op.results[0].type):
            assert list(op.results[0].uses), f"{op} is dead"


def named(module, name: str) -> list:
    return [op for op in operations(module) if op.operation.name == name]


def only(module, name: str):
    (op,) = named(module, name)
    return op


def test_strides_and_bounds_are_numbers_where_they_are_known():
    make = named(structured(access_kernels.backwards), "tts.make_tptr")[0]
    assert mixed(make, "strides") == [-1]
    assert mixed(make, "offsets") == [15]


def test_a_tail_is_clamped_to_the_block():
    module = structured(access_kernels.known_mask)
    store = only(module, "tts.store")
    assert list(store.static_mask_dims) == [8]


def test_a_loop_carries_one_number_for_each_pointer():
    loop = only(structured(access_kernels.matmul), "scf.for")
    assert [str(r.type) for r in loop.results] == ["tensor<16x16xf32>", "index", "index"]


def test_invariant_arithmetic_leaves_the_loop():
    loop = only(structured(access_kernels.matmul), "scf.for")
    inside = [op.operation for op in loop.regions[0].blocks[0].operations]
    assert not any(op.name == "arith.muli" and str(op.results[0].type) == "index" for op in inside)
    makes = [op for op in loop.regions[0].blocks[0].operations if op.operation.name == "tts.make_tptr"]
    for make in makes:
        for stride in mixed(make, "strides"):
            assert isinstance(stride, int) or stride.owner.operation.block != loop.regions[0].blocks[0]


def test_nested_loops_hand_on_what_the_inner_one_moved():
    loops = named(structured(access_kernels.nested_loops), "scf.for")
    assert [[str(r.type) for r in op.results] for op in loops] == [["index", "index"]] * 2


def test_offsets_that_change_shape_are_carried_as_a_tensor():
    loop = only(structured(access_kernels.carried_lookups), "scf.for")
    assert sorted(str(r.type) for r in loop.results) == ["tensor<16xf32>", "tensor<16xi64>"]


def test_merged_bases_become_addresses():
    module = structured(access_kernels.one_of_two)
    branch = only(module, "scf.if")
    # The base and the stride differ between the branches.
    assert sorted(str(r.type) for r in branch.results) == ["i64", "index"]
    assert only(module, "tt.int_to_ptr").operands[0] in list(branch.results)


def test_a_scalar_condition_chooses_an_offset():
    names = [op.operation.name for op in operations(structured(access_kernels.selected))]
    assert "scf.if" not in names
    assert names.count("arith.select") == 2  # one of two numbers, and one of two tensors of addresses


def test_block_pointers_know_both_ends():
    make = named(structured(access_kernels.block_pointers), "tts.make_tptr")[0]
    assert mixed(make, "originalOffsets")[0] == -2
    assert list(make.order) == [1, 0]


@triton.jit
def two_block_shapes(x, out, n, B: tl.constexpr):
    p = tl.make_block_ptr(x, (n,), (1,), (0,), (B,), (0,))
    for i in range(n):
        tl.store(out + tl.arange(0, B), tl.load(p, boundary_check=(0,)))
        p = tl.make_block_ptr(x + i, (n,), (2,), (0,), (B,), (0,))


def test_a_block_pointer_may_change_its_base_and_strides():
    module = structured(two_block_shapes)
    loop = only(module, "scf.for")
    assert sorted(str(r.type) for r in loop.results) == ["i64", "index"]


PADDINGS = """
module {
  tt.func public @kernel(%x: !tt.ptr<f32>, %c: i1, %n: i32, %m: i64) {
    %zero = arith.constant 0 : i32
    %one = arith.constant 1 : i64
    %a = tt.make_tensor_descriptor %x, [%n], [%one] {padding = 1 : i32} : <f32>, <tensor<8xf32>>
    %b = tt.make_tensor_descriptor %x, [%n], [%one] {padding = 2 : i32} : <f32>, <tensor<8xf32>>
    %d = scf.if %c -> (!tt.tensordesc<tensor<8xf32>>) {
      scf.yield %a : !tt.tensordesc<tensor<8xf32>>
    } else {
      scf.yield %b : !tt.tensordesc<tensor<8xf32>>
    }
    %v = tt.descriptor_load %d[%zero] : !tt.tensordesc<tensor<8xf32>> -> tensor<8xf32>
    tt.descriptor_store %d[%zero], %v : !tt.tensordesc<tensor<8xf32>>, tensor<8xf32>
    tt.return
  }
}
"""


def test_descriptors_that_differ_in_more_than_numbers():
    module = assembly.parse(PADDINGS, context())
    with pytest.raises(CompileError, match="changes its block shape or padding"):
        tt_to_tts(module, None, None)


def test_unused_loads_and_loops_vanish():
    text = """
    module {
      tt.func public @kernel(%x: !tt.ptr<f32>, %n: i32) {
        %zero = arith.constant 0 : i32
        %one = arith.constant 1 : i32
        %r = tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<8xi32>
        %p = tt.splat %x : !tt.ptr<f32> -> tensor<8x!tt.ptr<f32>>
        %q = tt.addptr %p, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
        %l = scf.for %i = %zero to %n step %one iter_args(%o = %q) -> (tensor<8x!tt.ptr<f32>>) : i32 {
          %v = tt.load %o : tensor<8x!tt.ptr<f32>>
          %next = tt.addptr %o, %r : tensor<8x!tt.ptr<f32>>, tensor<8xi32>
          scf.yield %next : tensor<8x!tt.ptr<f32>>
        }
        tt.return
      }
    }
    """
    module = assembly.parse(text, context())
    tt_to_tts(module, None, None)
    assert [op.operation.name for op in operations(module)] == ["tt.return", "tt.func", "builtin.module"]
