"""Barriers, of `xsmt` and of `xsmt_async`: text there and back, and what the verifiers refuse."""

import re

import pytest

from vertebra.core import assembly
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects import xsmt_async, xsmt_barrier
from vertebra.dialects.xsmt import Xsmt
from vertebra.dialects.xsmt_async import XsmtAsync


@pytest.fixture(scope="module")
def context():
    context = ir.Context()
    with context:
        XsmtAsync.load()
    return context


HEAD = """%two = arith.constant 2 : i32
%big = arith.constant 40000 : i32
%zero = arith.constant 0 : i32
%three = xsmt.mbarrier_copies 3 of 0, 0, 0, 1 : !xsmt.mbarrier"""


def module_of(line: str) -> str:
    arguments = "%i: i32, %b: !xsmt.mbarrier, %h: i64, %f: f32"
    return f"tt.func @f({arguments}) {{\n{HEAD}\n{line}\ntt.return\n}}"


def parsed(line: str, context):
    """The operation of `line`, and the module that keeps it."""
    module = assembly.parse(module_of(line), context)
    return module.body.operations[0].regions[0].blocks[0].operations[4], module


BARRIER = "!xsmt.mbarrier"
LINES = {
    xsmt_barrier.MBarrierCreateOp: f"%r = xsmt.mbarrier_create %i, %i, %i, %i : {BARRIER}",
    xsmt_barrier.MBarrierCopiesOp: f"%r = xsmt.mbarrier_copies 2 of 1, 2, 3, 4 : {BARRIER}",
    xsmt_barrier.MBarrierSubviewOp: f"%r = xsmt.mbarrier_subview %b[%i] : {BARRIER} -> {BARRIER}",
    xsmt_barrier.BarrierArriveOp: f"xsmt.barrier_arrive %b : {BARRIER}",
    xsmt_barrier.BarrierWaitOp: f"xsmt.barrier_wait %b, %i, %i : {BARRIER}",
    xsmt_barrier.BarrierSetExpectOp: f"xsmt.barrier_set_expect %b, %i : {BARRIER}",
    xsmt_barrier.GlobalMBarrierInitOp: f"%r = xsmt.global_mbarrier_init 7 : {BARRIER}",
    xsmt_async.MBarrierAllocOp: f"%r = xsmt_async.mbarrier_alloc 2 of %i, %i, %i, %i : {BARRIER}",
    xsmt_async.MBarrierArriveOp: f"xsmt_async.mbarrier_arrive %b : {BARRIER}",
    xsmt_async.MBarrierWaitOp: f"xsmt_async.mbarrier_wait %b, %i : {BARRIER}",
    xsmt_async.MBarrierReleaseOp: f"xsmt_async.mbarrier_release %b : {BARRIER}",
}


def without_values(line: str) -> str:
    return " ".join(re.sub(r"%\w+", "%", line).split())


def test_every_operation_has_a_line():
    barriers = {op for op in Xsmt.operations if op.__module__ == xsmt_barrier.__name__}
    assert set(LINES) == barriers | set(XsmtAsync.operations)


@pytest.mark.parametrize("handle", [BARRIER, "i64"])
@pytest.mark.parametrize("op", LINES, ids=lambda op: op.OPERATION_NAME)
def test_round_trip(op, handle, context):
    line = LINES[op] if handle == BARRIER else LINES[op].replace(BARRIER, handle).replace("%b", "%h")
    found, module = parsed(line, context)
    assert isinstance(found, op)
    printed = assembly.print_module(module)
    assert without_values(printed.splitlines()[6]) == without_values(line)
    assert assembly.print_module(assembly.parse(printed, context)) == printed


CREATE, COPIES = LINES[xsmt_barrier.MBarrierCreateOp], LINES[xsmt_barrier.MBarrierCopiesOp]
ALLOC = LINES[xsmt_async.MBarrierAllocOp]
WAIT, EXPECT = LINES[xsmt_barrier.BarrierWaitOp], LINES[xsmt_barrier.BarrierSetExpectOp]
REFUSED = [
    (CREATE.replace("create %i", "create %two"), "flag 2 is no parity\nfix: use 0 or 1"),
    (CREATE.replace("%i : ", "%zero : "), "expect_count is 0\nfix: use 1 to 32767"),
    (CREATE.replace("%i : ", "%big : "), "expect_count is 40000\nfix: use 1 to 32767"),
    (CREATE.replace("%i, %i : ", "%big, %i : "), "transaction_count is 40000\nfix: use 0 to 32767"),
    (CREATE.replace(BARRIER, "i32"), "result is i32\nfix: use !xsmt.mbarrier, or i64"),
    (COPIES.replace("2 of", "0 of"), "copies is 0\nfix: use 1 to 32767"),
    (COPIES.replace("of 1", "of 5"), "flag 5 is no parity"),
    (COPIES.replace("3, 4", "3, -1"), "expect_count is -1\nfix: use 1 to 32767"),
    (
        f"%five = arith.constant 3 : i32\n%r = xsmt.mbarrier_subview %three[%five] : {BARRIER} -> {BARRIER}",
        "barrier 3 of 3\nfix: use 0 to 2",
    ),
    ("xsmt.barrier_arrive %f : f32", "barrier is f32\nfix: use !xsmt.mbarrier"),
    (WAIT.replace("%b, %i", "%b, %two"), "flag 2 is no parity"),
    (WAIT.replace("%i : ", "%big : "), "arrive_count is 40000"),
    (EXPECT.replace("%i", "%zero"), "expect_count is 0\nfix: use 1 to 32767"),
    (f"%r = xsmt.global_mbarrier_init -1 : {BARRIER}", "id is -1\nfix: use 0 or more"),
    (ALLOC.replace("2 of", "0 of"), "copies is 0"),
    (ALLOC.replace("%i : ", "%zero : "), "expect_count is 0"),
    ("xsmt_async.mbarrier_arrive %i : i32", "barrier is i32"),
    (f"xsmt_async.mbarrier_wait %b, %two : {BARRIER}", "flag 2 is no parity"),
    ("xsmt_async.mbarrier_release %f : f32", "barrier is f32"),
]


@pytest.mark.parametrize("line, message", REFUSED)
def test_refused(line, message, context):
    with pytest.raises(CompileError, match=message):
        parsed(line, context)


def test_a_wait_may_be_for_any_phase(context):
    parsed(f"%any = arith.constant -1 : i32\nxsmt.barrier_wait %b, %any, %i : {BARRIER}", context)
