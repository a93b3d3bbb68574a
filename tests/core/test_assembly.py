"""The textual form of a made-up dialect that uses every element of the notation."""

from collections.abc import Sequence
from typing import Any, TypeVar

import pytest

from vertebra.core import assembly
from vertebra.core.assembly import notation
from vertebra.core.attributes import (
    BoolAttr,
    EnumAttr,
    I32ArrayAttr,
    I32Attr,
    I64ArrayAttr,
    StrAttr,
    SymbolAttr,
    UnitAttr,
    optional,
)
from vertebra.core.dialect import AT_MOST, LOADED, Dialect
from vertebra.core.errors import CompileError, ParseError
from vertebra.core.mlir import ext, ir

T = TypeVar("T", bound=Any)
Index = ir.IndexType


class Toy(Dialect, name="toy"):
    """Made up."""


class BoxType(Toy.Type, name="box"):
    inner: Any


class Mode(EnumAttr, cases={"fast": 1, "exact": 7}):
    """Made up."""


class FuncOp(Toy.Operation, name="func", traits=[ir.IsIsolatedFromAboveTrait]):
    sym_name: StrAttr
    function_type: ir.TypeAttr
    body: ext.Region
    sym_visibility = optional(StrAttr)
    arg_attrs = optional(ir.ArrayAttr)
    res_attrs = optional(ir.ArrayAttr)
    assembly = "custom<Function>"


class EndOp(Toy.Operation, name="end", traits=[ir.IsTerminatorTrait]):
    values: Sequence[ext.Operand[Any]]
    assembly = "attr-dict ($values^ `:` type($values))?"


class AddOp(Toy.Operation, name="add"):
    a: ext.Operand[T]
    b: ext.Operand[T]
    out: ext.Result[T]
    mode = optional(Mode, "fast")
    size = optional(I32Attr)
    exact = optional(UnitAttr)
    assembly = """$a `,` $b (`exact` $exact^)? oilist(`mode` `=` $mode | `size` `=` $size)
                  attr-dict `:` type($out)"""

    @staticmethod
    def verify_invariants(op):
        if op.size is not None and op.size.value < 0:
            raise CompileError(f"toy.add: size {op.size.value}", at=op, fix="use 0 or more")
        return True


class OpenOp(Toy.Operation, name="open"):
    box: ext.Operand[BoxType]
    out: ext.Result[Any]
    assembly = "$box attr-dict `:` type($box) `->` type($out)"
    infer = {}


class MoveOp(Toy.Operation, name="move"):
    box: ext.Operand[BoxType]
    to: Sequence[ext.Operand[Index]]
    by: Sequence[ext.Operand[Index]]
    static_by: I64ArrayAttr
    shape: I64ArrayAttr
    assembly = """$box `[` $to `]` `by` `` `:` custom<DynamicIndexList>($by, $static_by) `shape` $shape
                  attr-dict `:` qualified(type($box))"""


class CallOp(Toy.Operation, name="call"):
    callee: SymbolAttr
    inputs_: Sequence[ext.Operand[Any]]
    outs: Sequence[ext.Result[Any]]
    assembly = "$callee `(` $inputs_ `)` attr-dict `:` functional-type($inputs_, results)"


class NoteOp(Toy.Operation, name="note"):
    text: StrAttr
    loud: BoolAttr
    order: I32ArrayAttr
    anything: Any
    values: Sequence[ext.Operand[Any]]
    assembly = "$text $loud $order $anything attr-dict (`(` $values^ `)`)? `:` `[` type(operands) `]`"


class MaybeOp(Toy.Operation, name="maybe"):
    a: ext.Operand[Any]
    b: ext.Operand[Any] | None = None
    c: ext.Operand[Any] | None = None
    assembly = "$a (`with` $b^)? (`,` $c^)? attr-dict `:` type($a) (`with` type($b)^)? (`,` type($c)^)?"


class RegionOp(Toy.Operation, name="region"):
    values: Sequence[ext.Operand[Any]]
    axis: I32Attr
    outs: Sequence[ext.Result[Any]]
    body: ext.Region


@pytest.fixture(scope="module")
def context():
    context = ir.Context()
    before = dict(LOADED)
    with context:
        Toy.load()
    yield context
    LOADED.clear()
    LOADED.update(before)


ARGUMENTS = "%arg0: i32, %arg1: f32, %arg2: !toy.box<f32>, %arg3: index"

