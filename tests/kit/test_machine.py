"""kit/machine.py: which instructions it can try."""

import attrs

from vertebra.core import hooks
from vertebra.core.instruction import Instruction, Operand
from vertebra.kit.machine import why_not


def record(*operands: Operand) -> Instruction:
    letters = "".join(operand.letter * 5 for operand in operands)
    return Instruction(
        name="x",
        mnemonic="x",
        encoding=letters + "0" * (32 - len(letters)),
        operands=operands,
        requires=frozenset({"x"}),
        semantics=lambda *_: None,
    )


VECTOR, IMMEDIATE, OTHER = Operand("vd", "d"), Operand("i", "i", file=""), Operand("acc", "a", file="acc")
X60 = hooks.cores()["spacemit-x60"]


def test_instructions_on_vector_registers_can_be_tried():
    assert why_not(X60, record(VECTOR, IMMEDIATE)) is None


def test_all_others_say_why_not():
    for other in (record(VECTOR, OTHER), record(IMMEDIATE), record()):
        assert "other state than v0 to v31" in why_not(X60, other)


def test_so_do_cores_without_such_registers():
    assert "core host has no RISC-V vector registers" in why_not(hooks.cores()["host"], record(VECTOR))
    scalar = attrs.evolve(X60, name="scalar", features=("+m",))
    assert "core scalar has no RISC-V vector registers" in why_not(scalar, record(VECTOR))
