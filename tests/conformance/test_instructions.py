"""Every instruction that a core has beyond what LLVM knows: the machine against its declared semantics."""

import copy

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.errors import ConfigError
from vertebra.core.matrix import modes_of
from vertebra.core.vector_state import VectorState
from vertebra.kit import machine

TURNS = 8
pytestmark = pytest.mark.vertebra_group("instructions")


def legal_operands(record, random) -> dict[str, int]:
    """Some operands that `record` takes."""
    while True:
        numbers = {
            o.name: int(random.integers(record.limit(o) // o.multiple)) * o.multiple for o in record.operands
        }
        try:
            record.check(**numbers)
        except ConfigError:
            continue
        return numbers


def interesting(random, vlen: int) -> np.ndarray:
    """Random bits, in some registers floats of usual size, and in a few one byte over and over."""
    v = random.integers(0, 256, (32, vlen // 8), np.uint8)
    v[8:16] = random.standard_normal((8, vlen // 16)).astype(np.float16).view(np.uint8)
    bits = random.standard_normal((8, vlen // 16)).astype(np.float32).view(np.uint32)
    v[16:24] = (bits >> 16).astype(np.uint16).view(np.uint8)
    v[24:28] = random.standard_normal((4, vlen // 32)).astype(np.float32).view(np.uint8)
    for number in random.integers(0, 32, 4):
        v[number] = random.choice(np.array([0x00, 0x7F, 0x80, 0xFF], np.uint8))
    return v


def test_machine_agrees_with_semantics(core, instruction, use_core):
    """All vector registers, after each of several words with random operands in random registers."""
    if instruction is None:
        pytest.skip(f"core {core} has no instruction beyond what LLVM knows")
    found, record = hooks.cores()[core], hooks.instructions()[instruction]
    if reason := machine.why_not(found, record):
        pytest.skip(reason)
    use_core(core)
    random = np.random.default_rng(8)
    steps, wanted = [], []
    for mode in modes_of(record):
        for turn in range(TURNS):
            numbers = legal_operands(record, random)
            state = VectorState(
                interesting(random, found.vlen), (8, 16, 32)[turn % 3], mode.name if mode else ""
            )
            steps.append(machine.Step(record.encode(**numbers), copy.deepcopy(state), mode=mode))
            with np.errstate(all="ignore"):
                record.run(state, **numbers)
            wanted.append(state.v)
    np.testing.assert_array_equal(machine.run(found, steps), np.stack(wanted))
