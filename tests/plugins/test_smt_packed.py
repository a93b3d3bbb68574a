"""The packed attention at the `linalg` stage: what moves elements, and what exists in full."""

import re
import sys
from pathlib import Path

import pytest

from vertebra.core.compile import render
from vertebra.core.hooks import cores

from ..lowering.plugged import plugged
from .kernel_text import ttir

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import attention as plain_attention
import packed_attention

pytestmark = pytest.mark.filterwarnings("ignore:tl.make_block_ptr is deprecated")
BLOCK_M, BLOCK_N = 64, 32


def attention(stage: str, *, head: int, causal: bool, element: str, packed: bool = True) -> str:
    pointers = dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "out_ptr"), f"*{element}")
    numbers = {"stride_head": "i32", "stride_row": "i32", "length": "i32", "scale_log2e": "fp32"}
    constants = {"HEAD": head, "BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N, "CAUSAL": causal}
    kernel = plain_attention.attention_kernel
    if packed:
        kernel = packed_attention.packed_attention_kernel
        constants |= {"MICRO_M": 8, "MICRO_N": 16, "MICRO_K": 8, "HYBRID": False}
    with plugged("xsmt"):
        return render(ttir(kernel, {**pointers, **numbers}, **constants), stage, cores()["host"])


def sources(text: str) -> dict[str, tuple[str, list[str]]]:
    """Value -> (operation, operands), for all operations with a result."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*(%[\w]+)(?::\d+)? = ([\w.]+) (.*)", line)
        if match:
            found[match[1]] = (match[2], re.findall(r"%[\w]+", match[3]))
    return found


@pytest.mark.parametrize("head", [64, 128, 256, 512])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("element", ["fp16", "bf16", "fp32"])
def test_no_unpack_is_packed_again(head, causal, element):
    """Two products; each operand packed once, the scores and the result unpacked once."""
    text = attention("linalg", head=head, causal=causal, element=element)
    made = sources(text)
    operations = [name for name, _ in made.values()]
    assert operations.count("linalg.mmt4d") == 2
    assert operations.count("linalg.unpack") == 2 and operations.count("linalg.pack") == 4
    packs = [operands[0] for name, operands in made.values() if name == "linalg.pack"]
    assert not [value for value in packs if made[value][0] == "linalg.unpack"]


def buffers(text: str) -> list[str]:
    """The shapes of all buffers, in order of size."""
    return sorted(re.findall(r"memref\.alloc\(\).* : memref<((?:\d+x)+\w+)", text))


def test_the_only_buffers_at_linalg_are_what_is_loaded():
    text = attention("linalg", head=128, causal=True, element="fp32")
    assert buffers(text) == ["128x32xf32", "32x128xf32", "64x128xf32"]  # k turned, v and q


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("element", ["fp16", "fp32"])
def test_packing_takes_no_buffer_that_plain_attention_does_not_have(causal, element):
    """The scores, and what products put their operands into, are there in both."""
    packed, plain = (
        attention("vector", head=128, causal=causal, element=element, packed=p) for p in (True, False)
    )
    assert buffers(packed) == buffers(plain)
