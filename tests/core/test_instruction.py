"""core/instruction.py on an instruction that exists nowhere."""

import attrs
import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.errors import ConfigError
from vertebra.core.instruction import Instruction, Operand, c_initializer, find, why_illegal


def _shift(instruction, state, *, to, source, amount):
    state[to : to + 2] = state[source] << amount


SHIFT = Instruction(
    name="x.shift.w",
    mnemonic="x.shift",
    # The amount is cut in two: bit 1 at 20, bit 0 at 7.
    encoding="1010101 00 00i sssss 010 tttti 0001011",
    operands=(
        Operand("to", "t", group=2, multiple=2, written=True, read=False),
        Operand("source", "s"),
        Operand("amount", "i", file=""),
    ),
    requires=frozenset({"xshift"}),
    semantics=_shift,
    suffix="w",
    state="LMUL 1",
)
OTHER = attrs.evolve(SHIFT, name="x.other", encoding=SHIFT.encoding.replace("1010101", "1010100", 1))


def test_encoding_is_mask_and_match():
    assert SHIFT.mask == 0xFFE0_707F
    assert SHIFT.match == 0b1010101 << 25 | 0b010 << 12 | 0x0B
    assert OTHER.match == SHIFT.match - (1 << 25) and OTHER.mask == SHIFT.mask


def test_operands_stand_where_the_letters_are():
    word = SHIFT.encode(to=30, source=5, amount=2)
    assert word == SHIFT.match | 15 << 8 | 5 << 15 | 1 << 20
    assert SHIFT.encode(to=2, source=5, amount=1) == SHIFT.match | 1 << 8 | 5 << 15 | 1 << 7
    assert SHIFT.pieces(SHIFT.operand("amount")) == ((7, 1, 0), (20, 1, 1))
    assert SHIFT.pieces(SHIFT.operand("to")) == ((8, 4, 1),)


def test_every_word_decodes_to_its_operands():
    for to in range(0, 32, 2):
        for source in set(range(32)) - {to, to + 1}:
            for amount in range(4):
                numbers = {"to": to, "source": source, "amount": amount}
                assert find((OTHER, SHIFT), SHIFT.encode(**numbers)) == (SHIFT, numbers)
    assert find((SHIFT,), OTHER.match) is None and SHIFT.decode(OTHER.match) is None


def test_text():
    numbers = {"to": 4, "source": 6, "amount": 3}
    assert SHIFT.text(**numbers) == "x.shift v4, v6, 3, w"
    assert SHIFT.directive(**numbers) == f".insn 4, {SHIFT.encode(**numbers):#010x}"
    assert OTHER.operand("source").text(7) == "v7"


@pytest.mark.parametrize(
    "numbers, message",
    [
        ({"to": 3, "source": 5, "amount": 0}, "to cannot be v3\n.*from v0 to v30, a multiple of 2"),
        ({"to": 32, "source": 5, "amount": 0}, "to cannot be v32"),
        ({"to": -2, "source": 5, "amount": 0}, "to cannot be v-2"),
        ({"to": 2, "source": 32, "amount": 0}, "source cannot be v32\n.*from v0 to v31"),
        ({"to": 2, "source": 5, "amount": 4}, "amount cannot be 4\n.*from 0 to 3"),
        ({"to": 4, "source": 5, "amount": 0}, "v5 is both the destination and a source"),
        ({"to": 4, "source": 6}, "has operands to, source, amount, not to, source"),
    ],
)
def test_illegal_operands(numbers, message):
    with pytest.raises(ConfigError, match=message):
        SHIFT.encode(**numbers)


def test_run_checks_and_then_changes_the_state():
    state = np.arange(32)
    SHIFT.run(state, to=8, source=5, amount=1)
    assert state[8:10].tolist() == [10, 10] and state[5] == 5
    with pytest.raises(ConfigError):
        SHIFT.run(state, to=8, source=9, amount=1)


def test_c_initializer():
    text = c_initializer(SHIFT, ("source", "nothing", "to"))
    assert f".mask = {SHIFT.mask:#010x}, .match = {SHIFT.match:#010x}" in text and '"x.shift.w"' in text
    assert ".operands = {{{{15, 5, 0}}, 1, 1}, {0}, {{{8, 4, 1}}, 2, 2}}" in text


def test_why_a_word_is_illegal():
    plain = hooks.cores()["host"]
    core = attrs.evolve(plain, extensions=frozenset({"xshift"}))
    word = SHIFT.encode(to=4, source=6, amount=0)
    assert why_illegal((SHIFT,), 0x0B, core) == "there is no instruction 0x0000000b"
    assert "core host does not have (it needs xshift)" in why_illegal((SHIFT,), word, plain)
    assert why_illegal((SHIFT,), word, core).endswith("illegal in this state: it needs LMUL 1")
    overlap = word & ~(31 << 15) | 4 << 15
    assert why_illegal((SHIFT,), overlap, core).endswith("v4 is both the destination and a source")


@pytest.mark.parametrize("encoding", [SHIFT.encoding[:-1], SHIFT.encoding.replace("s", "q")])
def test_an_encoding_that_is_none_is_refused(encoding):
    with pytest.raises(ConfigError, match=rf"x.shift.w has {len(encoding)} bits .*\nfix: write 32 bits: "):
        attrs.evolve(SHIFT, encoding=encoding)
