"""Barriers of xsmt as those of xsmt_async and calls of the runtime."""

import re

import pytest
from pass_text import after
from plugged import plugged

from vertebra.core.errors import CompileError
from vertebra.core.hooks import plugins
from vertebra.lowering.xsmt_barriers_to_async import lower_barriers


@pytest.fixture(scope="module", autouse=True)
def plugin():
    with plugged("xsmt", "xsmt_async"):
        yield


def lowered(body: str) -> str:
    return after(lower_barriers, body, "%n: i32, %h: i64")


def test_what_is_made_is_allocated():
    assert lowered("%m = xsmt.mbarrier_create %n, %n, %n, %n : !xsmt.mbarrier") == (
        "%0 = xsmt_async.mbarrier_alloc 1 of %arg0, %arg0, %arg0, %arg0 : i64"
    )


def test_copies_are_allocated_at_once():
    assert lowered("%m = xsmt.mbarrier_copies 3 of 1, 2, 0, 4 : !xsmt.mbarrier").splitlines() == [
        "%c1_i32 = arith.constant 1 : i32",
        "%c2_i32 = arith.constant 2 : i32",
        "%c0_i32 = arith.constant 0 : i32",
        "%c4_i32 = arith.constant 4 : i32",
        "%0 = xsmt_async.mbarrier_alloc 3 of %c1_i32, %c2_i32, %c0_i32, %c4_i32 : i64",
    ]


def test_uses_become_uses_and_handles_integers():
    body = """%m = xsmt.mbarrier_create %n, %n, %n, %n : !xsmt.mbarrier
      %c = arith.cmpi eq, %px, %py : i32
      %o = xsmt.mbarrier_create %n, %n, %n, %n : !xsmt.mbarrier
      %s = arith.select %c, %m, %o : !xsmt.mbarrier
      %r = scf.for %i = %n to %n step %n iter_args(%b = %s) -> (!xsmt.mbarrier) : i32 {
        xsmt.barrier_arrive %b : !xsmt.mbarrier
        scf.yield %m : !xsmt.mbarrier
      }
      %t = tensor.from_elements %r, %o : tensor<2x!xsmt.mbarrier>
      %k = arith.constant 0 : index
      %e = tensor.extract %t[%k] : tensor<2x!xsmt.mbarrier>
      xsmt.barrier_wait %e, %n, %n : !xsmt.mbarrier"""
    made = "xsmt_async.mbarrier_alloc 1 of %arg0, %arg0, %arg0, %arg0 : i64"
    assert lowered(body).splitlines() == [
        f"%0 = {made}",
        "%1 = arith.cmpi eq, %arg5, %arg6 : i32",
        f"%2 = {made}",
        "%3 = arith.select %1, %0, %2 : i64",
        "%4 = scf.for %arg8 = %arg0 to %arg0 step %arg0 iter_args(%arg9 = %3) -> (i64)  : i32 {",
        "xsmt_async.mbarrier_arrive %arg9 : i64",
        "scf.yield %0 : i64",
        "}",
        "%from_elements = tensor.from_elements %4, %2 : tensor<2xi64>",
        "%c0 = arith.constant 0 : index",
        "%extracted = tensor.extract %from_elements[%c0] : tensor<2xi64>",
        "xsmt_async.mbarrier_wait %extracted, %arg0 : i64",
    ]


def text(number: int, value: str) -> str:
    """The pattern of the lines that take the address of text `number`, as value `value`."""
    return (
        rf"%\d+ = memref.get_global @vertebra_text_{number} : .*\n"
        rf"%intptr\w* = memref.extract_aligned_pointer_as_index .*\n{value} = arith.index_cast .* to i64\n"
    )


def test_the_rest_become_calls():
    found = lowered("""%b = xsmt.mbarrier_subview %h[%n] : i64 -> i64
      xsmt.barrier_set_expect %b, %n : i64""")
    at = (
        text(1, "%1")
        + r"%2 = call @vertebra_barrier_at\(%arg1, %arg0, %1, %arg5, %arg6, %arg7\) : .* -> i64\n"
    )
    expect = text(3, "%4") + r"call @vertebra_barrier_expect\(%2, %arg0, %4, %arg5, %arg6, %arg7\) : .*"
    assert re.fullmatch(at + expect, found), found


def test_a_barrier_of_the_launch_marks_its_kernel():
    found = after(lower_barriers, "%g = xsmt.global_mbarrier_init 3 : i64", whole=True)
    call = r"%c3_i32 = arith.constant 3 : i32\n" + text(1, "%1")
    call += r"%2 = call @vertebra_barrier_global\(%c3_i32, %1, %arg3, %arg4, %arg5\) : .* -> i64\n"
    assert re.search(r"attributes \{vertebra.kernel, vertebra.programs_wait\} \{\n" + call, found), found


def test_the_text_of_a_place_is_file_line_and_column():
    found = after(
        lower_barriers, 'xsmt.barrier_set_expect %gx_, %gx : i64 loc("a.py":7:3)', "%gx_: i64", whole=True
    )
    data = list(b"a.py:7:3\0")
    assert f"@vertebra_text_1 : memref<9xi8> = dense<{data}>" in found


MAKERS = [
    "%m = xsmt.mbarrier_create %n, %n, %n, %n : i64",
    "%m = xsmt.mbarrier_copies 2 of 0, 0, 0, 1 : i64",
    "%m = xsmt.global_mbarrier_init 1 : i64",
]
LOOPS = [
    "scf.for %i = %n to %n step %n : i32 {{ {0} }}",
    "scf.for %i = %n to %n step %n : i32 {{ %c = arith.cmpi eq, %n, %n : i32\nscf.if %c {{ {0} }} }}",
    "scf.while : () -> () {{ %c = arith.cmpi eq, %n, %n : i32\nscf.condition(%c) }} do {{ {0}\nscf.yield }}",
]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("maker", MAKERS)
def test_a_barrier_made_in_a_loop_is_refused_where_it_stands(maker, loop):
    located = f'{maker} loc("deep.py":12:5)'
    with pytest.raises(CompileError, match="is inside of a loop, each turn") as raised:
        lowered(loop.format(f"\n{located}\n"))
    assert raised.value.place[:2] == ("deep.py", 12)
    assert raised.value.kernel == "k" and "mbarrier_copies" in raised.value.fix


def test_without_the_other_plugin_it_is_an_error_that_names_it(monkeypatch):
    manager = plugins().manager
    plugin = manager.unregister(name="xsmt_async")
    try:
        with plugged("xsmt"), pytest.raises(CompileError) as raised:
            lowered(MAKERS[0])
    finally:
        manager.register(plugin, name="xsmt_async")
    assert "dialect xsmt_async, which no installed plugin has" in raised.value.message
    assert "install the plugin xsmt_async" in raised.value.fix
