"""Results that nobody has measured, and kernels whose behaviour in a measurement is known."""

import numpy as np
import pytest

from vertebra.core import compile as stages
from vertebra.core import select
from vertebra.core.pipeline import Options
from vertebra.core.tuning.launch import Launch
from vertebra.core.tuning.records import MILLISECONDS, Conditions, Result, Subject, Trial


@pytest.fixture
def result():
    """result(value): of a kernel called `kernel`, with two configurations measured and one not."""

    def made(
        value: float = 1.0, *, kernel: str = "add", date: str = "2026-01-01T00:00:00+00:00", core="host"
    ):
        settings = ({"BLOCK": 16}, {"BLOCK": 32, "num_warps": 8}, {"BLOCK": 64})
        trials = (
            Trial(settings[0], 2.5, value),
            Trial(settings[1], None, value / 2),
            Trial(settings[2], 9.0, None, "pruned"),
        )
        subject = Subject(kernel, f"source of {kernel}", ("1000", "float32"), settings, "vertebra 1")
        where = Conditions(core, "abcd", MILLISECONDS, 2, "board")
        return Result(subject, where, trials, 1, ("a note",), date)

    return made


# x[i] += 1.0 for the 16 floats of every program; and what never ends, writes nowhere, needs too much.
KERNELS = """\
module {
  tt.func public @add_one(%x: !tt.ptr<f32> {tt.divisibility = 16 : i32}) {
    %c16 = arith.constant 16 : i32
    %one = arith.constant dense<1.000000e+00> : tensor<16xf32>
    %p = tt.get_program_id x : i32
    %b = arith.muli %p, %c16 : i32
    %r = tt.make_range {end = 16 : i32, start = 0 : i32} : tensor<16xi32>
    %s = tt.splat %b : i32 -> tensor<16xi32>
    %i = arith.addi %s, %r : tensor<16xi32>
    %q = tt.splat %x : !tt.ptr<f32> -> tensor<16x!tt.ptr<f32>>
    %a = tt.addptr %q, %i : tensor<16x!tt.ptr<f32>>, tensor<16xi32>
    %v = tt.load %a : tensor<16x!tt.ptr<f32>>
    %w = arith.addf %v, %one : tensor<16xf32>
    tt.store %a, %w : tensor<16x!tt.ptr<f32>>
    tt.return
  }
}
"""
WAIT = """\
module {
  tt.func public @wait(%x: !tt.ptr<i32>) {
    %zero = arith.constant 0 : i32
    scf.while : () -> () {
      %v = tt.atomic_rmw add, acq_rel, gpu, %x, %zero : (!tt.ptr<i32>, i32) -> i32
      %c = arith.cmpi eq, %v, %zero : i32
      scf.condition(%c)
    } do {
      scf.yield
    }
    tt.return
  }
}
"""


@pytest.fixture
def launch():
    """launch(core, array, programs=1): `add_one` on float32 `array`, or `wait` on an int32 one."""

    def made(core: str, array: np.ndarray, programs: int = 1) -> Launch:
        found = select.find_core(core)
        text, name, kind = (
            (KERNELS, "add_one", "*fp32") if array.dtype == np.float32 else (WAIT, "wait", "*i32")
        )
        llir = stages.render(text, "llir", found)
        binary = stages.compile(llir, found, name=name, signature=(kind,), start="llir")
        return Launch(binary, (programs, 1, 1), (array,), ("x",), text, llir, Options())

    return made
