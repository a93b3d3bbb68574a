"""kit/trials.py: which instructions can be tried, and what is told of trials that fail."""

import itertools

import attrs
import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.instruction import Instruction, Operand
from vertebra.core.trial import Trial
from vertebra.kit.trials import trials_of, try_all, why_not


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
        assert "registers other than v0 to v31" in why_not(X60, other)


def test_so_do_cores_without_such_registers():
    assert "core host has no RISC-V vector registers" in why_not(hooks.cores()["host"], record(VECTOR))
    scalar = attrs.evolve(X60, name="scalar", features=("+m",))
    assert "core scalar has no RISC-V vector registers" in why_not(scalar, record(VECTOR))


# --- Runs ----------------------------------------------------------------------------------------

A60 = hooks.cores()["spacemit-a60"]


def doubled(size: int, *, wrong: int = 0) -> list[Trial]:
    """Three trials that double the 64-bit number they are given; `wrong` of them expect something else."""

    def one(number: int) -> Trial:
        def check(given: np.ndarray, results: np.ndarray) -> None:
            assert given.view(np.int64)[0] == -1, "the input is not overwritten"
            found, want = results[:8].view(np.int64)[0], 2 * number + (number < wrong)
            assert found == want, f"{number}: {found} is not {want}"
            assert not results[8:].any(), "results begin at zero"

        text = "ld t0, 0(a1)\n    add t0, t0, t0\n    sd t0, 0(a2)\n    li t0, -1\n    sd t0, 0(a1)"
        return Trial(text, np.array([number], np.int64).view(np.uint8), size, check)

    return [one(number) for number in range(3)]


@pytest.mark.parametrize("size", [8, 64, 100])
def test_every_trial_has_its_own_places(size):
    try_all(A60, doubled(size))


def test_all_that_differs_is_told():
    with pytest.raises(AssertionError, match=r"(?s)2 of 3 differ:\n0: 0 is not 1\n.*1: 2 is not 3"):
        try_all(A60, doubled(8, wrong=2))


def test_no_trials_are_no_error():
    try_all(A60, [])


def test_a_machine_that_does_something_else_is_found_out():
    """An instruction with other semantics than its emulator, in every mode."""
    record = hooks.instructions()["smt.vmadot.i8"]

    def other(insn, state, **numbers) -> None:
        record.semantics(insn, state, **numbers)
        state.v[numbers["vd"], 3] ^= 1

    chosen = itertools.islice(
        trials_of(A60, attrs.evolve(record, semantics=other), np.random.default_rng(1)), 4
    )
    with pytest.raises(AssertionError, match="4 of 4 differ") as caught:
        try_all(A60, list(chosen))
    assert "smt.vmadot v" in str(caught.value)
    plain = itertools.islice(trials_of(A60, record, np.random.default_rng(1)), 4)
    try_all(A60, list(plain))


def test_records_may_bring_their_own_trials():
    mine = attrs.evolve(record(OTHER), trials=lambda record, core, random: iter(doubled(8)))
    assert why_not(X60, mine) is None
    assert len(list(trials_of(X60, mine, np.random.default_rng(1)))) == 3
