"""Narrow floats as the integers of their bits, once no arithmetic on them is left.

LLVM takes vectors of a float type that the core lacks apart, element by element, and
its own conversions of bf16 lose subnormals; integers of 16 bits it simply moves.
"""

import re

import numpy as np

from vertebra.core.abi import bf16_bits
from vertebra.core.mlir import ir
from vertebra.core.target import VectorUnit

NARROW = ("f16", "bf16")


def _bits(name: str, value: float) -> int:
    word = bf16_bits(value) if name == "bf16" else int(np.float16(value).view(np.uint16))
    return word - (1 << 16) if word >> 15 else word


class _Types:
    """Types with some float elements replaced by i16; remembers what it made."""

    def __init__(self, names: list[str]):
        self.names = names
        self.i16 = ir.IntegerType.get_signless(16)
        self._made: dict = {}

    def __call__(self, type):
        if type not in self._made:
            self._made[type] = self._convert(type)
        return self._made[type]

    def _convert(self, type):
        if isinstance(type, ir.ShapedType):
            if str(type.element_type) not in self.names:
                return type
            if isinstance(type, ir.VectorType):
                return ir.VectorType.get(type.shape, self.i16)
            if isinstance(type, ir.MemRefType):
                return ir.MemRefType.get(type.shape, self.i16, type.layout, type.memory_space)
            return ir.RankedTensorType.get(type.shape, self.i16)
        return self.i16 if str(type) in self.names else type


def floats_as_bits(module, unit: VectorUnit) -> None:
    """Replaces every float type that `unit` cannot convert by i16, in place."""
    names = [name for name in NARROW if name not in unit.conversion]
    text_has = str(module.operation.get_asm(large_elements_limit=4))
    if not any(name in text_has for name in names):
        return
    types = _Types(names)
    found = []

    def visit(op):
        found.append(op.operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    for op in found:
        _convert(op, types)
    for op in found:
        if op.name == "arith.bitcast" and op.operands[0].type == op.results[0].type:
            op.results[0].replace_all_uses_with(op.operands[0])
            op.erase()


def _convert(op, types: _Types) -> None:
    if op.name == "llvm.bitcast":
        return  # made by a micro-kernel, for an instruction that takes the very type
    if op.name == "arith.constant":
        _constant(op, types)
    elif op.name == "memref.global":
        type = types(op.attributes["type"].value)
        op.attributes["type"] = ir.TypeAttr.get(type)
        if "initial_value" in op.attributes:
            op.attributes["initial_value"] = _dense(op.attributes["initial_value"], types)
    elif op.name == "func.func":
        type = op.attributes["function_type"].value
        op.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get([types(t) for t in type.inputs], [types(t) for t in type.results])
        )
    for result in op.results:
        new = types(result.type)
        if new != result.type:
            result.set_type(new)
    for region in op.regions:
        for block in region.blocks:
            for argument in block.arguments:
                new = types(argument.type)
                if new != argument.type:
                    argument.set_type(new)


def _constant(op, types: _Types) -> None:
    attr = op.attributes["value"]
    if isinstance(attr, ir.FloatAttr) and str(attr.type) in types.names:
        op.attributes["value"] = ir.IntegerAttr.get(types.i16, _bits(str(attr.type), attr.value))
    elif isinstance(attr.type, ir.ShapedType):
        op.attributes["value"] = _dense(attr, types)


def _dense(attr, types: _Types):
    name = str(attr.type.element_type) if isinstance(attr.type, ir.ShapedType) else ""
    if name not in types.names:
        return attr
    new = types(attr.type)
    if attr.is_splat:
        value = ir.IntegerAttr.get(types.i16, _bits(name, attr.get_splat_value().value))
        return ir.DenseElementsAttr.get_splat(new, value)
    return ir.DenseElementsAttr.get(_words(attr, name).reshape(new.shape), type=new)


def _words(attr, name: str) -> np.ndarray:
    """The bits of every element, read from the text: the bindings give no element of a bf16 attribute."""
    text = str(attr).removeprefix("dense<").rpartition(">")[0].rpartition(">")[0]
    if text.startswith('"0x'):
        return np.frombuffer(bytes.fromhex(text.strip('"')[2:]), "<i2")
    numbers = [
        int(number, 16) if number.startswith("0x") else _bits(name, float(number))
        for number in re.findall(r"0x[0-9A-F]+|-?\d[\d.]*(?:e[+-]\d+)?", text)
    ]
    return np.array(numbers).astype(np.int16)
