"""The `xsmt` dialect: barriers between the iterations of a parallel loop, and between programs.

A barrier counts arrivals.  Its phase ends when as many have arrived as it expects; then it counts
from 0 again.  Its parity is `flag` at first and changes with every phase.  A handle is a !xsmt.mbarrier,
or an i64, which is what frontends and the edges of functions have.

Source: the language of spacemit-com/spine-triton; the textual forms are ours.
"""

from typing import Any

from vertebra.core.abi import FIRST_PHASE
from vertebra.core.attributes import I32Attr
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ext, ir
from vertebra.dialects.constants import constant_of
from vertebra.dialects.xsmt_types import Xsmt

I32 = ir.IntegerType[32]
MOST_COUNT = 2**15 - 1  # the counts of a barrier have 16 bits


class MBarrierType(Xsmt.Type, name="mbarrier"):
    """The handle of a barrier, or of several that were made at once."""


def is_barrier(type_: ir.Type) -> bool:
    return isinstance(type_, MBarrierType) or str(type_) == "i64"


def check_barrier(op, field: str) -> None:
    """Raises CompileError unless `field` is the handle of a barrier."""
    type_ = getattr(op, field).type
    if not is_barrier(type_):
        raise CompileError(
            f"{op.operation.name}: {field} is {type_}", at=op, fix="use !xsmt.mbarrier, or i64 for a handle"
        )


def check_count(op, field: str, least: int = 0) -> None:
    """Raises CompileError for a count, operand or attribute, that is known and does not fit 16 bits."""
    value = getattr(op, field)
    known = constant_of(value) if isinstance(value, ir.Value) else value.value
    if known is not None and not least <= known <= MOST_COUNT:
        raise CompileError(
            f"{op.operation.name}: {field} is {known}", at=op, fix=f"use {least} to {MOST_COUNT}"
        )


def check_flag(op, least: int = 0) -> None:
    """Raises CompileError for a flag that is known and is no parity."""
    flag = op.flag
    known = constant_of(flag) if isinstance(flag, ir.Value) else flag.value
    if known is not None and not least <= known <= 1:
        raise CompileError(f"{op.operation.name}: flag {known} is no parity", at=op, fix="use 0 or 1")


def check_counts(op) -> None:
    """What all operations that make barriers have in common."""
    check_flag(op)
    check_count(op, "arrive_count")
    check_count(op, "transaction_count")
    check_count(op, "expect_count", least=1)
    check_barrier(op, "result")


class MBarrierCreateOp(Xsmt.Operation, name="mbarrier_create"):
    """result = a barrier of parity `flag` at which arrive_count have arrived of expect_count

    all counts: i32, 0 to 32767; expect_count at least 1
    transaction_count: kept with the barrier; no operation counts transactions
    """

    flag: ext.Operand[I32]
    arrive_count: ext.Operand[I32]
    transaction_count: ext.Operand[I32]
    expect_count: ext.Operand[I32]
    result: ext.Result[Any]
    assembly = """$flag `,` $arrive_count `,` $transaction_count `,` $expect_count attr-dict
                  `:` qualified(type($result))"""

    @staticmethod
    def verify_invariants(op):
        check_counts(op)
        return True


class MBarrierCopiesOp(Xsmt.Operation, name="mbarrier_copies"):
    """result = `copies` barriers, each as mbarrier_create makes one"""

    flag: I32Attr
    arrive_count: I32Attr
    transaction_count: I32Attr
    expect_count: I32Attr
    copies: I32Attr
    result: ext.Result[Any]
    assembly = """$copies `of` $flag `,` $arrive_count `,` $transaction_count `,` $expect_count attr-dict
                  `:` qualified(type($result))"""

    @staticmethod
    def verify_invariants(op):
        check_counts(op)
        check_count(op, "copies", least=1)
        return True


class MBarrierSubviewOp(Xsmt.Operation, name="mbarrier_subview", traits=[ext.Pure]):
    """result = barrier number `index` of those that an mbarrier_copies made

    index: i32, less than the number of copies, or the launch fails
    Raises CompileError when a constant index is out of range.
    """

    barriers: ext.Operand[Any]
    index: ext.Operand[I32]
    result: ext.Result[Any]
    assembly = """$barriers `[` $index `]` attr-dict `:` qualified(type($barriers)) `->`
                  qualified(type($result))"""

    @staticmethod
    def verify_invariants(op):
        check_barrier(op, "barriers")
        check_barrier(op, "result")
        index, made = constant_of(op.index), op.barriers.owner
        if index is None or isinstance(made, ir.Block) or made.operation.name != "xsmt.mbarrier_copies":
            return True
        copies = ir.IntegerAttr(made.attributes["copies"]).value
        if not 0 <= index < copies:
            raise CompileError(
                f"xsmt.mbarrier_subview: barrier {index} of {copies}", at=op, fix=f"use 0 to {copies - 1}"
            )
        return True


class BarrierArriveOp(Xsmt.Operation, name="barrier_arrive"):
    """One more has arrived; ends the phase if it is the last one expected."""

    barrier: ext.Operand[Any]
    assembly = "$barrier attr-dict `:` qualified(type($barrier))"

    @staticmethod
    def verify_invariants(op):
        check_barrier(op, "barrier")
        return True


class BarrierWaitOp(Xsmt.Operation, name="barrier_wait"):
    """Waits until the parity of the barrier is `flag`, or, for flag -1, until any of its phases has ended

    flag: i32    arrive_count: i32, 0 to 32767; a note of how many will arrive, which the phase decides alone
    What a thread writes before it arrives is seen after the wait.
    """

    barrier: ext.Operand[Any]
    flag: ext.Operand[I32]
    arrive_count: ext.Operand[I32]
    assembly = "$barrier `,` $flag `,` $arrive_count attr-dict `:` qualified(type($barrier))"

    @staticmethod
    def verify_invariants(op):
        check_barrier(op, "barrier")
        check_flag(op, least=FIRST_PHASE)
        check_count(op, "arrive_count")
        return True


class BarrierSetExpectOp(Xsmt.Operation, name="barrier_set_expect"):
    """From now on a phase ends after expect_count arrivals, i32, 1 to 32767; those in this phase count."""

    barrier: ext.Operand[Any]
    expect_count: ext.Operand[I32]
    assembly = "$barrier `,` $expect_count attr-dict `:` qualified(type($barrier))"

    @staticmethod
    def verify_invariants(op):
        check_barrier(op, "barrier")
        check_count(op, "expect_count", least=1)
        return True


class GlobalMBarrierInitOp(Xsmt.Operation, name="global_mbarrier_init"):
    """result = barrier number `id` of the launch, which all of its programs share

    All of it is zero when the launch begins: it expects nobody until a barrier_set_expect says how many.
    """

    id: I32Attr
    result: ext.Result[Any]
    assembly = "$id attr-dict `:` qualified(type($result))"

    @staticmethod
    def verify_invariants(op):
        check_barrier(op, "result")
        if op.id.value < 0:
            raise CompileError(f"xsmt.global_mbarrier_init: id is {op.id.value}", at=op, fix="use 0 or more")
        return True
