"""Calls that stand for operations become them, in order, with their attributes and places."""

import pytest
from plugged import plugged

from vertebra.core import assembly, hooks
from vertebra.core.context import context
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.lowering.calls_to_dialects import calls_to_dialects
from vertebra.lowering.operation_calls import decode, encode


@pytest.fixture
def dialects():
    with plugged("xsmt", "tle"):
        yield


def call(operation, operands, attributes, signature, arguments=""):
    """(call, declaration) of a function that stands for `operation`, as text."""
    symbol = '@"' + encode(operation, operands, attributes, signature).replace('"', "\\22") + '"'
    return f"tt.call {symbol}({arguments}) : {signature}", f"tt.func private {symbol}{_declared(signature)}"


def _declared(signature: str) -> str:
    inputs, _, outputs = signature.partition(" -> ")
    return inputs if outputs == "()" else f"{inputs} -> {outputs}"


def converted(body: str, *declarations: str):
    text = f"""
      tt.func public @k(%m: tensor<64x64xf32>, %i: i32, %n: i32) {{
        %zero = arith.constant 0 : i32
        {body}
        tt.return
      }}
    """ + "\n".join(dict.fromkeys(declarations))
    with context(), ir.Location.unknown():
        module = assembly.parse("module {" + text + "}", context(), name="-")
        calls_to_dialects(module, None, None)
        module.operation.verify()
        return module


def listed(module) -> list[ir.Operation]:
    """The operations of Triton's, our and the loop dialects; a loop or function before its body."""
    found = []

    def visit(op):
        found.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit, ir.WalkOrder.PRE_ORDER)
    return [op for op in found if op.name.split(".")[0] in ("xsmt", "tle", "tt", "scf")]


PACKED = {"shape": [32, 64], "packed_size": [8, 16]}
OFFSETS = {"src": None, "offsets": [None, None]}


def test_operands_and_attributes_go_to_their_fields(dialects):
    pack, pack_stub = call(
        "xsmt.pack", OFFSETS, PACKED, "(tensor<64x64xf32>, i32, i32) -> tensor<4x4x8x16xf32>", "%m, %i, %zero"
    )
    square = "(tensor<4x4x8x16xf32>, tensor<4x4x8x16xf32>) -> tensor<4x4x8x8xf32>"
    dot, dot_stub = call("xsmt.mmt4d", {"a": None, "b": None}, {}, square, "%p, %p")
    square = "(tensor<4x4x8x16xf32>, tensor<4x4x8x16xf32>, tensor<4x4x8x8xf32>) -> tensor<4x4x8x8xf32>"
    add, add_stub = call("xsmt.mmt4d", {"a": None, "b": None, "acc": None}, {}, square, "%p, %p, %d")
    module = converted(f"%p = {pack}\n%d = {dot}\n%e = {add}", pack_stub, dot_stub, add_stub)
    _, packed, first, second, _ = listed(module)
    assert packed.name == "xsmt.pack"
    assert list(packed.attributes["packed_size"]) == [8, 16] and list(packed.attributes["shape"]) == [32, 64]
    assert packed.opview.src.type == packed.operands[0].type and len(packed.opview.offsets) == 2
    assert first.opview.acc is None
    assert second.opview.acc == first.results[0]


def test_only_the_kernel_is_left(dialects):
    threads, stub = call("xsmt.get_num_of_thread", {}, {}, "() -> i32")
    module = converted(f"%a = {threads}\n%b = {threads}", stub)
    assert [op.name for op in module.body.operations] == ["tt.func"]
    names = [op.name for op in listed(module)]
    assert names == ["tt.func", "xsmt.get_num_of_thread", "xsmt.get_num_of_thread", "tt.return"]


