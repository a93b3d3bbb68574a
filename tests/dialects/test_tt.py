"""Every operation of `tt`, as stock Triton prints it, there and back; and what the verifiers refuse."""

import re

import kernels
import pytest

from vertebra.core import assembly
from vertebra.core.errors import CompileError, VertebraError
from vertebra.core.mlir import ir
from vertebra.dialects import tt
from vertebra.dialects.tt import Tt


@pytest.fixture(scope="module")
def context():
    context = ir.Context()
    with context:
        Tt.load()
    return context


def test_the_module_has_every_operation(context):
    found = {
        name for name, kind in vars(tt).items() if name.endswith("Op") and hasattr(kind, "OPERATION_NAME")
    }
    assert {op.__name__ for op in Tt.operations} == found


def normal(text: str) -> list[str]:
    """Lines without what may differ: names of values and numbers of location aliases; aliases sorted."""
    text = re.sub(r"#loc\d+", "#loc", re.sub(r"%[\w.-]+", "%", text))
    lines = text.splitlines()
    return sorted(x for x in lines if x.startswith("#loc")) + [x for x in lines if not x.startswith("#loc")]


def unlocated(text: str) -> list[str]:
    """Normal lines without locations."""
    return [re.sub(r" ?loc\(.*?\)", "", line) for line in normal(text) if not line.startswith("#loc")]


def operations(op):
    """Every operation below `op`."""
    for region in op.operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield inner
                yield from operations(inner)


CASES = [
    pytest.param(n, o, id=f"{n}-{'clean' if o else 'raw'}") for n in kernels.KERNELS for o in (True, False)
]


@pytest.mark.parametrize("name, optimized", CASES)
def test_round_trip(name, optimized, context):
    source = kernels.ttir(name, optimized)
    printed = assembly.print_module(assembly.parse(source, context), locations=True)
    wanted = kernels.reprinted(source)
    assert normal(kernels.reprinted(printed)) == normal(wanted)
    if "tt.split" not in source:  # Triton has its own names for the two results
        assert normal(printed) == normal(source)


@pytest.mark.parametrize("name", kernels.KERNELS)
def test_printing_what_was_printed_changes_nothing(name, context):
    once = assembly.print_module(assembly.parse(kernels.ttir(name), context), locations=True)
    assert assembly.print_module(assembly.parse(once, context), locations=True) == once


def test_the_kernels_use_every_operation(context):
    seen = set()
    for name in kernels.KERNELS:
        for optimized in (True, False):
            module = assembly.parse(kernels.ttir(name, optimized), context)
            seen |= {op.operation.name for op in operations(module)}
    assert {op.OPERATION_NAME for op in Tt.operations} <= seen


def test_enumerations_agree_with_triton():
    """Triton prints the number of an enumeration where its form has none: so it tells keyword and number."""
    generic = kernels.reprinted(
        """tt.func @f(%p: !tt.ptr<i32>, %v: i32, %m: i1) {
             %r = "tt.atomic_rmw"(%p, %v, %m) <{atomic_rmw_op = 9 : i32, scope = 2 : i32, sem = 3 : i32}>
               : (!tt.ptr<i32>, i32, i1) -> i32
             %l = "tt.load"(%p) <{cache = 7 : i32, evict = 3 : i32,
               operandSegmentSizes = array<i32: 1, 0, 0>}>
               : (!tt.ptr<i32>) -> i32
             tt.return
           }"""
    )
    assert f"{tt.RMWOp.keywords[9]}, {tt.MemSemantic.keywords[3]}, {tt.MemSyncScope.keywords[2]}" in generic
    hints = f"cacheModifier = {tt.CacheModifier.keywords[7]} evictionPolicy = {tt.EvictionPolicy.keywords[3]}"
    assert hints in generic


