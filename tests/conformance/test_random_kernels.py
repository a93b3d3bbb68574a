"""Random kernels: what a core computes is what the kernel's text means.

Hypothesis writes kernels (`random_kernels`), which run in a reference that bounds every rounding
error, and on each core.  All cores get the same kernels, so they agree with each other as well.
`VERTEBRA_RANDOM_KERNELS=2000` tests that many on each core, others in every run; a failure is
reduced to a small kernel and printed with its arguments.  `TRITON_INTERPRET=1 --core interpreter`
checks the reference itself, by Triton's own interpreter.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis.configuration import set_hypothesis_home_dir
from triton.runtime.errors import InterpreterError

from .case import INTERPRETER
from .random_kernels import execute, generate, numbers
from .random_kernels.memory import OutOfBounds
from .random_kernels.numbers import Tensor, Undecided
from .random_kernels.program import Program, Region

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis")

USUAL = 100
COUNT = int(os.environ.get("VERTEBRA_RANDOM_KERNELS", USUAL))
SETTINGS = settings(
    max_examples=COUNT,
    derandomize=COUNT == USUAL,
    database=None,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def check(program: Program, folder, core: str) -> None:
    """Runs `program` on the current core and fails where memory is not what the reference says."""
    if core == INTERPRETER:
        assume("bf16" not in program.dtypes())  # it computes with the bits
    try:
        want = execute.reference(program)
    except (OutOfBounds, Undecided):
        assume(False)
    note(program.describe())
    kernel = execute.load_kernel(program, folder)
    try:
        got = execute.run(program, kernel)
    except InterpreterError as error:
        assume("out of bounds for uint" not in str(error))  # it gives ~x of an unsigned x to NumPy as -1
        raise
    wrong = execute.differences(program, want, got)
    assert not wrong, "\n".join(["wrong elements:", *wrong])


def program_of(body: str, scalars: dict | None = None, **regions) -> Program:
    """A kernel of these lines; each region is one argument of the same name."""
    names = ", ".join([*regions, *(scalars or {})])
    text = f"@triton.jit\ndef kernel({names}):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    arrays = {name: (name, 0) for name in regions}
    return Program(text, {n: Region(*r) for n, r in regions.items()}, arrays, scalars or {}, 1, 0)


@pytest.mark.timeout(300 + COUNT)
def test_cores_compute_what_the_text_means(core, use_core, tmp_path):
    if core != INTERPRETER:
        use_core(core)

    @SETTINGS
    @given(generate.programs())
    def every(program):
        check(program, tmp_path, core)

    every()


def test_a_wrong_kernel_is_found(core, use_core, tmp_path):
    """The comparison sees one element that is off by one unit, in one of many."""
    if core != INTERPRETER:
        use_core(core)
    program = program_of("i = tl.arange(0, 64)\ntl.store(x + i, tl.load(x + i) * 3)", x=("f32", 64, "small"))
    want = execute.reference(program)
    got = execute.run(program, execute.load_kernel(program, tmp_path))
    assert execute.differences(program, want, got) == []
    got["x"][37] = np.nextafter(got["x"][37], np.float32(np.inf))
    assert [line.split(":")[0] for line in execute.differences(program, want, got)] == ["x[37]"]


def test_generated_kernels_say_something():
    """Most kernels have a definite meaning, and most of what they write is known."""
    kinds = {"definite": 0, "not": 0, "known": 0, "unknown": 0}

    @settings(SETTINGS, max_examples=60, derandomize=True)
    @given(generate.programs())
    def every(program):
        try:
            buffers = execute.reference(program)
        except (OutOfBounds, Undecided):
            kinds["not"] += 1
            return
        kinds["definite"] += 1
        for name, data in program.initial().items():
            changed = buffers[name].values != numbers.loaded(buffers[name].dtype, data)
            kinds["known"] += int((changed & np.isfinite(buffers[name].error)).sum())
            kinds["unknown"] += int(np.isinf(buffers[name].error).sum())

    every()
    assert kinds["definite"] > 4 * kinds["not"]
    assert kinds["known"] > kinds["unknown"]


REFERENCE = {
    "c-remainder": (lambda: Tensor("i32", [-7, 7]) % Tensor("i32", [2, -2]), [-1, 1], [0, 0]),
    "c-quotient": (lambda: Tensor("i8", [-7, -128]) // Tensor("i8", [2, -1]), [-3, None], [0, np.inf]),
    "unsigned-wrap": (lambda: Tensor("u8", [1]) - Tensor("u8", [2]), [255], [0]),
    "mixed-signs": (lambda: Tensor("i32", [-1]) + Tensor("u32", [0]), [2**32 - 1], [0]),
    "shift-too-far": (lambda: Tensor("i32", [1, 1]) << Tensor("i32", [4, 32]), [16, None], [0, np.inf]),
    "exact-float": (lambda: Tensor("f16", [0.5]) * Tensor("f16", [3]), [1.5], [0]),
    "rounded-float": (lambda: Tensor("f16", [2048]) + Tensor("f16", [1]), [2048], [2048 * 2.0**-10 * 1.01]),
    "overflow": (lambda: Tensor("f16", [60000]) * Tensor("f16", [2]), [None], [np.inf]),
    "near-a-step": (lambda: Tensor("f32", [2.0, 2.5], [1e-3, 1e-3]).to("i32"), [None, 2], [np.inf, 0]),
    "near-equal": (
        lambda: Tensor("f32", [1.0, 2.0], 1e-3) < Tensor("f32", [1.0, 3.0]),
        [None, 1],
        [np.inf, 0],
    ),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_arithmetic(name):
    make, values, error = REFERENCE[name]
    found = make()
    for got, bound, value, most in zip(found.values, found.error, values, error, strict=True):
        assert value is None or got == value
        assert bound <= most and (np.isinf(bound) == np.isinf(most))
