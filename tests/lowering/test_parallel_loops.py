"""When a parallel loop stays one: tensors that it carries, and buffers that it would share."""

import pytest
from pass_text import after, normal

from vertebra.core.errors import CompileError
from vertebra.lowering.parallel_buffers import separate_buffers
from vertebra.lowering.parallel_carried import check_carried

T = "tensor<32x16xf32>"
TILE = "tensor<8x16xf32>"
HEAD = """%c0 = arith.constant 0 : i32
%c1 = arith.constant 1 : i32
%c8 = arith.constant 8 : i32
%seven = arith.constant 7 : index
"""


def carries(body: str, step: str = "%c1") -> str:
    """A parallel loop that carries %t as %a and yields %r."""
    return (
        HEAD
        + f"""%out = scf.for %i = %c0 to %n step {step} iter_args(%a = %t) -> ({T}) : i32 {{
          {body}
          scf.yield %r : {T}
        }} {{bind_sub_block = true}}
        %use = tensor.cast %out : {T} to tensor<?x16xf32>"""
    )


def stays(body: str, step: str = "%c1") -> bool:
    found = after(check_carried, carries(body, step), f"%n: i32, %k: index, %t: {T}, %p: {TILE}")
    assert ("bind_sub_block" in found) == found.count("} {bind_sub_block = true}")
    return "bind_sub_block" in found