ENUMS = [
    (tt.RMWOp, "atomic_rmw_op = {}, scope = 1 : i32, sem = 1 : i32", "tt.atomic_rmw", "(%p, %i, %m)"),
    (tt.MemSemantic, "atomic_rmw_op = 1 : i32, scope = 1 : i32, sem = {}", "tt.atomic_rmw", "(%p, %i, %m)"),
    (tt.MemSyncScope, "atomic_rmw_op = 1 : i32, scope = {}, sem = 1 : i32", "tt.atomic_rmw", "(%p, %i, %m)"),
    (tt.CacheModifier, "cache = {}, operandSegmentSizes = array<i32: 1, 0, 0>", "tt.load", "(%p)"),
    (tt.EvictionPolicy, "evict = {}, operandSegmentSizes = array<i32: 1, 0, 0>", "tt.load", "(%p)"),
    (tt.ProgramDim, "axis = {}", "tt.get_program_id", "()"),
    (tt.RoundingMode, "rounding = {}", "tt.fp_to_fp", "(%f)"),
    (tt.PropagateNan, "propagateNan = {}", "tt.clampf", "(%f, %f, %f)"),
    (tt.InputPrecision, "inputPrecision = {}", "tt.dot", "(%t, %t, %t)"),
    (tt.DescriptorReduceKind, "kind = {}", "tt.descriptor_reduce", "(%d, %t, %i, %i)"),
]
TYPES = {
    "%p": "!tt.ptr<i32>", "%i": "i32", "%m": "i1", "%f": "f32", "%t": "tensor<16x16xf32>",
    "%d": "!tt.tensordesc<tensor<16x16xf32>>",
}  # fmt: skip
RESULTS = {"tt.fp_to_fp": "f16", "tt.clampf": "f32", "tt.dot": TYPES["%t"], "tt.descriptor_reduce": "()"}


@pytest.mark.parametrize("enum, entry, name, operands", ENUMS, ids=[e[0].__name__ for e in ENUMS])
def test_every_keyword_stands_for_tritons_number(enum, entry, name, operands, context):
    arguments = ", ".join(f"{v}: {t}" for v, t in TYPES.items())
    types = ", ".join(TYPES[v] for v in re.findall(r"%\w", operands))
    lines = [
        f'"{name}"{operands} <{{{entry.format(f"{value} : i32")}}}> : ({types}) -> {RESULTS.get(name, "i32")}'
        for value in enum.cases.values()
    ]
    body = "".join(
        f"  {line if line.endswith('()') else f'%r{i} = {line}'}\n" for i, line in enumerate(lines)
    )
    source = f"tt.func @f({arguments}) {{\n{body}  tt.return\n}}\n"
    ours = assembly.print_module(assembly.parse(source, context))
    assert unlocated(kernels.reprinted(ours)) == unlocated(kernels.reprinted(source))


def first(context, text: str, arguments: str = ""):
    """The first operation of a function with this body."""
    module = assembly.parse(f"tt.func @f({arguments}) {{\n{text}\ntt.return\n}}", context)
    first.module = module  # operations die with it
    return module.body.operations[0].body.blocks[0].operations[0]


def test_accessors_of_optional_parts(context):
    arguments = "%p: tensor<8x!tt.ptr<f32>>, %m: tensor<8xi1>, %o: tensor<8xf32>"
    load = first(context, "%x = tt.load %p, %m, %o cacheModifier = cg : tensor<8x!tt.ptr<f32>>", arguments)
    assert isinstance(load, tt.LoadOp)
    assert [v.type for v in (load.ptr, load.mask, load.other)] == [v.type for v in load.operands]
    assert load.cache.keyword == "cg" and load.evict.keyword == "evict_normal"
    assert load.padding is None and list(load.boundaryCheck) == [] and not load.isVolatile.value
    plain = first(context, "%x = tt.load %p : tensor<8x!tt.ptr<f32>>", arguments)
    assert plain.mask is None and plain.other is None and plain.cache.keyword == "none"


def test_accessors_of_lists_and_types(context):
    pointer = first(
        context,
        "%q = tt.make_tensor_ptr %p, [%n, %n], [%n, %n], [%i, %i] {order = array<i32: 1, 0>}"
        " : <tensor<4x8xf16>>",
        "%p: !tt.ptr<f16>, %n: i64, %i: i32",
    )
    assert len(pointer.shape) == len(pointer.strides) == len(pointer.offsets) == 2
    assert [str(v.type) for v in pointer.offsets] == ["i32", "i32"] and list(pointer.order) == [1, 0]
    assert pointer.result.type.is_block and list(pointer.result.type.pointee.shape) == [4, 8]
    assert str(pointer.base.type.pointee) == "f16" and not pointer.base.type.is_block


def test_accessors_of_mixed_types(context):
    source = """%r:2 = "tt.reduce"(%a, %b) <{axis = 0 : i32}> ({
    ^bb0(%x: f32, %i: i32, %y: f32, %j: i32):
      tt.reduce.return %x, %j : f32, i32
    }) : (tensor<8xf32>, tensor<8xi32>) -> (f32, i32)"""
    reduce = first(context, source, "%a: tensor<8xf32>, %b: tensor<8xi32>")
    assert [str(v.type) for v in reduce.srcs] == ["tensor<8xf32>", "tensor<8xi32>"]
    assert [str(v.type) for v in reduce.result] == ["f32", "i32"]
    assert [str(v.type) for v in reduce.combineOp.blocks[0].operations[0].result] == ["f32", "i32"]


