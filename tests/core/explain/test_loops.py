"""The hot loop of assembly text, with a made-up instruction set."""

import re

import pytest

from vertebra.core.explain.loops import hot_loop
from vertebra.core.explain.places import Line
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
