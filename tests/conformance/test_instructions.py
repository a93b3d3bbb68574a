"""Every instruction that a core has beyond what LLVM knows: the machine against its declared semantics."""

import itertools

import numpy as np
import pytest

from vertebra.core import hooks
from vertebra.core.matrix import modes_of
from vertebra.kit import trials

TURNS = 8
pytestmark = pytest.mark.vertebra_group("instructions")


def test_machine_agrees_with_semantics(core, instruction, use_core):
    """The whole state after each of several words, with random operands in random registers."""
    if instruction is None:
        pytest.skip(f"core {core} has no instruction beyond what LLVM knows")
    found, record = hooks.cores()[core], hooks.instructions()[instruction]
    if reason := trials.why_not(found, record):
        pytest.skip(reason)
    use_core(core)
    of_record = trials.trials_of(found, record, np.random.default_rng(8))
    chosen = list(itertools.islice(of_record, TURNS * len(modes_of(record))))
    if not chosen:
        pytest.skip(f"all words of {record.name} are illegal on core {core}")
    trials.try_all(found, chosen)
