"""plugins/ame/trials.py: what the trials try, and what they would find."""

import copy

import numpy as np
import pytest

from vertebra.core.errors import ConfigError
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import INSTRUCTIONS
from vertebra.plugins.ame.state import State
from vertebra.plugins.ame.trials import differences, random_case, trials

from .machine import core_of

UNITS = [Geometry(), Geometry(n=4, u=8), Geometry(n=4, u=16, m=32, acc=8)]


def changed(state: State, want: State) -> bool:
    """Whether more than the sign of types that are not supported is different."""
    arrays = all(np.array_equal(getattr(state, name), getattr(want, name)) for name in ("m", "acc", "memory"))
    plain = all(getattr(state, name) == getattr(want, name) for name in ("md", "ad", "x", "owned"))
    return not (arrays and plain)


@pytest.mark.parametrize("g", UNITS, ids=lambda g: f"u{g.u}n{g.n}")
def test_most_words_are_legal_and_do_something(g):
    rng, idle = np.random.default_rng(3), []
    for record in INSTRUCTIONS.values():
        done = 0
        for _ in range(16):
            state, numbers = random_case(rng, record, g)
            want = copy.deepcopy(state)
            try:
                with np.errstate(all="ignore"):
                    record.run(want, **numbers)
            except ConfigError:
                continue
            done += changed(state, want)
        if done < 3:
            idle.append(record.name)
    assert idle == (["mmove64.m.x", "mmove64.x.m"] if g.n * g.u < 64 else [])


def test_words_that_are_never_legal_have_no_trials():
    core = core_of(Geometry(n=4, u=8))
    assert not list(trials(INSTRUCTIONS["mmove64.m.x"], core, np.random.default_rng(1)))


def _set(name, place, value):
    def change(state):
        getattr(state, name)[place] = value

    return change


@pytest.mark.parametrize(
    "name, change",
    [
        ("m", _set("m", (3, 7), 9)),
        ("acc", _set("acc", (1, 2, 3), 9)),
        ("memory", _set("memory", 5, 9)),
        ("md", _set("md", 2, 8)),
        ("ad", _set("ad", 0, 8)),
        ("x", _set("x", 12, 9)),
        ("csr", _set("csr", "amexsat", 1)),
        ("owned", lambda state: setattr(state, "owned", False)),
    ],
)
def test_every_part_of_the_state_is_compared(name, change):
    want = State.zeros(Geometry(), np.zeros(8, np.uint8))
    got = copy.deepcopy(want)
    assert differences(INSTRUCTIONS["madd.ew"], got, want) == []
    change(got)
    (found,) = differences(INSTRUCTIONS["madd.ew"], got, want)
    assert found.startswith(name)


def test_approximate_functions_may_differ_in_the_last_places():
    want = State.zeros(Geometry())
    want.md[0] = 0x20300120
    want.m[0, :4] = np.frombuffer(np.float32(1.5).tobytes(), np.uint8)
    near, far = copy.deepcopy(want), copy.deepcopy(want)
    near.m[0, 0], far.m[0, 0] = 2, 3
    near.csr["amefflags"] = 1
    assert differences(INSTRUCTIONS["mtanh.ew"], near, want) == []
    assert differences(INSTRUCTIONS["mtanh.ew"], far, want) and differences(
        INSTRUCTIONS["msqrt.ew"], near, want
    )
