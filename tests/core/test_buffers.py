"""core/buffers.py: what is told of the memory of a launch's arguments."""

import numpy as np
import pytest
import torch

from vertebra.core import hooks
from vertebra.core.buffers import Arguments, check_aligned, element_bytes, overlap_check
from vertebra.core.errors import LaunchError
from vertebra.core.runtime import Binary, Slots

SAID = Arguments(("a", "n", "out"), (2,), engine=True)


@pytest.mark.parametrize("said", [Arguments(), SAID, Arguments(("", "x"), (0, 1)), Arguments((), (), True)])
def test_what_is_said_survives_as_text(said):
    assert Arguments.parse(said.text) == said


@pytest.mark.parametrize(
    "pointer, size",
    [("*fp32", 4), ("*i1", 1), ("*fp8e4nv", 1), ("*bf16", 2), ("*u64", 8), ("**fp16", 8), ("*i8", 1)],
)
def test_element_sizes(pointer, size):
    assert element_bytes(pointer) == size


def test_the_first_misaligned_pointer_is_named():
    signature = ("*fp32", "i32", "*fp64")
    check_aligned("k", signature, SAID, {0: 0x1004, 2: 0x1008})
    with pytest.raises(LaunchError) as raised:
        check_aligned("k", signature, SAID, {0: 0x1004, 2: 0x100C})
    error = raised.value
    assert "argument out of kernel k is misaligned: 0x100c is 4 bytes past a multiple of 8" in error.message
    assert "an element of fp64" in error.message and "a multiple of 8 bytes" in error.fix


@pytest.mark.parametrize("wrong", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("make", [np.frombuffer, torch.frombuffer], ids=["numpy", "torch"])
def test_the_packer_refuses_what_is_misaligned(make, wrong):
    kinds = (("*fp32", "float32", 4), ("*i16", "int16", 2), ("*i8", "int8", 1))
    memory = bytearray(64 + 16)
    raw = np.frombuffer(memory, np.uint8)
    start = -raw.__array_interface__["data"][0] % 16
    args = []
    for number, (_, name, size) in enumerate(kinds):
        offset = start + size - (number in wrong)
        dtype = getattr(torch, name) if make is torch.frombuffer else name
        args.append(make(memory, dtype=dtype, count=2, offset=offset) if number not in wrong else None)
        if args[-1] is None:
            args[-1] = raw[offset : offset + 2 * size].view(name)
    binary = Binary("k", b"", 0, tuple(kind for kind, *_ in kinds), hooks.cores()["host"], arguments=SAID)
    pack = Slots.of(binary).packer("")
    if not wrong:
        assert len(pack(args)) == 24
        return
    with pytest.raises(LaunchError, match=f"argument {('a', 'n')[wrong[0]]} of kernel k is misaligned"):
        pack(args)


def check(grid, args, signature=("*i8", "*i8", "*i32"), said=None) -> None:
    said = said or Arguments(("a", "b", "out"), (2,), engine=True)
    overlap_check(Binary("k", b"", 0, signature, hooks.cores()["host"], arguments=said))(grid, args)


def test_only_engines_that_store_are_checked():
    core = hooks.cores()["host"]
    for said in (Arguments((), (2,)), Arguments((), (), True)):
        assert overlap_check(Binary("k", b"", 0, ("*i8", "*i8", "*i32"), core, arguments=said)) is None
    said = Arguments((), (0,), True)
    assert overlap_check(Binary("k", b"", 0, ("*i8", "i32"), core, arguments=said)) is None


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_result_over_an_operand(library):
    memory = np.zeros(256, np.int8) if library == "numpy" else torch.zeros(256, dtype=torch.int8)
    words = np.int32 if library == "numpy" else torch.int32
    a, b, out = memory[:64], memory[64:128], memory[60:188].view(words)
    check((1, 1, 1), (a, b, out))  # one program reads in its own order
    check((2, 1, 1), (a[:60], b[60:], out[:16]))
    with pytest.raises(LaunchError) as raised:
        check((2, 1, 1), (a, b, out))
    assert "kernel k on grid (2, 1, 1) stores through argument out (i32" in raised.value.message
    assert "overlaps argument a (i8" in raised.value.message and "copy" in raised.value.fix


def test_work_in_place_is_the_same_address_and_type():
    memory = np.zeros(64, np.int32)
    kinds = ("*i32", "*i32", "*i32")
    check((4, 1, 1), (memory, memory[32:], memory[:32]), kinds)
    with pytest.raises(LaunchError, match="overlaps argument b"):
        check((4, 1, 1), (memory[:8], memory[8:], memory[16:]), kinds)
    with pytest.raises(LaunchError, match="overlaps argument a"):
        check((4, 1, 1), (memory.view(np.int8), memory.view(np.int8)[128:], memory[:32]))


def test_interleaved_slices_of_one_tensor_share_nothing():
    """q, k and v beside each other in every row, and a result that takes the place of a fourth."""
    memory = torch.zeros(16, 4, 8, dtype=torch.int32)
    kinds = ("*i32", "*i32", "*i32")
    check((4, 1, 1), (memory[:, 0], memory[:, 1], memory[:, 3]), kinds)
    with pytest.raises(LaunchError, match="overlaps argument b"):
        check((4, 1, 1), (memory[:, 0], memory[:, 2:], memory[:, 3]), kinds)


def test_of_two_results_each_pair_is_checked():
    memory = np.zeros(64, np.int32)
    said = Arguments(("a", "b", "out"), (1, 2), engine=True)
    with pytest.raises(LaunchError, match=r"stores through argument b .*overlaps argument out"):
        check((2, 1, 1), (np.zeros(4, np.int32), memory[:8], memory[4:]), ("*i32",) * 3, said)


def test_half_precision_addresses_and_empty_tensors():
    memory = torch.zeros(64, dtype=torch.bfloat16)
    kinds = ("*bf16", "*bf16", "*bf16")
    with pytest.raises(LaunchError, match=r"overlaps argument a \(bf16"):
        check((2, 1, 1), (memory[:32], memory[:0], memory[16:48]), kinds)
    check((2, 1, 1), (memory.data_ptr(), memory[:0], memory), kinds)  # nobody knows how long it is
