"""Loops in assembler text, for a machine with five instructions."""

import numpy as np
import pytest

from vertebra.core.instruction import Instruction, Operand
from vertebra.core.roofline.machine_code import Kind, innermost_loops

KINDS = {"ld": Kind.LOAD, "st": Kind.STORE, "bne": Kind.BRANCH, "j": Kind.JUMP, "ret": Kind.LEAVE}
DOT = Instruction(
    "dot.i8",
    "dot",
    "0" * 15 + "aaaaa" + "000" + "ddddd" + "0101",
    (Operand("d", "d", written=True), Operand("a", "a")),
    frozenset({"dots"}),
    lambda instruction, state, **numbers: np.zeros(1),
)


class Reader:
    def read(self, mnemonic, operands):
        if mnemonic.startswith("v"):
            return Kind.VECTOR, 128
        return KINDS.get(mnemonic, Kind.OTHER), 0

    def word(self, operands):
        form, _, word = operands.partition(",")
        return int(word, 0) if form == "4" else None


def loops(text):
    return innermost_loops(text, Reader(), {"dot.i8": DOT})


def shown(text):
    return {loop.label: [step.mnemonic for step in loop.steps] for loop in loops(text)}


def test_a_loop_of_one_block():
    text = "f:\n\tmv a, b\n.L1:\n\tld a, 0(b)\n\tvadd v1, v2\n\tbne a, b, .L1\n\tret\n"
    assert shown(text) == {".L1": ["ld", "vadd", "bne"]}
    (loop,) = loops(text)
    assert (loop.count(Kind.LOAD), loop.count(Kind.VECTOR), loop.bits(Kind.VECTOR)) == (1, 1, 128)


def test_only_the_inner_one_of_two():
    text = "f:\n.L1:\n\tld a\n.L2:\n\tst a\n\tbne a, .L2\n\tbne a, .L1\n\tret\n"
    assert shown(text) == {".L2": ["st", "bne"]}


def test_two_beside_each_other_in_order():
    text = "f:\n.L1:\n\tld a\n\tbne a, .L1\n.L2:\n\tst a\n\tbne a, .L2\n\tret\n"
    assert list(shown(text)) == [".L1", ".L2"]


def test_a_loop_that_is_entered_at_its_end():
    text = "f:\n\tj .L2\n.L1:\n\tld a\n.L2:\n\tst a\n\tbne a, .L1\n\tret\n"
    assert shown(text) == {".L2": ["ld", "st", "bne"]}


def test_a_branch_inside_belongs_to_the_loop_and_a_way_out_does_not():
    text = "f:\n.L1:\n\tld a\n\tbne a, .L3\n\tst a\n.L3:\n\tbne a, .L9\n\tj .L1\n.L9:\n\tst b\n\tret\n"
    assert shown(text) == {".L1": ["ld", "bne", "st", "bne", "j"]}


def test_what_follows_a_return_is_not_reached_from_it():
    text = "f:\n.L1:\n\tld a\n\tret\ng:\n\tst a\n\tbne a, .L1\n\tret\n"
    assert shown(text) == {}


def test_no_loops():
    assert shown("f:\n\tld a\n\tret\n") == {} and shown("") == {}


def test_comments_directives_and_data_are_no_instructions():
    text = (
        "\t.section .rodata\n.LCPI0:\n\t.long 1\n\t.text\nf:  # @f\n.L1:   # =>This Inner Loop\n"
        "\t#APP\n\tld a # a comment\n\t#NO_APP\n\t.p2align 4\n\tbne a, .L1\n# %bb.2:\n\tret\n"
    )
    assert shown(text) == {".L1": ["ld", "bne"]}


@pytest.mark.parametrize("direction, names", [("1b", ["st", "bne"]), ("1f", [])])
def test_numbered_labels_of_inline_assembly(direction, names):
    text = f"f:\n1:\n\tld a\n1:\n\tst a\n\tbne a, {direction}\n1:\n\tret\n"
    assert shown(text) == ({"1.2": names} if names else {})


def test_several_labels_at_one_place():
    text = "f:\n.L1:\n.L2:\n\tld a\n\tbne a, .L1\n\tret\n"
    assert shown(text) == {".L2": ["ld", "bne"]}


def test_matrix_instructions_as_words_and_by_mnemonic():
    word = DOT.encode(d=3, a=4)
    text = f"f:\n.L1:\n\t.insn\t4,{word:#x}\n\tdot v1, v2\n\t.insn 4,0xffffffff\n\t.insn odd\n\tbne a, .L1\n"
    (loop,) = loops(text)
    assert [step.matrix for step in loop.steps] == [DOT, DOT, None, None, None]
    assert loop.steps[0].mnemonic == "dot"
