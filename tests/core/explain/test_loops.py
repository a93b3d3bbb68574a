"""The hot loop of assembly text, with a made-up instruction set."""

import re

import pytest

from vertebra.core.explain.loops import hot_loop
from vertebra.core.explain.places import Line
from vertebra.core.instruction import Instruction
from vertebra.core.roofline.machine_code import Kind

TEXT = """\
k:
    li a0, 3
.outer:
    li a1, 4
.copy:
    load t0
    store t0
    bnez a1, .copy
.inner:
    vload v0
    vfma v1, v0
    vadd v2, v1
    addi a1, -1
    bnez a1, .inner
    bnez a0, .outer
.shallow:
    vfma v1, v0
    vfma v1, v0
    vfma v1, v0
    bnez a0, .shallow
    ret
"""
KINDS = {
    "vload": Kind.LOAD,
    "load": Kind.LOAD,
    "store": Kind.STORE,
    "vfma": Kind.VECTOR | Kind.MULTIPLY_ADD,
    "vadd": Kind.VECTOR,
    "bnez": Kind.BRANCH,
    "ret": Kind.LEAVE,
}


class Reader:
    def read(self, mnemonic, operands):
        return KINDS.get(mnemonic, Kind.OTHER), 0

    def word(self, operands):
        return None


read = Reader()


def lines(text):
    return [Line(line) for line in text.splitlines()]


def test_the_deepest_loop_with_the_most_arithmetic_is_the_hot_one():
    loop = hot_loop(lines(TEXT), read, {})
    assert (loop.label, loop.first, loop.last, loop.depth) == (".inner", 8, 13, 2)
    assert loop.kinds == {
        "vector multiply-adds": 1,
        "other vector arithmetic": 1,
        "loads": 1,
        "branches": 1,
        "scalar and other": 1,
    }
    assert loop.instructions == 5 == sum(loop.mnemonics.values())


def test_labels_that_are_used_again_are_told_apart():
    text = "1:\n    vadd v0\n    bnez a0, 1b\n1:\n    vfma v0\n    bnez a0, 1b\n    ret\n"
    loop = hot_loop(lines(text), read, {})
    assert (loop.first, loop.last) == (3, 5)


@pytest.mark.parametrize("text", ["", "k:\n    ret\n", re.sub(r"    bnez.*\n", "", TEXT)])
def test_there_may_be_no_loop(text):
    assert hot_loop(lines(text), read, {}) is None


def test_a_loop_with_matrix_instructions_is_hotter_than_a_deeper_one():
    product = Instruction(
        name="mm",
        mnemonic="mm",
        encoding="0" * 25 + "0001011",
        operands=(),
        requires=frozenset({"x"}),
        semantics=lambda *_: None,
    )
    loop = hot_loop(
        lines(TEXT.replace("    vfma v1, v0\n    bnez a0, .shallow", "    mm\n    bnez a0, .shallow")),
        read,
        {"mm": product},
    )
    assert (loop.label, loop.kinds["matrix instructions"]) == (".shallow", 1)


def test_a_loop_that_is_entered_in_the_middle_is_found_by_where_control_goes():
    """The jump back goes to a block above the head, and a directive names the function at the end."""
    text = """\
k:
    jump .head
.latch:
    addi a1, -1
    beqz a1, .end
.head:
    vload v0
    bnez a2, .latch
    store v0
    jump .latch
.end:
    ret
    .size k, .-k
"""
    loop = hot_loop(lines(text), Jumping(), {})
    assert (loop.label, loop.first, loop.last, loop.depth) == (".head", 2, 9, 1)
    assert loop.instructions == 6


def test_blocks_that_the_compiler_moved_make_no_loop_deeper():
    """A block far below that goes back into the text above it surrounds nothing."""
    text = """\
k:
    beqz a0, .aside
.on:
    li a1, 4
.loop:
    vadd v0
    bnez a1, .loop
    ret
.aside:
    jump .on
"""
    loop = hot_loop(lines(text), Jumping(), {})
    assert (loop.label, loop.first, loop.last, loop.depth) == (".loop", 4, 6, 1)


class Jumping(Reader):
    def read(self, mnemonic, operands):
        kinds = {"jump": Kind.JUMP, "beqz": Kind.BRANCH}
        return (kinds[mnemonic], 0) if mnemonic in kinds else super().read(mnemonic, operands)