def test_operations_can_be_built(context):
    function = assembly.parse("tt.func @f(%p: !tt.ptr<f32>) {\n tt.return\n}", context)
    block = function.body.operations[0].body.blocks[0]
    with context, ir.Location.unknown(), ir.InsertionPoint.at_block_begin(block):
        f32 = ir.F32Type.get()
        loaded = tt.LoadOp(block.arguments[0], f32, cache="cg", isVolatile=True)
        tt.StoreOp(block.arguments[0], loaded.result, boundaryCheck=())
        tt.PrintOp("text", False, [loaded.result], [1])
        tt.GetProgramIdOp("y", ir.IntegerType.get_signless(32))
    function.operation.verify()
    assert assembly.print_module(function).splitlines()[2:6] == [
        "    %0 = tt.load %arg0 cacheModifier = cg {isVolatile = true} : !tt.ptr<f32>",
        "    tt.store %arg0, %0 : !tt.ptr<f32>",
        '    tt.print "text" {hex = false, isSigned = array<i32: 1>} : %0 : f32',
        "    %1 = tt.get_program_id y : i32",
    ]


def test_the_default_address_space_may_be_stated(context):
    store = first(context, "tt.store %p, %x : !tt.ptr<f32, 1>", "%p: !tt.ptr<f32, 1>, %x: f32")
    assert str(store.ptr.type) == "!tt.ptr<f32>"


def test_descriptors_of_signed_integers_load_signless_ones(context):
    load = first(
        context,
        "%x = tt.descriptor_load %d[%i] : !tt.tensordesc<tensor<8xui32>> -> tensor<8xi32>",
        "%d: !tt.tensordesc<tensor<8xui32>>, %i: i32",
    )
    assert str(load.desc.type.block) == "tensor<8xi32>" and load.desc.type.is_unsigned


