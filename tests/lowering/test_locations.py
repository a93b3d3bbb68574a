"""The user's file and line on operations of every stage, and on errors of every stage."""

import inspect

import pytest
import triton
import triton.language as tl
from ttir import ttir_of

from vertebra.core import assembly, pipeline
from vertebra.core.context import context
from vertebra.core.errors import CompileError, place_of
from vertebra.core.hooks import cores
from vertebra.core.mlir import ir
from vertebra.core.target import Pass


@triton.jit
def gelu(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i, mask=i < n)
    w = tl.erf(v)
    tl.store(out + i, w, mask=i < n)


LINES, FIRST = inspect.getsourcelines(gelu.fn)


def line_of(part: str) -> int:
    return FIRST + next(i for i, line in enumerate(LINES) if part in line)


def operations(module, name: str) -> list:
    found = []

    def visit(op):
        if op.name == name:
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


@pytest.fixture
def module():
    text = ttir_of(gelu, {"x": "*fp32", "out": "*fp32", "n": "i32"}, {"BLOCK": 64})
    with context(), ir.Location.unknown():
        yield assembly.parse(text, context())


@pytest.mark.parametrize("stage", ["linalg", "vector"])
@pytest.mark.parametrize("name", ["host", "spacemit-x60"])
def test_an_error_of_a_later_stage_shows_the_users_line(module, name, stage):
    core = cores()[name]
    pipeline.lower(module, "ttir", stage, core, pipeline.Options())
    (erf,) = {place_of(op.location): op for op in operations(module, "math.erf")}.values()

    def refuse(module, core, options):
        raise CompileError("no erf here", at=erf, fix="write your own")

    with pytest.raises(CompileError) as caught:
        pipeline.run_pass(Pass("last", refuse), module, core, pipeline.Options())
    first, source, caret, fix = str(caught.value).splitlines()
    assert first.startswith(f"{__file__}:{line_of('tl.erf')}:")
    assert first.endswith(": error in kernel gelu: no erf here")
    assert source == "    w = tl.erf(v)"
    assert source[len(caret) - 1 :].startswith(("tl.erf", "erf", "(")) or source[len(caret) :].startswith(
        "tl.erf"
    )
    assert fix == "fix: write your own"


@pytest.mark.parametrize(
    "op, part", [("memref.copy", "tl.load"), ("bufferization.materialize_in_destination", "tl.store")]
)
def test_memory_accesses_know_their_lines(module, op, part):
    pipeline.lower(module, "ttir", "linalg", cores()["host"], pipeline.Options())
    lines = {place_of(found.location).line for found in operations(module, op)}
    assert lines == {line_of(part)}
