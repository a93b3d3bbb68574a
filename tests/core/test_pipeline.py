"""Running passes: order, what an observer hears, and what becomes of every kind of failure."""

import attrs
import pytest

from vertebra.core import pipeline
from vertebra.core.context import context
from vertebra.core.errors import CompileError, ConfigError, Place, VertebraError
from vertebra.core.hooks import cores
from vertebra.core.mlir import ir
from vertebra.core.pipeline import MODULE_STAGES, Options, lower, passes_to, plan, run_pass
from vertebra.core.target import Pass

KERNEL = """
func.func @first(%x: i32) attributes {vertebra.kernel} { return }
func.func @second() { return }
"""


@pytest.fixture
def host():
    return cores()["host"]


@pytest.fixture
def module():
    with context(), ir.Location.unknown():
        yield ir.Module.parse(KERNEL)


def test_a_pass_may_be_a_function_of_module_core_and_options(module, host):
    heard = []
    options = Options(fast_math=True)
    run_pass(Pass("mine", lambda *arguments: heard.append(arguments)), module, host, options)
    assert heard == [(module, host, options)]


def test_a_pass_may_be_a_pipeline_of_mlirs_own(host):
    with context(), ir.Location.unknown():
        module = ir.Module.parse("func.func @k() { %c = arith.constant 1 : i32 return }")
        run_pass(Pass("clean", "canonicalize,cse"), module, host, Options())
        assert "arith.constant" not in str(module)


def test_an_exception_in_a_pass_names_pass_kernel_and_cause(module, host):
    def broken(module, core, options):
        return {}["no such key"]

    with pytest.raises(CompileError) as caught:
        run_pass(Pass("tile-loops", broken), module, host, Options())
    lines = str(caught.value).splitlines()
    assert lines[0] == "error in kernel first: internal error in pass tile-loops: KeyError: 'no such key'"
    assert lines[1].startswith("fix: this is a bug")
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("kind", [CompileError, ConfigError, VertebraError])
def test_an_error_on_purpose_passes_as_it_is(module, host, kind):
    error = kind("tile 5x5 does not fit", fix="use 4x4")

    def refuse(module, core, options):
        raise error

    with pytest.raises(kind) as caught:
        run_pass(Pass("tile-loops", refuse), module, host, Options())
    assert caught.value is error


def test_what_mlir_reports_names_pass_kernel_and_place(host):
    text = """func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
      %r = "test.unknown"(%x) : (tensor<4xf32>) -> tensor<4xf32> loc("softmax.py":41:11)
      return %r : tensor<4xf32> }"""
    with ir.Context() as ctx, ir.Location.unknown():
        ctx.allow_unregistered_dialects = True
        module = ir.Module.parse(text)
        with pytest.raises(CompileError) as caught:
            run_pass(Pass("bufferise", "one-shot-bufferize"), module, host, Options())
    error = caught.value
    assert error.place == Place("softmax.py", 41, 11)
    assert error.kernel == "k"
    assert error.message == "pass bufferise failed: op was not bufferized"


def test_invalid_ir_that_a_pass_leaves_is_found_before_it_does_harm(host):
    with context(), ir.Location.unknown():
        module = ir.Module.parse("func.func @k(%x: i32) -> i32 { return %x : i32 }")

        def spoil(module, core, options):
            function = module.body.operations[0]
            function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get([], []))

        run_pass(Pass("spoil", spoil), module, host, Options())
        with pytest.raises(CompileError, match=r"in kernel k: pass tidy failed: .*entry block"):
            run_pass(Pass("tidy", "canonicalize"), module, host, Options())


def test_a_pipeline_that_mlir_does_not_know_is_an_error_not_a_crash(module, host):
    with pytest.raises(CompileError, match=r"in pass typo: ValueError: .*no-such-pass"):
        run_pass(Pass("typo", "no-such-pass"), module, host, Options())


# -- whole ways

ADD = """
func.func @k(%x: memref<?xf32>, %y: memref<?xf32>, %gx: i32, %gy: i32, %gz: i32, %px: i32, %py: i32, %pz: i32)
    attributes {vertebra.kernel} {
  %v = memref.reinterpret_cast %x to offset: [0], sizes: [20], strides: [1]
    : memref<?xf32> to memref<20xf32, strided<[1]>>
  %b = memref.alloc() : memref<20xf32>
  memref.copy %v, %b : memref<20xf32, strided<[1]>> to memref<20xf32>
  %t = bufferization.to_tensor %b restrict writable : memref<20xf32> to tensor<20xf32>
  %s = arith.addf %t, %t : tensor<20xf32>
  %w = memref.reinterpret_cast %y to offset: [0], sizes: [20], strides: [1]
    : memref<?xf32> to memref<20xf32, strided<[1]>>
  bufferization.materialize_in_destination %s in writable %w
    : (tensor<20xf32>, memref<20xf32, strided<[1]>>) -> ()
  return
}
"""


def parse():
    return ir.Module.parse(ADD)


def op_names(module) -> set[str]:
    found = set()

    def visit(op):
        found.add(op.name)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return found


@pytest.mark.parametrize("name", ["host", "spacemit-x60"])
def test_each_stage_holds_its_own_dialects(name):
    core = cores()[name]
    with context(), ir.Location.unknown():
        module = parse()
        lower(module, "linalg", "vector", core, Options())
        names = op_names(module)
        assert not {n for n in names if n.startswith(("tensor.", "linalg.", "bufferization."))}
        assert {n for n in names if n.startswith("vector.")}
        lower(module, "vector", "llvm", core, Options())
        assert {n.partition(".")[0] for n in op_names(module)} == {"builtin", "llvm"}


def test_an_observer_hears_of_every_pass_in_the_order_of_the_plan(host):
    heard = []
    with context(), ir.Location.unknown():
        lower(parse(), "linalg", "llvm", host, Options(), observe=lambda *what: heard.append(what))
    assert [(stage, name) for stage, name, _ in heard] == [p for p in plan(host) if p[0] != "linalg"]
    assert all(seconds >= 0 for *_, seconds in heard)


def test_a_stage_is_reached_from_itself_without_a_pass(host):
    with context(), ir.Location.unknown():
        module = parse()
        before = str(module)
        lower(module, "linalg", "linalg", host, Options())
        assert str(module) == before


@pytest.mark.parametrize("stage", MODULE_STAGES[1:])
def test_every_stage_of_every_core_has_passes(stage):
    for core in cores().values():
        steps = passes_to(stage, core)
        assert steps and len({s.name for s in steps}) == len(steps), core.name


def test_a_core_of_an_unknown_target_says_which_there_are(host):
    with pytest.raises(ConfigError, match=r"target vliw does not exist\nfix: .*host.*rvv"):
        pipeline.target_of(attrs.evolve(host, target="vliw"))