FORMS = [
    "%0 = toy.add %arg0, %arg0 : i32",
    "%0 = toy.add %arg0, %arg0 exact : i32",
    "%0 = toy.add %arg0, %arg0 exact mode = exact size = 3 {other = 1 : i8} : i32",
    "%0 = toy.add %arg0, %arg0 size = 4 : i32",
    "%0 = toy.open %arg2 : <f32> -> f32",
    '%0 = toy.open %arg2 {a = "}", b = [1, {c = 2 : i64}], toy.end} : <f32> -> tensor<2x!toy.box<f32>>',
    "toy.move %arg2[] by: [] shape [] : !toy.box<f32>",
    "toy.move %arg2[%arg3, %arg3] by: [4, %arg3, -1, %arg3] shape [8, 16] : !toy.box<f32>",
    "toy.call @f() : () -> ()",
    '%0 = toy.call @"odd name"(%arg0) : (i32) -> i32',
    "%0:2 = toy.call @a.b$c(%arg0, %arg1) {x} : (i32, f32) -> (f32, i32)",
    'toy.note "say \\22toy.add\\22 // }" true [1, 0] [#arith.fastmath<fast>, 2] : []',
    'toy.note "" false [] dense<1> : tensor<2xi32>(%arg0, %arg1) : [i32, f32]',
    "toy.maybe %arg0 : i32",
    "toy.maybe %arg0 with %arg1 : i32 with f32",
    "toy.maybe %arg0, %arg1 : i32, f32",
    "toy.maybe %arg0 with %arg3, %arg1 : i32 with index, f32",
    "toy.maybe %arg0 {toy.add = 1 : i32} : i32",
    "%0 = arith.addi %arg0, %arg0 {a, toy.add = 1 : i32, toy.end} : i32",
    "%0 = arith.addi %arg0, %arg0 {toy.add, toy.odd} : i32",
]


def module(line: str) -> str:
    return f"module {{\n  toy.func @f({ARGUMENTS}) {{\n    {line}\n    toy.end\n  }}\n}}\n"


@pytest.mark.parametrize("line", FORMS)
def test_a_form_reads_and_prints_the_same(line, context):
    assert assembly.print_module(assembly.parse(module(line), context)) == module(line)


def test_the_order_of_an_oilist_is_free(context):
    one, other = (
        assembly.parse(module(f"%0 = toy.add %arg0, %arg0 {clauses} : i32"), context)
        for clauses in ("mode = exact size = 2", "size = 2 mode = exact")
    )
    assert str(one) == str(other)


def test_a_default_is_not_printed(context):
    text = assembly.print_module(
        assembly.parse(module("%0 = toy.add %arg0, %arg0 mode = fast : i32"), context)
    )
    assert text == module("%0 = toy.add %arg0, %arg0 : i32")


def test_the_qualified_type_may_be_written(context):
    text = assembly.print_module(
        assembly.parse(module("%0 = toy.open %arg2 : !toy.box<f32> -> f32"), context)
    )
    assert text == module("%0 = toy.open %arg2 : <f32> -> f32")


GENERIC = [
    ("%0 = toy.add %arg0, %arg0 mode = exact : i32",
     '%0 = "toy.add"(%arg0, %arg0) <{mode = 7 : i32}> : (i32, i32) -> i32'),
    ("%0 = toy.add %arg0, %arg0 mode = exact {y = 1 : i8} : i32",
     '%0 = "toy.add"(%arg0, %arg0) <{mode = 7 : i32}> {y = 1 : i8} : (i32, i32) -> i32'),
    ("toy.maybe %arg0, %arg1 : i32, f32",
     '"toy.maybe"(%arg0, %arg1) <{operandSegmentSizes = array<i32: 1, 0, 1>}> : (i32, f32) -> ()'),
    ("%0:2 = toy.call @g(%arg0, %arg1) : (i32, f32) -> (f32, i32)",
     '%0:2 = "toy.call"(%arg0, %arg1) <{callee = @g}> : (i32, f32) -> (f32, i32)'),
]  # fmt: skip


@pytest.mark.parametrize("custom, generic", GENERIC)
def test_generic_form_is_read_too(custom, generic, context):
    assert assembly.print_module(assembly.parse(module(generic), context)) == module(custom)


