"""Where buffers go: the stack, the scratch block, and how much of either."""

import pytest

from vertebra.core.context import context
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.buffers import SCRATCH_BYTES, place_buffers


@pytest.fixture(autouse=True)
def in_context():
    with context(), ir.Location.unknown():
        yield


def placed(body: str, attributes: str = "attributes {vertebra.kernel}"):
    """The one function, with its buffers in place."""
    module = ir.Module.parse(f"func.func @k(%c: i1, %n: index) {attributes} {{\n{body}\nreturn }}")
    place_buffers(module)
    assert module.operation.verify()
    # The function dies with its module, which it does not keep.
    return module, module.body.operations[0].operation


def found(func, name: str) -> list:
    ops = []

    def visit(op):
        if op.name == name:
            ops.append(op.operation)
        return ir.WalkResult.ADVANCE

    func.walk(visit)
    return ops


def offsets(func) -> list[int]:
    return [view.operands[1].owner.attributes["value"].value for view in found(func, "memref.view")]


def scratch(func) -> int:
    return func.attributes[SCRATCH_BYTES].value


def buffers(*types: str) -> str:
    return "\n".join(f"%b{i} = memref.alloc() : memref<{type}>" for i, type in enumerate(types))


def test_a_small_buffer_is_on_the_stack_at_the_head_of_the_function():
    _module, func = placed("%x = arith.constant 1 : i32\n" + buffers("16xf32"))
    (alloca,) = found(func, "memref.alloca")
    assert alloca.attributes["alignment"].value == 64
    assert func.regions[0].blocks[0].operations[0].operation == alloca
    assert (scratch(func), found(func, "memref.alloc")) == (0, [])


def test_what_lies_below_a_buffer_of_a_page_is_not_at_the_page_offset_of_its_end():
    _module, func = placed(buffers("1024xf32"))
    (alloca,) = found(func, "memref.alloca")
    assert alloca.results[0].type.shape == [4096 + 2048]
    assert offsets(func) == [2048]


def test_large_buffers_are_in_scratch_memory_side_by_side():
    _module, func = placed(buffers("1025xf32", "3000xi8", "70x100xi8", "2048xf64"))
    sizes = [4100, 7000, 16384]  # 3000 bytes fit the stack
    assert [op.results[0].type.shape for op in found(func, "memref.alloca")] == [[3000]]
    places = sorted(offsets(func))
    assert places[0] == 0 and all(place % 128 == 0 for place in places)
    rounded = [-(-size // 128) * 128 for size in sizes]
    assert places == [0, rounded[0], rounded[0] + rounded[1]]
    assert scratch(func) == sum(rounded)


@pytest.mark.parametrize(
    "type, bytes_each", [("i1", 1), ("i8", 1), ("f16", 2), ("bf16", 2), ("i32", 4), ("f64", 8), ("index", 8)]
)
def test_every_element_type_has_its_size(type, bytes_each):
    _module, func = placed(buffers(f"8192x{type}"))
    assert scratch(func) == 8192 * bytes_each


def test_the_stack_is_not_filled_beyond_its_share():
    _module, func = placed(buffers(*["4096xi8"] * 20))
    on_stack = len(found(func, "memref.alloca"))
    assert on_stack == 16
    assert scratch(func) == (20 - on_stack) * 4096


def test_a_buffer_in_a_loop_or_a_branch_moves_to_the_head_of_the_function():
    loop = """%c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    scf.for %i = %c0 to %n step %c1 {
      scf.if %c {
        %small = memref.alloc() : memref<4xf32>
        %large = memref.alloc() : memref<4096xf32>
        "memref.copy"(%small, %small) : (memref<4xf32>, memref<4xf32>) -> ()
        "memref.copy"(%large, %large) : (memref<4096xf32>, memref<4096xf32>) -> ()
      }
    }"""
    _module, func = placed(loop)
    for op in (*found(func, "memref.alloca"), *found(func, "memref.view")):
        assert op.parent == func
    assert scratch(func) == 4 * 4096


def test_a_scalar_buffer_and_one_without_elements_have_a_place():
    _module, func = placed("%a = memref.alloc() : memref<f32>\n%b = memref.alloc() : memref<0xf32>")
    assert len(found(func, "memref.alloca")) == 2


def test_the_scratch_block_is_the_last_argument_even_of_a_kernel_without_buffers():
    _module, func = placed("")
    types = [str(t) for t in func.attributes["function_type"].value.inputs]
    assert types == ["i1", "index", "memref<?xi8>"]
    assert [str(a.type) for a in func.regions[0].blocks[0].arguments] == types
    assert scratch(func) == 0


def test_only_kernels_are_changed():
    _module, func = placed(buffers("16xf32"), attributes="")
    assert len(found(func, "memref.alloc")) == 1
    assert SCRATCH_BYTES not in func.attributes


def test_a_buffer_of_run_time_size_is_refused():
    with pytest.raises(CompileError) as caught:
        placed('%b = memref.alloc(%n) : memref<?xf32> loc("k.py":5:3)')
    assert caught.value.kernel == "k"
    assert str(caught.value).startswith(
        "k.py:5:3: error in kernel k: a buffer of run-time size, memref<?xf32>"
    )


def test_blocks_that_do_not_fit_are_refused():
    with pytest.raises(CompileError, match=r"512 MiB of buffers; 256 MiB is the limit") as caught:
        placed(buffers("16xf32", "8192x16384xf32"))
    assert caught.value.fix == "make the blocks smaller; the largest has shape 8192x16384"
