"""Narrow floats as the integers of their bits: every operation that may hold one."""

import numpy as np
import pytest
import torch

from vertebra.core.context import context
from vertebra.core.mlir import ir
from vertebra.core.target import VectorUnit
from vertebra.lowering.float_bits import floats_as_bits

BARE = VectorUnit(256)
HALF = VectorUnit(256, conversion=frozenset({"f16", "f32", "f64"}))


@pytest.fixture(autouse=True)
def in_context():
    with context(), ir.Location.unknown():
        yield


def converted(text: str, unit: VectorUnit = BARE) -> str:
    module = ir.Module.parse(text)
    floats_as_bits(module, unit)
    assert module.operation.verify()
    return str(module)


def constant(type: str, value: str) -> np.ndarray:
    """The words that stand for a constant."""
    text = f"func.func @k() -> {type} {{ %c = arith.constant {value} : {type} return %c : {type} }}"
    module = ir.Module.parse(text)
    floats_as_bits(module, BARE)
    attr = module.body.operations[0].body.blocks[0].operations[0].operation.attributes["value"]
    if isinstance(attr, ir.IntegerAttr):
        return np.array([attr.value], np.int64).astype(np.uint16)
    if attr.is_splat:
        return np.array([attr.get_splat_value().value]).astype(np.uint16)
    return np.array(attr).astype(np.uint16).ravel()


VALUES = ["0.0", "-0.0", "1.0", "-2.5", "0.1", "65504.0", "5.9604645e-08", "-3.0e38", "1.0e-40"]
TORCH = {"f16": torch.float16, "bf16": torch.bfloat16}


def words(name: str, values: list[str]) -> np.ndarray:
    return torch.tensor([float(v) for v in values]).to(TORCH[name]).view(torch.int16).numpy().view(np.uint16)


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("value", VALUES)
def test_a_constant_keeps_its_bits(name, value):
    np.testing.assert_array_equal(constant(name, value), words(name, [value]))


@pytest.mark.parametrize("name, infinity, nan", [("f16", 0x7C00, 0x7E00), ("bf16", 0x7F80, 0x7FC0)])
def test_infinities_and_nan_keep_their_bits(name, infinity, nan):
    for word in (infinity, infinity | 0x8000, nan):
        assert constant(name, f"0x{word:04X}").tolist() == [word]


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("kind", ["vector<9x{}>", "tensor<9x{}>", "vector<3x3x{}>"])
def test_a_constant_of_many_keeps_their_bits(name, kind):
    rows = [f"[{', '.join(VALUES[r : r + 3])}]" for r in (0, 3, 6)]
    text = f"dense<[{', '.join(rows)}]>" if "3x3" in kind else f"dense<[{', '.join(VALUES)}]>"
    np.testing.assert_array_equal(constant(kind.format(name), text), words(name, VALUES))


@pytest.mark.parametrize("name", TORCH)
def test_a_constant_of_one_value_keeps_its_bits(name):
    np.testing.assert_array_equal(constant(f"vector<8x{name}>", "dense<-0.1>"), words(name, ["-0.1"]))


def test_functions_arguments_blocks_globals_and_buffers_change_their_type():
    text = converted("""
    memref.global "private" constant @table : memref<2xbf16> = dense<[1.0, -2.0]>
    func.func private @other(bf16) -> memref<?xbf16>
    func.func @k(%x: memref<?xbf16>, %v: vector<4xbf16>, %s: bf16, %n: index) -> bf16 {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %b = memref.alloc() : memref<4xbf16, strided<[2], offset: 1>>
      %t = memref.get_global @table : memref<2xbf16>
      %o = func.call @other(%s) : (bf16) -> memref<?xbf16>
      %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %s) -> bf16 {
        %l = memref.load %x[%i] : memref<?xbf16>
        scf.yield %l : bf16 }
      vector.store %v, %x[%c0] : memref<?xbf16>, vector<4xbf16>
      return %r : bf16
    }""")
    assert "bf16" not in text
    assert "strided<[2], offset: 1>" in text
    assert "dense<[16256, -16384]>" in text


def test_a_bitcast_to_the_integer_of_the_same_bits_disappears():
    text = converted("""func.func @k(%s: vector<4xbf16>) -> vector<4xi16> {
      %b = arith.bitcast %s : vector<4xbf16> to vector<4xi16>
      return %b : vector<4xi16> }""")
    assert "bitcast" not in text


@pytest.mark.parametrize("name, changes", [("f16", False), ("bf16", True)])
def test_what_the_unit_converts_stays(name, changes):
    source = f"func.func @k(%s: {name}) -> {name} {{ return %s : {name} }}"
    assert (name not in converted(source, HALF)) == changes


def test_other_types_stay():
    source = "func.func @k(%a: f32, %b: vector<4xf64>, %c: i16, %d: f8E5M2) { return }"
    assert converted(source) == str(ir.Module.parse(source))


@pytest.mark.parametrize("name", TORCH)
def test_a_large_constant_and_one_with_infinities_keep_their_bits(name):
    """MLIR prints the one as a block of bytes, and the others as hexadecimal numbers."""
    large = [str(i / 7) for i in range(150)]
    kind = f"vector<150x{name}>"
    np.testing.assert_array_equal(constant(kind, f"dense<[{', '.join(large)}]>"), words(name, large))
    special = [0x7FFF, 0xFFFF, 0x8001, 0x0000]
    text = f"dense<[{', '.join(f'0x{word:04X}' for word in special)}]>"
    assert constant(f"vector<4x{name}>", text).tolist() == special