def test_operations_with_regions_have_their_properties_first(context):
    text = module(
        """%0:2 = "toy.region"(%arg0, %arg1) <{axis = 1 : i32}> ({
    ^bb0(%arg4: i32, %arg5: f32):
      %1 = toy.add %arg4, %arg4 : i32
      toy.end %arg5, %1 : f32, i32
    }) {more = ") }"} : (i32, f32) -> (f32, i32)"""
    )
    printed = assembly.print_module(assembly.parse(text, context))
    assert '<{axis = 1 : i32, more = ") }"}> ({' in printed
    assert assembly.print_module(assembly.parse(printed, context)) == printed


FUNCTIONS = [
    "toy.func private @f()",
    "toy.func private @f(i32, !toy.box<f32>) -> f32",
    "toy.func @f() {\n    toy.end\n  }",
    "toy.func public @f(%arg0: i32 {toy.x = 1 : i32}, %arg1: f32) attributes {a = false, toy.b} {\n"
    "    toy.end\n  }",
    "toy.func @f(%arg0: i32) -> (i32 {toy.y}, i32) {\n    toy.end %arg0, %arg0 : i32, i32\n  }",
    'toy.func @"odd name"(%arg0: i32) -> i32 {\n    toy.end %arg0 : i32\n  }',
    "toy.func @f(%arg0: i1) {\n    cf.cond_br %arg0, ^bb1, ^bb2\n  ^bb1:  // pred: ^bb0\n    toy.end\n"
    "  ^bb2:  // pred: ^bb0\n    toy.end\n  }",
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions(function, context):
    text = f"module {{\n  {function}\n}}\n"
    assert assembly.print_module(assembly.parse(text, context)) == text


def test_locations_survive(context):
    text = """#loc = loc("kernel.py":3:0)
#loc2 = loc("x"(#loc))
module {
  toy.func @f(%x: i32 loc("x"(#loc))) {
    %y = toy.add %x, %x : i32 loc(#loc3)
    toy.end loc(#loc)
  } loc(#loc)
} loc(#loc)
#loc1 = loc("kernel.py":4:10)
#loc3 = loc("y"(callsite(#loc1 at #loc)))
"""
    printed = assembly.print_module(assembly.parse(text, context), locations=True)
    again = assembly.print_module(assembly.parse(printed, context), locations=True)
    assert printed == again
    assert "toy.func @f(%x: i32 loc(" in printed and "%y = toy.add %x, %x : i32 loc(" in printed
    assert 'loc("kernel.py":4:10)' in printed and "callsite(" in printed


def test_names_can_be_left_out(context):
    parsed = assembly.parse(module('%0 = toy.add %arg0, %arg0 : i32 loc("y"("a.py":1:2))'), context)
    assert "%y = toy.add" in assembly.print_module(parsed)
    assert "%0 = toy.add" in assembly.print_module(parsed, names=False)


def test_lines_stay_where_they_are(context):
    source = """// toy.add in a comment, "and a quote
module { toy.func @f(
    %a: i32,
    %b: i32) attributes {
      note = "toy.add { "
    } {
  %0 = toy.add %a,
       %b mode = exact
       : i32
  %1 = arith.addi %0, %a : i32 toy.end }
}
"""
    generic = assembly.to_generic(source)
    assert generic.count("\n") == source.count("\n")
    assert generic.splitlines()[9].startswith("  %1 = arith.addi %0, %a : i32 ")
    assembly.parse(source, context)


def test_text_of_other_dialects_is_left_alone():
    source = (
        "func.func @f(%toy.add: i32) {\n  func.call @toy.add(%toy.add) {toy.odd = 1} : (i32) -> ()\n return }"
    )
    assert assembly.to_generic(source, [Toy]) == source
    assert assembly.to_generic(source, []) == source


ERRORS = [
    ("%0 = toy.ad %arg0, %arg0 : i32", 10, "there is no operation toy.ad", "did you mean toy.add"),
    ("%0 = toy.add %arg0 %arg0 : i32", 24, "expected `,`", "the form is: $a `,` $b"),
    ("%0 = toy.add %arg0, : i32", 25, "expected operand b", ""),
    ("%0 = toy.add %arg0, %arg0 : ", 33, "expected the type of out", ""),
    ("%0 = toy.add %arg0, %arg0 mode = slow : i32", 38, "expected one of fast, exact", ""),
    ("%0 = toy.add %arg0, %arg0 mod = fast : i32",
     31, "`exact` or `mode` or `size` or {attributes} or `:`", ""),
    ("toy.call f() : () -> ()", 14, "expected attribute callee", ""),
    ("toy.call @f() : ()", 21, "expected a function type", ""),
    ("toy.region %arg0", 5, "toy.region has no custom form", "generic form"),
    ('"toy.ad"(%arg0) : (i32) -> ()', 5, "there is no operation toy.ad", "toy.add"),
    ('"toy.end"(%arg0) (i32) -> ()', 22, "expected {attributes} or `: (types) -> types`", ""),
    ('"toy.region"(%arg0) <{axis = 1 : i32}> ({ : (i32) -> ()', 44, "this region is never closed", "`})`"),
    ("%0 = arith.addi %arg0, %nothing : i32", 28, "use of undeclared SSA value name", ""),
    ("%0 = toy.add %arg0, %nothing : i32", 10, "use of undeclared SSA value name", ""),
    (f"toy.call @f({', '.join(['%arg0'] * (AT_MOST + 1))}) : ({', '.join(['i32'] * (AT_MOST + 1))}) -> ()",
     5, f"{AT_MOST + 1} values; at most {AT_MOST}", ""),
]  # fmt: skip


@pytest.mark.parametrize("line, column, message, fix", ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors_say_where_and_what(line, column, message, fix, context):
    with pytest.raises(ParseError) as caught:
        assembly.parse(module(line), context, name="file.mlir")
    assert caught.value.message.startswith(f"file.mlir:3:{column}: ")
    assert message in caught.value.message
    assert fix in (caught.value.fix or "")
    source, mark = caught.value.message.splitlines()[1:3]
    assert source == f"    {line}".rstrip() and mark == " " * (column - 1) + "^"


FUNCTION_ERRORS = [
    ("toy.func f() {", "expected [public|private] @name(arguments)"),
    ("toy.func @f(%a) {", "expected an argument, %name: type"),
    ("toy.func @f(i32) { toy.end }", "needs a name for each argument"),
    ("toy.func @f(%a: i32", "expected `,` or `)`"),
    ("toy.func @f() {", "the body of @f is never closed"),
    ("toy.func @f() -> {", "expected a result type"),
]


@pytest.mark.parametrize("text, message", FUNCTION_ERRORS)
def test_errors_of_functions(text, message, context):
    with pytest.raises(ParseError) as caught:
        assembly.parse(text, context)
    assert caught.value.message.startswith("-:1:") and message in caught.value.message


def test_a_verifiers_error_comes_through_with_its_place(context):
    with pytest.raises(CompileError) as caught:
        assembly.parse(module("%0 = toy.add %arg0, %arg0 size = -1 : i32"), context)
    assert caught.value.fix == "use 0 or more" and caught.value.place.line == 3 and caught.value.kernel == "f"


def test_an_error_in_located_text_is_shown_at_its_location(context):
    line = '%0 = "toy.add"(%arg0, %arg1) : (i32, f32) -> i32 loc("kernel.py":8:4)'
    with pytest.raises(CompileError) as caught:
        assembly.parse(module(line), context)
    assert (caught.value.place.filename, caught.value.place.line) == ("kernel.py", 8)


def test_loading_is_idempotent_and_works_in_many_contexts(context):
    with context:
        Toy.load()
    with ir.Context() as other:
        Toy.load()
        parsed = assembly.parse(module("%0 = toy.add %arg0, %arg0 : i32"), other)
        assert isinstance(parsed.body.operations[0].body.blocks[0].operations[0], AddOp)


def test_keywords_and_numbers(context):
    parsed = assembly.parse(module("%0 = toy.add %arg0, %arg0 mode = exact : i32"), context)
    op = parsed.body.operations[0].body.blocks[0].operations[0]
    assert op.mode.keyword == "exact" and op.mode.value == 7 and op.size is None and op.exact is None
    with context:
        op.operation.attributes["mode"] = Mode.of(3)
        with pytest.raises(CompileError, match="Mode has no value 3"):
            op.mode.keyword  # noqa: B018


@pytest.mark.parametrize(
    "bad", ["$a `,", "(`x` $a)?", "frob($a)", "type(", "oilist(`a` $a", "custom<", "$a ^^ )"]
)
def test_a_bad_notation_is_a_bug(bad):
    with pytest.raises(AssertionError, match="assembly format"):
        notation.parse(bad)


def test_a_form_must_state_every_type(context):
    class Unstated(Dialect, name="unstated"):
        pass

    class OneOp(Unstated.Operation, name="one"):
        a: ext.Operand[Any]
        assembly = "$a attr-dict"

    with pytest.raises(AssertionError, match="nothing states the type of a"):
        assembly.to_generic("unstated.one %a", [Unstated])
