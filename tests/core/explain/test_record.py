"""Which pass made a line, and which lines a pass made."""

import pytest

from vertebra.core.context import context
from vertebra.core.explain.record import Recorder
from vertebra.core.mlir import ir

BEFORE = """
func.func @k(%x: i32, %y: i32) -> i32 {
  %a = arith.addi %x, %y : i32 loc("k.py":1:1)
  %b = arith.addi %a, %y : i32 loc("k.py":1:1)
  return %b : i32 loc("k.py":3:1)
} loc("k.py":0:1)
"""
RENAMED = BEFORE.replace("%a", "%p").replace("%b", "%q")
MORE = """
func.func @k(%x: i32, %y: i32) -> i32 {
  %a = arith.addi %x, %y : i32 loc("k.py":1:1)
  %c = arith.muli %a, %y : i32 loc("k.py":2:1)
  %b = arith.addi %c, %y : i32 loc("k.py":1:1)
  return %b : i32 loc("k.py":3:1)
} loc("k.py":0:1)
"""
LESS = """
func.func @k(%x: i32, %y: i32) -> i32 {
  %c = arith.muli %x, %y : i32 loc("k.py":2:1)
  return %c : i32 loc("k.py":3:1)
} loc("k.py":0:1)
"""


@pytest.fixture
def record():
    recorder = Recorder()

    def run(*steps):
        with context(), ir.Location.unknown():
            recorder.reached("ttir", ir.Module.parse(BEFORE))
            for name, text in steps:
                recorder.passed("linalg", name, 0.001, ir.Module.parse(text))
            recorder.reached("linalg", ir.Module.parse(steps[-1][1]))
        return recorder

    return run


def stripped(lines):
    return [line.strip() for line in lines]


def makers(stage):
    return {line.text.strip(): made for line, made in zip(stage.lines, stage.made, strict=True)}


def test_a_line_is_made_by_the_pass_after_which_it_is_first_there(record):
    recorder = record(("rename", RENAMED), ("multiply", MORE))
    made = makers(recorder.stages[1])
    assert made["%1 = arith.muli %0, %arg1 : i32"] == 1
    assert {made[line] for line in made if "muli" not in line} == {-1}
    assert recorder.steps[0].new == recorder.steps[0].gone == ()
    assert stripped(recorder.steps[1].new) == ["%1 = arith.muli %0, %arg1 : i32"]


def test_what_is_made_removed_and_made_again_is_the_last_ones(record):
    recorder = record(("multiply", MORE), ("drop", BEFORE), ("again", MORE), ("less", LESS))
    (line,) = [made for text, made in makers(recorder.stages[1]).items() if "muli" in text]
    assert line == 2
    assert [step.name for step in recorder.steps] == ["multiply", "drop", "again", "less"]
    assert stripped(recorder.steps[1].gone) == ["%1 = arith.muli %0, %arg1 : i32"]
    assert len(recorder.steps[3].gone) == 2


def test_the_same_operation_of_another_line_is_another_line(record):
    recorder = record(("move", BEFORE.replace('"k.py":1:1', '"k.py":9:1')))
    assert len(recorder.steps[0].new) == len(recorder.steps[0].gone) == 2


def test_stages_of_llvm_are_made_by_what_makes_them(record):
    recorder = record(("multiply", MORE))
    recorder.reached("llir", "define void @k() {\n  ret void\n}\n")
    recorder.reached("asm", "k:\n\tret\n")
    assert [stage.name for stage in recorder.stages] == ["ttir", "linalg", "llir", "asm"]
    assert recorder.steps[recorder.stages[2].made[0]].name == "translation to LLVM IR"
    assert recorder.steps[recorder.stages[3].made[0]].stage == "asm"
