"""The dialect of Triton itself: its types, its enumerations, and functions on both.

Source: Triton 3.7.1, whose printed IR is the reference for every name and number here.
"""

import math
import re
from functools import lru_cache
from typing import Any

from vertebra.core.attributes import EnumAttr
from vertebra.core.dialect import Dialect
from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir


class Tt(Dialect, name="tt"):
    """What a kernel does with pointers, blocks and programs; loops and arithmetic are upstream dialects."""

    # The address space 1 is the default, and the one that kernels use: memory of the device.
    spellings = ((re.compile(r"(!tt\.ptr<[^<>,]+(?:<[^<>]*>)?), 1>"), r"\1>"),)


class PtrType(Tt.Type, name="ptr"):
    """A pointer: !tt.ptr<f32> to a scalar, !tt.ptr<tensor<64x32xf16>> to a block of a tensor."""

    pointee_type: Any

    @property
    def pointee(self) -> ir.Type:
        """What it points to."""
        return ir.TypeAttr(self.pointee_type).value

    @property
    def is_block(self) -> bool:
        """Whether it points to a block, so that it carries shape, strides and offsets."""
        return isinstance(self.pointee, ir.RankedTensorType)


class TensorDescType(Tt.Type, name="tensordesc"):
    """A descriptor of a tensor in memory, read and written in blocks: !tt.tensordesc<tensor<64x32xf16>>.

    Integers in it are signed or unsigned, tensor<8xsi32>; those that are loaded are neither.
    """

    block_type: Any

    @property
    def block(self) -> ir.RankedTensorType:
        """The type of one block, as it is loaded."""
        stated = ir.TypeAttr(self.block_type).value
        element = stated.element_type
        if isinstance(element, ir.IntegerType) and not element.is_signless:
            return ir.RankedTensorType.get(
                stated.shape,
                ir.IntegerType.get_signless(element.width, self.context),
                loc=ir.Location.unknown(self.context),
            )
        return stated

    @property
    def is_unsigned(self) -> bool:
        """Whether its elements are unsigned integers, which matters for minimum and maximum."""
        element = ir.TypeAttr(self.block_type).value.element_type
        return isinstance(element, ir.IntegerType) and element.is_unsigned


class CacheModifier(EnumAttr, cases={"none": 1, "ca": 2, "cg": 3, "wb": 4, "cs": 5, "wt": 6, "cv": 7}):
    """Where a load or store looks for a copy; a hint."""


class EvictionPolicy(EnumAttr, cases={"evict_normal": 1, "evict_first": 2, "evict_last": 3}):
    """How long a cache should keep what was read or written; a hint."""


class PaddingOption(EnumAttr, cases={"zero": 1, "nan": 2, "inf": 3, "neg_inf": 4}):
    """What a load gives outside of the tensor.  Triton has the first two, SpacemiT's fork all."""


PADDING_VALUES = {"zero": 0.0, "nan": math.nan, "inf": math.inf, "neg_inf": -math.inf}


class MemSemantic(EnumAttr, cases={"relaxed": 1, "acquire": 2, "release": 3, "acq_rel": 4}):
    """The order that an atomic operation imposes on the accesses around it."""


class MemSyncScope(EnumAttr, cases={"gpu": 1, "cta": 2, "sys": 3}):
    """Who sees that order: all programs, one program, or the host too."""


class RMWOp(
    EnumAttr,
    cases={
        "and": 1, "or": 2, "xor": 3, "add": 4, "fadd": 5,
        "max": 6, "min": 7, "umax": 8, "umin": 9, "exch": 10,
    },
):  # fmt: skip
    """What an atomic read-modify-write does; fadd on floats, max and min on signed integers."""


class DescriptorReduceKind(
    EnumAttr, cases={"add": 1, "min": 2, "max": 3, "inc": 4, "dec": 5, "and": 6, "or": 7, "xor": 8}
):
    """What a reducing store to a descriptor does."""


