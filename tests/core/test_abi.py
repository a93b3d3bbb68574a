"""Slots of scalars, and the pieces of the binary interface that C code relies on."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

import vertebra.core.abi as abi
from vertebra.core.abi import bf16_bits, scalar_bits

INTEGERS = [
    ("i1", True, 1),
    ("i1", False, 0),
    ("u1", True, 1),
    ("i8", -1, 0xFFFF_FFFF_FFFF_FFFF),
    ("i8", 127, 127),
    ("u8", 255, 255),
    ("i16", -32768, 0xFFFF_FFFF_FFFF_8000),
    ("u16", 65535, 65535),
    ("i32", -2, 0xFFFF_FFFF_FFFF_FFFE),
    ("u32", 1 << 31, 1 << 31),
    ("i64", -(1 << 63), 1 << 63),
    ("u64", (1 << 64) - 1, (1 << 64) - 1),
    ("i32", np.int32(-7), 0xFFFF_FFFF_FFFF_FFF9),
    ("i64", torch.tensor(5), 5),
]


@pytest.mark.parametrize("name, value, bits", INTEGERS, ids=lambda x: str(x))
def test_integers(name, value, bits):
    assert scalar_bits(name, value) == bits


WIDTHS = {"i1": 8, "i8": 8, "i16": 16, "i32": 32, "i64": 64}


@pytest.mark.parametrize("name, width", WIDTHS.items())
def test_a_signed_integer_reads_back_at_its_own_width(name, width):
    lowest = 0 if name == "i1" else -(1 << (width - 1))
    slot = scalar_bits(name, lowest).to_bytes(8, "little")
    assert int.from_bytes(slot[: width // 8], "little", signed=True) == lowest


FLOATS = {
    "fp16": ("<e", np.float16),
    "fp32": ("<f", np.float32),
    "f32": ("<f", np.float32),
    "fp64": ("<d", np.float64),
}
VALUES = [0.0, -0.0, 1.0, -2.5, 0.1, 65504.0, 6e-8, float("inf"), float("-inf"), float("nan")]


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", VALUES)
def test_floats_are_at_the_low_end_of_their_slot(name, value):
    kind, dtype = FLOATS[name]
    slot = scalar_bits(name, value).to_bytes(8, "little")
    size = struct.calcsize(kind)
    assert slot[size:] == bytes(8 - size)
    np.testing.assert_array_equal(np.frombuffer(slot[:size], dtype)[0], dtype(value))
    assert struct.unpack(kind, slot[:size])[0] == dtype(value) or value != value
    assert scalar_bits(name, 1) == scalar_bits(name, 1.0)


@pytest.mark.parametrize("name", ["fp8", "f16", "*fp32", "index", ""])
def test_a_type_without_a_scalar_form_is_refused(name):
    with pytest.raises(KeyError):
        scalar_bits(name, 1)


@pytest.mark.parametrize("value", [2.5, np.float32(1), "3", None], ids=repr)
def test_what_is_no_integer_is_not_made_one(value):
    with pytest.raises(TypeError):
        scalar_bits("i32", value)


def test_bf16_rounds_as_torch_does():
    words = np.random.default_rng(3).integers(0, 1 << 32, 4000, dtype=np.uint64).astype(np.uint32)
    edges = [0, 0x80000000, 1, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x7F7F8000, 0x7F7F7FFF, 0x8000, 0x18000]
    halves = np.arange(0x3F80_0000, 0x3F84_0000, 0x4000, dtype=np.uint32)
    values = np.concatenate([words, np.array(edges, np.uint32), halves]).view(np.float32)
    values = values[~np.isnan(values)]
    expected = torch.from_numpy(values).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    np.testing.assert_array_equal([bf16_bits(float(v)) for v in values], expected)


@pytest.mark.parametrize("word", [0x7FC00000, 0x7F800001, 0xFF800001, 0xFFFFFFFF])
def test_a_bf16_nan_stays_a_quiet_nan(word):
    value = np.uint32(word).view(np.float32)
    bits = bf16_bits(value)
    assert bits & 0x7F80 == 0x7F80 and bits & 0x40 and bits >> 15 == word >> 31


def test_bf16_of_what_no_f32_holds_is_infinite():
    assert [bf16_bits(v) for v in (1e300, -1e300)] == [0x7F80, 0xFF80]


def test_the_c_side_aligns_scratch_as_the_interface_says():
    pool = (Path(abi.__file__).parent / "native" / "pool.c").read_text()
    assert re.search(rf"\b{abi.SCRATCH_ALIGNMENT}\b", pool)


def test_the_c_side_has_every_service_and_its_numbers():
    native = Path(abi.__file__).parent / "native"
    declared = (native / "services.h").read_text()
    assert set(re.findall(r"^\w+ (vertebra_\w+)\(", declared, re.MULTILINE)) == set(abi.SERVICES)
    assert f"VERTEBRA_BARRIER_BYTES = {abi.BARRIER_BYTES}," in declared
    assert f"VERTEBRA_FIRST_PHASE = {abi.FIRST_PHASE} " in declared
    assert {path.name for path in native.glob("*.c")} >= set(abi.SERVICE_SOURCES)


def test_the_runner_provides_every_service():
    loader = (Path(abi.__file__).parents[1] / "plugins" / "qemu" / "loader.c").read_text()
    assert set(re.findall(r"PROVIDED\((\w+)\),", loader)) == set(abi.UNDEFINED_ALLOWED)
