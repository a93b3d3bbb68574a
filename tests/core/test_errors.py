"""What errors say: the place in the user's source, the kernel, the fix."""

import pickle

import pytest

from vertebra.core.errors import (
    BackendError,
    CompileError,
    ConfigError,
    LaunchError,
    ParseError,
    Place,
    ToolError,
    VertebraError,
    kernel_of,
    place_of,
)
from vertebra.core.mlir import ir


@pytest.fixture(autouse=True)
def context():
    with ir.Context() as ctx, ir.Location.unknown():
        ctx.allow_unregistered_dialects = True
        yield ctx


HERE = ir.Location.file
LOCATIONS = {
    "file": (lambda: HERE("k.py", 3, 7), Place("k.py", 3, 7)),
    "unknown": (ir.Location.unknown, None),
    "name": (lambda: ir.Location.name("x", HERE("k.py", 3, 7)), Place("k.py", 3, 7)),
    "name-alone": (lambda: ir.Location.name("x"), None),
    "name-like-a-place": (lambda: ir.Location.name('a":1:2', HERE("k.py", 3, 7)), Place("k.py", 3, 7)),
    "call": (
        lambda: ir.Location.callsite(HERE("helper.py", 9, 1), [HERE("k.py", 3, 7)]),
        Place("helper.py", 9, 1),
    ),
    "call-of-unknown": (
        lambda: ir.Location.callsite(ir.Location.unknown(), [HERE("k.py", 3, 7)]),
        Place("k.py", 3, 7),
    ),
    "fused": (lambda: ir.Location.fused([HERE("a.py", 1, 2), HERE("b.py", 3, 4)]), Place("a.py", 1, 2)),
    "nested": (
        lambda: ir.Location.fused(
            [
                ir.Location.unknown(),
                ir.Location.name("x", ir.Location.callsite(HERE("c.py", 5, 6), [HERE("d.py", 7, 8)])),
            ]
        ),
        Place("c.py", 5, 6),
    ),
    "space-in-name": (lambda: HERE("my kernels/k (1).py", 3, 7), Place("my kernels/k (1).py", 3, 7)),
    "quote-in-name": (lambda: HERE('k".py', 3, 7), Place('k".py', 3, 7)),
    "backslash-in-name": (lambda: HERE("k\\n.py", 3, 7), Place("k\\n.py", 3, 7)),
    "not-ascii": (lambda: HERE("/home/josé/ядро.py", 3, 7), Place("/home/josé/ядро.py", 3, 7)),
}


@pytest.mark.parametrize("make, place", LOCATIONS.values(), ids=LOCATIONS)
def test_place_of(make, place):
    assert place_of(make()) == place


KERNEL = """
func.func @softmax(%x: i32) {
  %c = "some.op"(%x) ({ %d = "inner.op"() : () -> i32 "some.yield"() : () -> () }) : (i32) -> i32
  return
}
"""


def operation(name: str, found=None):
    module = ir.Module.parse(KERNEL)
    found = []

    def visit(op):
        if op.name == name:
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    return module, found[0]


@pytest.mark.parametrize("name", ["some.op", "inner.op", "func.func", "func.return"])
def test_kernel_of_an_operation_and_of_what_is_inside(name):
    module, op = operation(name)
    assert kernel_of(op) == kernel_of(op.opview) == "softmax"
    assert kernel_of(module.operation) is None


def text(error: CompileError) -> list[str]:
    return str(error).splitlines()


@pytest.fixture
def source(tmp_path):
    """Writes lines to a file and returns its name."""

    def write(*lines: str, name: str = "softmax.py") -> str:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)

    return write


def test_an_error_shows_the_line_a_caret_the_kernel_and_the_fix(source):
    file = source("first", "    acc = dot(x, y, acc)")
    _, op = operation("some.op")
    op.location = HERE(file, 2, 11)
    assert text(CompileError("K differs, 8 and 16", at=op, fix="pack b as 4x8")) == [
        f"{file}:2:11: error in kernel softmax: K differs, 8 and 16",
        "    acc = dot(x, y, acc)",
        "          ^",
        "fix: pack b as 4x8",
    ]


@pytest.mark.parametrize(
    "line, column, margin",
    [
        ("x", 1, ""),
        ("x", 0, ""),
        ("\t\ty = x", 3, "\t\t"),
        ("if x:\ty = x", 7, "     \t"),
        ("é = x", 6, "    "),
        ("short", 40, "     "),
    ],
    ids=["first", "before-the-first", "tabs", "tab-within", "bytes-not-characters", "behind-the-end"],
)
def test_the_caret_is_under_the_column(source, line, column, margin):
    lines = text(CompileError("wrong", at=HERE(source(line), 1, column)))
    assert lines[1:] == [line, margin + "^"]


def test_a_source_that_is_not_there_is_left_out(source):
    for place in (HERE("/nowhere/k.py", 3, 1), HERE(source("one line"), 9, 1)):
        (only,) = text(CompileError("wrong", at=place))
        assert only.endswith(": error: wrong")


def test_an_error_without_a_place_still_names_kernel_and_fix():
    error = CompileError("wrong", kernel="k", fix="do it right")
    assert text(error) == ["error in kernel k: wrong", "fix: do it right"]
    assert error.place is None


def test_an_error_does_not_keep_the_operation():
    module, op = operation("some.op")
    op.location = HERE("k.py", 3, 7)
    error = CompileError("wrong", at=op)
    op.erase()
    del module
    assert (error.place, error.kernel) == (Place("k.py", 3, 7), "softmax")


KINDS = [BackendError, CompileError, ConfigError, LaunchError, ParseError, ToolError]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_ours_and_says_how_to_fix_it(kind):
    error = kind("it broke", fix="mend it")
    assert isinstance(error, VertebraError)
    assert str(error).splitlines()[-1] == "fix: mend it"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