class ProgramDim(EnumAttr, cases={"x": 0, "y": 1, "z": 2}):
    """A dimension of the grid."""


class RoundingMode(EnumAttr, cases={"rtz": 0, "rtne": 1}):
    """Towards zero, or to nearest with ties to even."""


class PropagateNan(EnumAttr, cases={"none": 0, "all": 0xFFFF}):
    """Whether a NaN operand makes the result NaN, or is ignored."""


class InputPrecision(EnumAttr, cases={"tf32": 0, "tf32x3": 1, "ieee": 2, "bf16x3": 3, "bf16x6": 4}):
    """How much of an f32 operand of a dot has to count."""


class ScaleDotElemType(
    EnumAttr, cases={"e4m3": 0, "e5m2": 1, "e2m3": 2, "e3m2": 3, "e2m1": 4, "bf16": 5, "fp16": 6}
):
    """The format of an operand of a scaled dot, which its type alone does not say for packed ones."""


# -- functions on the text of types, for `infer`

_DIMENSIONS = re.compile(r"tensor<((?:\d+x)*)")


@lru_cache(maxsize=1024)
def pointee_text(pointer: str) -> str:
    """'tensor<8x!tt.ptr<f32>>' -> 'tensor<8xf32>'; '!tt.ptr<f32>' -> 'f32'."""
    at = pointer.find("!tt.ptr<")
    if at == 0:
        return pointer[8:-1]
    return f"{pointer[:at]}{pointer[at + 8 : -2]}>"


@lru_cache(maxsize=1024)
def mask_text(pointer: str) -> str:
    """'tensor<8x!tt.ptr<f32>>' -> 'tensor<8xi1>'; '!tt.ptr<f32>' -> 'i1'."""
    return shape_text(pointee_text(pointer), "i1")


@lru_cache(maxsize=1024)
def shape_text(type_: str, element: str) -> str:
    """('tensor<8xf32>', 'i1') -> 'tensor<8xi1>'; ('f32', 'i1') -> 'i1'."""
    shape = _DIMENSIONS.match(type_)
    return f"tensor<{shape[1]}{element}>" if shape else element


@lru_cache(maxsize=1024)
def element_text(type_: str) -> str:
    """'tensor<8xf32>' -> 'f32'; 'f32' -> 'f32'."""
    shape = _DIMENSIONS.match(type_)
    return type_[shape.end() : -1] if shape else type_


@lru_cache(maxsize=1024)
def base_text(block_pointer: str) -> str:
    """'!tt.ptr<tensor<8xf32>>' -> '!tt.ptr<f32>'."""
    return f"!tt.ptr<{element_text(pointee_text(block_pointer))}>"


# -- functions on types, for verifiers and lowerings


def shape_of(value_or_type) -> list[int]:
    """The shape of a tensor; empty for a scalar."""
    type_ = getattr(value_or_type, "type", value_or_type)
    return type_.shape if isinstance(type_, ir.RankedTensorType) else []


def element_of(value_or_type) -> ir.Type:
    """The element type of a tensor; the type itself for a scalar."""
    type_ = getattr(value_or_type, "type", value_or_type)
    return type_.element_type if isinstance(type_, ir.RankedTensorType) else type_


def value_type_of(pointer) -> ir.Type:
    """What a load through `pointer` gives: of one pointer, a tensor of them, or a block pointer."""
    type_ = pointer.type
    element = element_of(type_)
    if not isinstance(element, PtrType):
        raise CompileError(
            f"{type_} is not a pointer", at=pointer.owner if hasattr(pointer, "owner") else None
        )
    if isinstance(type_, ir.RankedTensorType):
        return ir.RankedTensorType.get(type_.shape, element.pointee, loc=pointer.location)
    return element.pointee


def shown(shape) -> str:
    """[4, 8] -> '4x8'; a scalar's empty shape -> 'scalar'."""
    return "x".join(map(str, shape)) or "scalar"