REFUSED = [
    ("tt.addptr %P, %i : tensor<8x!tt.ptr<f32>>, i32", "the pointer is 8, the offset scalar"),
    ('"tt.load"(%P) <{operandSegmentSizes = array<i32: 1, 0, 0>}>'
     ' : (tensor<8x!tt.ptr<f32>>) -> tensor<4xf32>',
     "the result is tensor<4xf32>, the pointer is to tensor<8xf32>"),
    ("tt.load %P {boundaryCheck = array<i32: 0>} : tensor<8x!tt.ptr<f32>>", "which carries no shape"),
    ("tt.load %B {boundaryCheck = array<i32: 2>} : !tt.ptr<tensor<4x8xf32>>", "on a block of rank 2"),
    ('"tt.store"(%P, %x) : (tensor<8x!tt.ptr<f32>>, tensor<4x8xf32>) -> ()', "the value is tensor<4x8xf32>"),
    ('"tt.store"(%p, %f, %v) : (!tt.ptr<f32>, f32, tensor<8xi32>) -> ()', "the mask is tensor<8xi32>"),
    ("tt.make_range {end = 8 : i32, start = 8 : i32} : tensor<8xi32>", "from 8 to 8 is empty"),
    ("tt.make_range {end = 8 : i32, start = 0 : i32} : tensor<4xi32>", "it has to be 8"),
    ("tt.splat %f : f32 -> tensor<8xi32>", "element types differ: f32, i32"),
    ("tt.splat %v : tensor<8xi32> -> tensor<8x8xi32>", "is not a scalar"),
    ("tt.expand_dims %v {axis = 2 : i32} : tensor<8xi32> -> tensor<8x1xi32>", "axis 2 of 2 dimensions"),
    ("tt.expand_dims %v {axis = 0 : i32} : tensor<8xi32> -> tensor<8x1xi32>", "it has to be 1x8"),
    ("tt.broadcast %x : tensor<4x8xf32> -> tensor<8x8xf32>", "4x8 does not broadcast to 8x8"),
    ("tt.reshape %x : tensor<4x8xf32> -> tensor<16xf32>", "4x8 has 32 elements, 16 has 16"),
    ("tt.cat %v, %v : tensor<8xi32> -> tensor<8xi32>", "two of 8 do not make 8"),
    ("tt.join %v, %v : tensor<8xi32> -> tensor<2x8xi32>", "it has to be 8x2"),
    ("tt.split %x : tensor<4x8xf32> -> tensor<4xf32>", "the last dimension of 4x8 is not 2"),
    ("tt.trans %x {order = array<i32: 0, 0>} : tensor<4x8xf32> -> tensor<4x8xf32>", "is not a permutation"),
    ("tt.trans %x {order = array<i32: 1, 0>} : tensor<4x8xf32> -> tensor<4x8xf32>", "it has to be 8x4"),
    ("tt.unsplat %v : tensor<8xi32>", "8 has more than one element"),
    ("tt.gather %x[%v] {axis = 0 : i32} : (tensor<4x8xf32>, tensor<8xi32>) -> tensor<8xf32>",
     "do not fit 4x8"),
    ("tt.dot %x, %x, %x : tensor<4x8xf32> * tensor<4x8xf32> -> tensor<4x8xf32>", "a is 4x8 and b is 4x8"),
    ("tt.advance %B, [%i] : <tensor<4x8xf32>>", "1 offsets for"),
    ("tt.make_tensor_ptr %p, [%n], [%n], [%i] {order = array<i32: 1>} : <tensor<4xf32>>",
     "is not a permutation"),
    ("tt.make_tensor_ptr %p, [%n], [%n], [] {order = array<i32: 0>} : <tensor<4xf32>>",
     "0 offsets for a block"),
    ("tt.atomic_rmw add, relaxed, gpu, %p, %i : (!tt.ptr<f32>, i32) -> i32", "the value is i32"),
    ("tt.descriptor_load %d[%i] : !tt.tensordesc<tensor<4x8xf32>> -> tensor<4x8xf32>",
     "1 indices for a block"),
    ("tt.descriptor_load %d[%i, %i] : !tt.tensordesc<tensor<4x8xf32>> -> tensor<4xf32>",
     "does not hold a block"),
    ('tt.print "x" {hex = false, isSigned = array<i32>} : %i : i32',
     "isSigned has 0 entries for 1 arguments"),
    ('"tt.reduce"(%v) <{axis = 1 : i32}> ({^bb0(%a: i32, %b: i32): tt.reduce.return %a : i32})'
     " : (tensor<8xi32>) -> i32", "axis 1 of 1 dimensions"),
    ('"tt.reduce"(%v) <{axis = 0 : i32}> ({^bb0(%a: i32): tt.reduce.return %a : i32})'
     ' : (tensor<8xi32>) -> i32',
     "it has to take (i32, i32)"),
    ('"tt.scan"(%v) <{axis = 0 : i32, reverse = false}> ({^bb0(%a: i32, %b: i32): tt.scan.return %a : i32})'
     " : (tensor<8xi32>) -> tensor<4xi32>", "it has to be 8 of i32"),
]  # fmt: skip
ARGUMENTS = (
    "%P: tensor<8x!tt.ptr<f32>>, %p: !tt.ptr<f32>, %B: !tt.ptr<tensor<4x8xf32>>, %i: i32, %n: i64, %f: f32, "
    "%v: tensor<8xi32>, %x: tensor<4x8xf32>, %d: !tt.tensordesc<tensor<4x8xf32>>"
)


@pytest.mark.parametrize(
    "text, message", REFUSED, ids=[f"{i}-{r[0].split()[0]}" for i, r in enumerate(REFUSED)]
)
def test_verifiers_say_what_is_wrong(text, message, context):
    with pytest.raises(CompileError) as caught:
        first(context, text if text.endswith("-> ()") or "print" in text else _named(text), ARGUMENTS)
    assert message in str(caught.value)
    assert caught.value.place.line == 2 and caught.value.kernel == "f"


def _named(text: str) -> str:
    return f"%r, %s = {text}" if "split" in text else f"%r = {text}"


@pytest.mark.parametrize(
    "text, message",
    [
        ('%r = "tt.descriptor_load"(%i) : (i32) -> tensor<4xf32>', "tt.descriptor_load: desc is i32"),
        ('%r = "tt.splat"(%i) : (i32) -> i32', "expected base type 'builtin.tensor'"),
        ('%r = "tt.get_program_id"() {axis = 0 : i32} : () -> i64', "expected 'i32' but got 'i64'"),
    ],
)
def test_a_type_that_the_declaration_forbids(text, message, context):
    with pytest.raises(VertebraError) as caught:
        first(context, text, "%i: i32")
    assert message in str(caught.value) and "-:2:" in str(caught.value)
