"""Rewriting by patterns: replacing, declining, failing."""

import pytest

from vertebra.core.errors import CompileError, Place, place_of
from vertebra.core.lower import Pattern, apply, pattern
from vertebra.core.mlir import arith, ir


@pytest.fixture(autouse=True)
def context():
    with ir.Context() as ctx, ir.Location.unknown():
        ctx.allow_unregistered_dialects = True
        yield ctx


def parse(body: str):
    return ir.Module.parse(
        f'func.func @k(%x: i32, %y: i32) {{\n{body}\n"some.use"(%r) : (i32) -> ()\nreturn }}'
    )


def names(module) -> list[str]:
    found = []

    def visit(op):
        found.append(op.name)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    assert module.operation.verify()
    return [name for name in found if name not in ("builtin.module", "func.func", "func.return", "some.use")]


ADD = "%r = arith.addi %x, %y : i32"


@pattern(arith.AddIOp)
def add_to_mul(op):
    return arith.muli(op.lhs, op.rhs)


def test_a_pattern_replaces_its_operations_wherever_they_are():
    inner = '"some.op"() ({ %b = arith.addi %x, %x : i32 }) : () -> ()\n'
    module = parse("%a = arith.addi %x, %y : i32\n" + inner + ADD)
    apply(module.operation, [add_to_mul])
    assert sorted(names(module)) == ["arith.muli", "arith.muli", "arith.muli", "some.op"]


def test_a_pattern_that_declines_leaves_everything_as_it_is():
    module = parse(ADD)
    before = str(module)
    apply(module.operation, [pattern(arith.AddIOp)(lambda op: None)])
    assert str(module) == before


def test_the_next_pattern_is_tried_after_one_declined_and_the_better_one_comes_first():
    tried = []

    def note(name, result):
        def build(op):
            tried.append(name)
            return result(op) if result else None

        return build

    module = parse(ADD)
    plain = pattern(arith.AddIOp)(note("plain", lambda op: arith.xori(op.lhs, op.rhs)))
    better = pattern(arith.AddIOp, benefit=5)(note("better", None))
    apply(module.operation, [plain, better])
    assert tried == ["better", "plain"]
    assert names(module) == ["arith.xori"]


def test_an_operation_can_be_replaced_by_a_value_that_was_there_already():
    module = parse(ADD)
    apply(module.operation, [pattern(arith.AddIOp)(lambda op: op.lhs)])
    assert names(module) == []


def test_what_a_pattern_made_is_not_visited():
    """Else this one would not end."""
    module = parse(ADD)
    apply(module.operation, [pattern(arith.AddIOp)(lambda op: arith.addi(op.rhs, op.lhs))])
    assert names(module) == ["arith.addi"]


def test_an_operation_with_several_results_is_replaced_by_as_many_values():
    module = parse('%r, %s = "some.two"(%x, %y) : (i32, i32) -> (i32, i32) "some.use"(%s) : (i32) -> ()')
    apply(module.operation, [pattern("some.two")(lambda op: [op.operands[1], op.operands[0]])])
    assert names(module) == []


def test_an_operation_without_results_is_replaced_by_nothing():
    module = parse('"some.effect"() : () -> ()\n' + ADD)
    apply(module.operation, [pattern("some.effect")(lambda op: [])])
    assert names(module) == ["arith.addi"]


def test_what_a_pattern_makes_is_where_its_operation_was():
    module = parse(ADD + ' loc("k.py":3:7)')
    apply(module.operation, [add_to_mul])
    made = module.body.operations[0].body.blocks[0].operations[0]
    assert made.operation.name == "arith.muli"
    assert place_of(made.location) == Place("k.py", 3, 7)


@pytest.mark.parametrize("error", [CompileError("no such tile", fix="use 4x8"), ZeroDivisionError("by zero")])
def test_an_exception_leaves_as_it_is(error):
    def build(op):
        raise error

    module = parse(ADD)
    with pytest.raises(type(error)) as caught:
        apply(module.operation, [pattern(arith.AddIOp)(build)])
    assert str(caught.value) == str(error)


def test_a_pattern_is_a_record():
    assert add_to_mul == Pattern(arith.AddIOp, add_to_mul.build, 1)
