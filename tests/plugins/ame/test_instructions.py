"""The records, and their NumPy semantics on the draft's test vectors."""

import itertools

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.instruction import find
from vertebra.plugins.ame.instructions import INSTRUCTIONS
from vertebra.plugins.ame.state import Illegal, Misaligned, State

from .vectors import BASE, CONFIGS, image, sequences, state_after, state_before, value, vectors

RECORDS = tuple(INSTRUCTIONS.values())
OUTCOMES = {"illegal": Illegal, "load_misaligned": Misaligned, "store_misaligned": Misaligned}


def step(state: State, word: int) -> None:
    record, numbers = find(RECORDS, word)
    record.run(state, **numbers)


def close(got: State, want: State, tolerance) -> bool:
    """Registers within the vector's tolerance: last places, or 2**-22 of the sum of magnitudes."""
    if tolerance is None:
        return np.array_equal(got.m, want.m) and np.array_equal(got.acc, want.acc)
    if tolerance == "sum":
        a, b = (s.acc.astype(np.uint32).view(np.float32) for s in (got, want))
        return np.allclose(a, b, rtol=0, atol=2.0**-22 * 16 * 8)
    a, b = (s.m.reshape(-1).view(np.int32).astype(np.int64) for s in (got, want))
    return bool((abs(a - b) <= tolerance).all())


@pytest.mark.parametrize("vector", vectors(), ids=lambda v: v["name"])
def test_semantics_agree_with_the_vectors(vector):
    state, want = state_before(vector), state_after(vector)
    record, numbers = find(RECORDS, vector["word"])
    assert record.text(**numbers) == vector["text"]
    assert record.encode(**numbers) == vector["word"]
    if vector["expect"] in OUTCOMES:
        with pytest.raises(OUTCOMES[vector["expect"]]):
            record.run(state, **numbers)
    else:
        record.run(state, **numbers)
    if "amefflags" not in vector["after"].get("csr", {}):
        want.csr["amefflags"] = state.csr["amefflags"]
    assert close(state, want, vector.get("tolerance"))
    assert np.array_equal(state.memory, want.memory)
    assert (state.md, state.ad, state.x, state.csr) == (want.md, want.ad, want.x, want.csr)


def run_sequence(sequence: dict) -> State:
    state = State.zeros(CONFIGS[sequence["config"]], image(sequence["before"]), BASE)
    for one in sequence["steps"]:
        if isinstance(one, int):
            step(state, one)
        elif isinstance(one[0], str):
            state.csr[one[0]] = one[1]
        else:
            state.x[one[0]] = value(one[1], BASE)
    return state


@pytest.mark.parametrize("sequence", sequences(), ids=lambda s: s["name"])
def test_semantics_agree_with_the_sequences(sequence):
    state = run_sequence(sequence)
    assert state.memory.tobytes().hex() == sequence["after"]
    assert state.csr["amestatus"] == 0


def test_there_are_101_and_no_two_overlap():
    assert len(RECORDS) == 101
    for one, other in itertools.combinations(RECORDS, 2):
        assert (one.match ^ other.match) & one.mask & other.mask, (one.name, other.name)


def test_words_decode_to_what_was_encoded():
    rng = np.random.default_rng(1)
    for record in RECORDS:
        for _ in range(4):
            numbers = {o.name: int(rng.integers(32)) for o in record.operands}
            found, decoded = find(RECORDS, record.encode(**numbers))
            assert found is record and decoded == numbers


def test_the_unit_has_to_be_acquired():
    state = State.zeros(CONFIGS["U8N4"])
    state.owned, state.md[0] = False, 1
    with pytest.raises(Illegal, match="the unit is not acquired"):
        INSTRUCTIONS["mzero.2d.m"].run(state, md=0)
    INSTRUCTIONS["ame.acquire"].run(state, rd=5, rs1=0)
    assert state.owned and state.x[5] == 1 and state.md[0] == 0
    state.x[6], state.md[0] = 2, 1
    INSTRUCTIONS["ame.acquire"].run(state, rd=5, rs1=6)
    assert state.x[5] == 4 << 1 and state.md[0] == 1  # a bad descriptor
    INSTRUCTIONS["ame.release"].run(state)
    assert not state.owned


def test_the_plugin_declares_them():
    declared = hooks.instructions()
    assert all(declared[record.name] is record for record in RECORDS)