def test_hints_become_attributes_of_their_kind(dialects):
    hints = {"tile": 4, "bare": None, "on": True, "why": "speed", "sizes": [1, 2]}
    hint, stub = call("xsmt.annotation", {"src": None}, hints, "(tensor<64x64xf32>) -> ()", "%m")
    _, found, _ = listed(converted(hint, stub))
    shown = {name: str(found.attributes[name]) for name in hints}
    assert shown == {
        "tile": "4 : i32",
        "bare": "unit",
        "on": "true",
        "why": '"speed"',
        "sizes": "array<i64: 1, 2>",
    }


@pytest.mark.parametrize("index, marked", [("%s", True), ("%turned", True), ("%i", False), ("%other", False)])
def test_a_mark_belongs_to_the_loop_whose_variable_it_has(dialects, index, marked):
    mark, stub = call("scf.for", {"index": None}, {"bind_sub_block": True}, "(i32) -> ()", index)
    module = converted(
        f"""scf.for %s = %zero to %n step %n : i32 {{
              %turned = arith.subi %n, %s : i32
              %other = arith.muli %i, %n : i32
              {mark}
            }}""",
        stub,
    )
    _, loop, *_ = listed(module)
    assert loop.name == "scf.for" and ("bind_sub_block" in loop.attributes) == marked
    assert "tt.call" not in [op.name for op in listed(module)]


@pytest.mark.parametrize("kind", ["i32", "tensor<64x64xf32>"])
def test_parallel_iterations_hand_on_tensors_only(dialects, kind):
    mark, stub = call("scf.for", {"index": None}, {"bind_sub_block": True}, "(i32) -> ()", "%s")
    value = "%i" if kind == "i32" else "%m"
    body = f"""%r = scf.for %s = %zero to %n step %n iter_args(%c = {value}) -> ({kind}) : i32 {{
                 {mark}
                 scf.yield %c : {kind}
               }}"""
    if kind == "i32":
        with pytest.raises(CompileError, match="hand on a value of type i32") as raised:
            converted(body, stub)
        assert "bind_sub_block=False" in raised.value.fix
    else:
        assert "bind_sub_block" in listed(converted(body, stub))[1].attributes


def test_other_calls_and_modules_without_any_stay(dialects):
    module = converted("%a = tt.call @f(%i) : (i32) -> i32", "tt.func private @f(i32) -> i32")
    assert [op.name for op in listed(module)] == ["tt.func", "tt.call", "tt.return", "tt.func"]


def test_an_operation_of_no_installed_plugin(monkeypatch):
    known = hooks.dialects()
    monkeypatch.setattr(hooks, "dialects", lambda: {n: d for n, d in known.items() if n != "xsmt"})
    threads, stub = call("xsmt.get_num_of_thread", {}, {}, "() -> i32")
    with pytest.raises(CompileError, match=r"kernel k: xsmt\.get_num_of_thread") as raised:
        converted(f"%a = {threads}", stub)
    assert "install the plugin xsmt" in raised.value.fix


def test_an_operation_that_the_dialect_lacks(dialects):
    wrong, stub = call("xsmt.nothing", {}, {}, "() -> i32")
    with pytest.raises(CompileError, match="dialect xsmt has no operation nothing"):
        converted(f"%a = {wrong}", stub)


def test_a_name_says_it_all():
    attributes = {"shape": [2, 3], "name": 'a "b" }#', "flag": None, "on": True}
    read = decode(encode("tle.x.y", {"a": 1, "b": [1, 2], "c": []}, attributes, "f32"))
    assert (read.dialect, read.operation, read.attributes) == ("tle", "x.y", attributes)
    assert read.fields(["p", "q", "r"]) == {"a": "p", "b": ["q", "r"], "c": []}
    assert encode("d.o", {}, {}, "f32") != encode("d.o", {}, {}, "f16")


@pytest.mark.parametrize("name", ["", "kernel", "d.o", "d.o(){}", "d.o(){}#123", "a.helper__i32"])
def test_other_names_say_nothing(name):
    assert decode(name) is None
