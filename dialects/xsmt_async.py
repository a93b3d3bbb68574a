"""The `xsmt_async` dialect: barriers as things that are allocated, used and released.

Every mbarrier_alloc has one mbarrier_release on each way through the program, after its last use.
Handles are i64, or !xsmt.mbarrier.
"""

from typing import Any

from vertebra.core.attributes import I32Attr
from vertebra.core.dialect import Dialect
from vertebra.core.mlir import ext, ir
from vertebra.dialects.xsmt_barrier import FIRST_PHASE, check_barrier, check_count, check_counts, check_flag
from vertebra.dialects.xsmt_types import Xsmt

I32 = ir.IntegerType[32]


class XsmtAsync(Dialect, name="xsmt_async"):
    """The life of barriers."""

    dependencies = (Xsmt,)


class MBarrierAllocOp(XsmtAsync.Operation, name="mbarrier_alloc"):
    """result = `copies` barriers of parity `flag`, at which arrive_count have arrived of expect_count

    all counts: i32, 0 to 32767; expect_count and copies at least 1
    """

    flag: ext.Operand[I32]
    arrive_count: ext.Operand[I32]
    transaction_count: ext.Operand[I32]
    expect_count: ext.Operand[I32]
    copies: I32Attr
    result: ext.Result[Any]
    assembly = """$copies `of` $flag `,` $arrive_count `,` $transaction_count `,` $expect_count attr-dict
                  `:` qualified(type($result))"""

    @staticmethod
    def verify_invariants(op):
        check_counts(op)
        check_count(op, "copies", least=1)
        return True


class MBarrierArriveOp(XsmtAsync.Operation, name="mbarrier_arrive"):
    """One more has arrived at the barrier."""

    barrier: ext.Operand[Any]
    assembly = "$barrier attr-dict `:` qualified(type($barrier))"

    @staticmethod
    def verify_invariants(op):
        check_barrier(op, "barrier")
        return True


class MBarrierWaitOp(XsmtAsync.Operation, name="mbarrier_wait"):
    """Waits until the parity of the barrier is `flag`, i32; for -1, until any of its phases has ended."""

    barrier: ext.Operand[Any]
    flag: ext.Operand[I32]
    assembly = "$barrier `,` $flag attr-dict `:` qualified(type($barrier))"

    @staticmethod
    def verify_invariants(op):
        check_barrier(op, "barrier")
        check_flag(op, least=FIRST_PHASE)
        return True


class MBarrierReleaseOp(XsmtAsync.Operation, name="mbarrier_release"):
    """What one mbarrier_alloc made is used no more; 0 stands for none."""

    barrier: ext.Operand[Any]
    assembly = "$barrier attr-dict `:` qualified(type($barrier))"

    @staticmethod
    def verify_invariants(op):
        check_barrier(op, "barrier")
        return True