PLACE = """%m = arith.muli %i, %c8 : i32
%o = arith.index_cast %m : i32 to index"""
PUT = f"%r = tensor.insert_slice %p into %a[%o, 0] [8, 16] [1, 1] : {TILE} into {T}"
OWN = {
    "nothing": (f"%r = tensor.insert_slice %p into %a[%o, 0] [8, 16] [1, 1] : {TILE} into {T}", PLACE),
    "read and write": (
        f"""%s = tensor.extract_slice %a[%o, 0] [8, 16] [1, 1] : {T} to {TILE}
        %q = arith.addf %s, %p : {TILE}
        %r = tensor.insert_slice %q into %a[%o, 0] [8, 16] [1, 1] : {TILE} into {T}""",
        PLACE,
    ),
    "moved by what does not change": (PUT.replace("%o,", "%w,"), PLACE + "\n%w = arith.addi %o, %k : index"),
    "shifted": (PUT, "%m = arith.shli %i, %c3 : i32\n%o = arith.index_cast %m : i32 to index"),
    "two halves": (
        """%h = tensor.extract_slice %p[0, 0] [4, 16] [1, 1] : tensor<8x16xf32> to tensor<4x16xf32>
        %b = tensor.insert_slice %h into %a[%o, 0] [4, 16] [1, 1] : tensor<4x16xf32> into tensor<32x16xf32>
        %o4 = arith.addi %o, %four : index
        %r = tensor.insert_slice %h into %b[%o4, 0] [4, 16] [1, 1] : tensor<4x16xf32> into tensor<32x16xf32>""",
        PLACE + "\n%four = arith.constant 4 : index",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_slices_of_their_own_keep_the_loop(case):
    body, place = OWN[case]
    assert stays(f"%c3 = arith.constant 3 : i32\n{place}\n{body}")


def test_the_step_counts():
    assert stays(PLACE.replace("%c8", "%c1") + "\n" + PUT, step="%c8")


SHARED = {
    "the same slice": PUT.replace("%o,", "%k,"),
    "overlap": f"%o = arith.index_cast %i : i32 to index\n{PUT}",
    "everything": f"%r = arith.addf %a, %a : {T}",
    "reads another": f"""{PLACE}
        %e = arith.addi %o, %seven : index
        %s = tensor.extract_slice %a[%e, 0] [8, 16] [1, 1] : {T} to {TILE}
        %r = tensor.insert_slice %s into %a[%o, 0] [8, 16] [1, 1] : {TILE} into {T}""",
    "reads all": f"""{PLACE}
        %s = tensor.extract_slice %a[0, 0] [8, 16] [1, 1] : {T} to {TILE}
        %r = tensor.insert_slice %s into %a[%o, 0] [8, 16] [1, 1] : {TILE} into {T}""",
    "unknown place": f"%m = arith.remsi %i, %c8 : i32\n%o = arith.index_cast %m : i32 to index\n{PUT}",
    "another tensor": f"%r = tensor.insert_slice %p into %t[%k, 0] [8, 16] [1, 1] : {TILE} into {T}",
    "old version read": f"""{PLACE}
        %r = tensor.insert_slice %p into %a[%o, 0] [8, 16] [1, 1] : {TILE} into {T}
        %x = arith.addf %a, %a : {T}""",
}


@pytest.mark.parametrize("case", SHARED)
def test_anything_else_runs_in_order(case):
    assert not stays(SHARED[case])


def test_a_loop_that_waits_cannot_run_in_order():
    body = carries(f"func.call @vertebra_barrier_wait() : () -> ()\n{SHARED['everything']}")
    more = "\nreturn }\nfunc.func private @vertebra_barrier_wait()\nfunc.func private @other() {"
    with pytest.raises(CompileError, match="iterations that wait for each other carry a tensor"):
        after(check_carried, body + more, f"%n: i32, %k: index, %t: {T}, %p: {TILE}")


# --- buffers ---------------------------------------------------------------------------------

B = "memref<8xf32>"
STORE = f"%v = memref.load %x[%k] : memref<?xf32>\nmemref.store %v, %b[%k] : {B}"


def separated(before: str, body: str, behind: str = "") -> str:
    text = f"""%c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %k = arith.constant 0 : index
      {before}
      scf.for %i = %c0 to %n step %c1 : i32 {{
        {body}
      }} {{bind_sub_block = true}}
      {behind}"""
    return after(separate_buffers, text, "%n: i32, %x: memref<?xf32>")


ALLOC = f"%b = memref.alloc() : {B}"


def test_a_buffer_of_the_body_alone_moves_into_it():
    found = separated(
        ALLOC, f"{STORE}\n%w = memref.load %b[%k] : {B}\nmemref.store %w, %x[%k] : memref<?xf32>"
    )
    assert found == normal(f"""%c0_i32 = arith.constant 0 : i32
      %c1_i32 = arith.constant 1 : i32
      %c0 = arith.constant 0 : index
      scf.for %arg8 = %c0_i32 to %arg0 step %c1_i32  : i32 {{
        %alloc = memref.alloc() : {B}
        %0 = memref.load %arg1[%c0] : memref<?xf32>
        memref.store %0, %alloc[%c0] : {B}
        %1 = memref.load %alloc[%c0] : {B}
        memref.store %1, %arg1[%c0] : memref<?xf32>
      }} {{bind_sub_block = true}}""")


def test_a_buffer_that_is_read_behind_makes_the_loop_serial():
    found = separated(ALLOC, STORE, f"%w = memref.load %b[%k] : {B}\nmemref.store %w, %x[%k] : memref<?xf32>")
    assert "bind_sub_block" not in found


def test_a_write_through_a_view_counts():
    view = f"%s = memref.subview %b[0] [4] [1] : {B} to memref<4xf32, strided<[1]>>"
    store = "%v = memref.load %x[%k] : memref<?xf32>\nmemref.store %v, %s[%k] : memref<4xf32, strided<[1]>>"
    assert "bind_sub_block" not in separated(f"{ALLOC}\n{view}", store, f"memref.copy %b, %b : {B} to {B}")


def test_a_buffer_that_is_only_read_is_shared():
    found = separated(
        f"{ALLOC}\nmemref.copy %b, %b : {B} to {B}",
        f"%v = memref.load %b[%k] : {B}\nmemref.store %v, %x[%k] : memref<?xf32>",
    )
    assert "bind_sub_block" in found
    assert found.index("memref.alloc") < found.index("scf.for")


def test_a_copy_that_is_handed_on_makes_the_loop_serial():
    body = f"""%c0 = arith.constant 0 : i32
      %c1 = arith.constant 1 : i32
      %k = arith.constant 0 : index
      {ALLOC}
      %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %b) -> ({B}) : i32 {{
        %new = memref.alloc() : {B}
        memref.copy %a, %new : {B} to {B}
        scf.yield %new : {B}
      }} {{bind_sub_block = true}}
      %v = memref.load %r[%k] : {B}
      memref.store %v, %x[%k] : memref<?xf32>"""
    assert "bind_sub_block" not in after(separate_buffers, body, "%n: i32, %x: memref<?xf32>")
