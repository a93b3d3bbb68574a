"""Barriers between the iterations of a parallel loop, and between the programs of a launch."""

import ast

from triton.language.core import base_type, base_value, builtin

from vertebra.core.abi import FIRST_PHASE
from vertebra.lowering.leave_call import leave_call
from vertebra.plugins.xsmt.language.arguments import constant, described, i32, integer, plain
from vertebra.plugins.xsmt.language.buffers import number_of_copies

MOST_COUNT = 2**15 - 1  # the runtime's fields have 16 bits


class BarrierType(base_type):
    """copies: how many barriers the value holds; None is a single one, not indexed."""

    def __init__(self, copies: int | None = None):
        self.copies = copies

    def __eq__(self, other):
        return type(other) is BarrierType and self.copies == other.copies

    def __hash__(self):
        return hash(("barrier", self.copies))

    def __repr__(self):
        return "barrier" if self.copies is None else f"{self.copies} barriers"

    def _unflatten_ir(self, handles, cursor):
        return Barrier(handles[cursor], self), cursor + 1

    def _flatten_ir_types(self, builder, out):
        out.append(builder.get_int64_ty())

    def mangle(self):
        return "barrier" if self.copies is None else f"barriers{self.copies}"


class Barrier(base_value):
    """What `mbarrier`, `mbarrier_copies` and `global_mbarrier` return; an i64 in the IR."""

    def __init__(self, handle, type):
        self.handle, self.type = handle, type

    def _flatten_ir(self, handles):
        handles.append(self.handle)

    @builtin
    def __getitem__(self, index, _semantic=None, _generator=None):
        index, copies = integer("mbarrier_copies", "the index", index), self.type.copies
        if copies is None:
            raise TypeError("smt: a single barrier is not indexed; smt.mbarrier_copies makes several")
        if isinstance(index, int) and not 0 <= index < copies:
            raise ValueError(
                f"smt.mbarrier_copies: index {index} of {copies} barriers; use 0 to {copies - 1}"
            )
        operands = {"barriers": self.handle, "index": i32(_semantic, index)}
        return _made(_semantic, _generator, "xsmt.mbarrier_subview", operands)


@builtin
def mbarrier(flag=0, arrive_count=0, transaction_count=0, expect_count=1, _semantic=None, _generator=None):
    """A barrier whose phase ends when `expect_count` have arrived.

    The counts may be of run time.  Not inside a loop.  Raises ValueError for a count outside 16 bits.
    """
    counts = {
        "flag": flag,
        "arrive_count": arrive_count,
        "transaction_count": transaction_count,
        "expect_count": expect_count,
    }
    _outside_loops("mbarrier", _generator)
    operands = {n: i32(_semantic, _count("mbarrier", n, v)) for n, v in counts.items()}
    return _made(_semantic, _generator, "xsmt.mbarrier_create", operands)


@builtin
def mbarrier_copies(
    flag=0, arrive_count=0, transaction_count=0, expect_count=1, copies=1, _semantic=None, _generator=None
):
    """`copies` barriers alike; `bars[i]`, i of run time or not, is one.  The counts are of compile time."""
    counts = {
        "flag": flag,
        "arrive_count": arrive_count,
        "transaction_count": transaction_count,
        "expect_count": expect_count,
    }
    counts = {n: _count("mbarrier_copies", n, constant("mbarrier_copies", n, v)) for n, v in counts.items()}
    copies = number_of_copies("mbarrier_copies", copies)
    _outside_loops("mbarrier_copies", _generator)
    made = BarrierType(copies)
    return _made(_semantic, _generator, "xsmt.mbarrier_copies", {}, made, {"copies": copies, **counts})


@builtin
def barrier_arrive(bar, _semantic=None, _generator=None):
    """Counts one arrival at `bar`."""
    leave_call(_generator, "xsmt.barrier_arrive", {"barrier": _single("barrier_arrive", bar)})


@builtin
def barrier_wait(bar, flag=None, arrive_count=0, _semantic=None, _generator=None):
    """Waits until the phase of `bar` has the parity `flag`, 0 or 1; without one, until a phase has ended.

    A barrier made with flag 0 has parity 1 after its first phase.  arrive_count: how many will
    arrive; a note, since the barrier knows how many it expects.
    """
    flag = FIRST_PHASE if plain(flag) is None else _count("barrier_wait", "flag", flag)
    operands = {
        "barrier": _single("barrier_wait", bar),
        "flag": i32(_semantic, flag),
        "arrive_count": i32(_semantic, _count("barrier_wait", "arrive_count", arrive_count)),
    }
    leave_call(_generator, "xsmt.barrier_wait", operands)


@builtin
def barrier_set_expect(bar, expect_count, _semantic=None, _generator=None):
    """From now on a phase of `bar` ends after `expect_count` arrivals, of run time or not."""
    count = _count("barrier_set_expect", "expect_count", expect_count)
    operands = {"barrier": _single("barrier_set_expect", bar), "expect_count": i32(_semantic, count)}
    leave_call(_generator, "xsmt.barrier_set_expect", operands)


@builtin
def global_mbarrier(id, _semantic=None, _generator=None):
    """The barrier number `id`, which all programs of a launch share; all zero when it begins."""
    _outside_loops("global_mbarrier", _generator)
    number = constant("global_mbarrier", "id", id)
    if number < 0:
        raise ValueError(f"smt.global_mbarrier: id is {number}; it has to be 0 or more")
    return _made(_semantic, _generator, "xsmt.global_mbarrier_init", {}, BarrierType(), {"id": number})


def _outside_loops(function: str, generator) -> None:
    """Raises ValueError inside of a loop, where each iteration would make another barrier."""
    if any(isinstance(node, ast.For | ast.While) for node in generator.scf_stack):
        raise ValueError(
            f"smt.{function}: a barrier is made inside of a loop; make it before the loop, or several at once"
            " with smt.mbarrier_copies"
        )


def _made(semantic, generator, operation, operands, type=None, attributes=None) -> Barrier:
    (handle,) = leave_call(generator, operation, operands, [semantic.builder.get_int64_ty()], attributes)
    return Barrier(handle, type or BarrierType())


def _count(function: str, name: str, value):
    value = integer(function, name, value)
    least, most = 1 if name == "expect_count" else 0, 1 if name == "flag" else MOST_COUNT
    if isinstance(value, int) and not least <= value <= most:
        raise ValueError(f"smt.{function}: {name} is {value}; it has to be {least} to {most}")
    return value


def _single(function: str, bar):
    if not isinstance(bar, Barrier):
        raise TypeError(f"smt.{function}: {described(bar)} is no barrier; smt.mbarrier makes one")
    if bar.type.copies is not None:
        raise TypeError(
            f"smt.{function}: the value holds {bar.type.copies} barriers; choose one: bars[0] to"
            f" bars[{bar.type.copies - 1}]"
        )
    return bar.handle
