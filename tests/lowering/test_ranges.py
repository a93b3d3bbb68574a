"""Bounds that the program shows."""

import pytest

from vertebra.core.context import context
from vertebra.core.mlir import ir
from vertebra.lowering.ranges import bounds

TEXT = """
func.func @f(%n: i32) {{
  %c0 = arith.constant 0 : i32
  %c3 = arith.constant 3 : i32
  %c4 = arith.constant 4 : i32
  %c16 = arith.constant 16 : i32
  %minus = arith.constant -5 : i32
  %large = arith.constant 2000000000 : i32
  scf.for %i = {start} to {stop} step {step} : i32 {{
    %v = {value} : i32
    "test.use"(%v) : (i32) -> ()
  }}
  return
}}
"""


def found(value: str, start="%c0", stop="%c16", step="%c4"):
    text = TEXT.format(value=value, start=start, stop=stop, step=step)
    context().allow_unregistered_dialects = True
    try:
        with context():
            module = ir.Module.parse(text, context())
            loop = next(
                op for op in module.body.operations[0].regions[0].blocks[0].operations if "scf" in op.name
            )
            return bounds(loop.regions[0].blocks[0].operations[0].operation.results[0])
    finally:
        context().allow_unregistered_dialects = False


@pytest.mark.parametrize(
    "value, want",
    [
        ("arith.addi %i, %c3", (3, 15)),
        ("arith.muli %i, %c16", (0, 192)),
        ("arith.subi %i, %c3", (-3, 9)),
        ("arith.muli %i, %minus", (-60, 0)),
        ("arith.divsi %i, %c3", (0, 4)),
        ("arith.remsi %i, %c3", (0, 2)),
        ("arith.remsi %i, %c16", (0, 12)),
        ("arith.minsi %i, %c3", (0, 3)),
        ("arith.maxsi %i, %c3", (3, 12)),
        ("arith.addi %i, %n", None),
        ("arith.muli %i, %large", None),
        ("arith.divsi %i, %n", None),
        ("arith.divsi %i, %minus", None),
    ],
)
def test_bounds(value, want):
    assert found(value) == want


def test_loops_of_unknown_steps_and_ends():
    assert found("arith.addi %i, %c0", step="%n") == (0, 15)
    assert found("arith.addi %i, %c0", stop="%n") is None
    assert found("arith.addi %i, %c0", start="%n") is None
    assert found("arith.addi %i, %c0", start="%c3", step="%c4") == (3, 15)
