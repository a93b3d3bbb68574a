"""Units of every size: all words against their semantics, and products of matrices."""

import itertools

import attrs
import numpy as np
import pytest

from vertebra.core import hooks, select
from vertebra.core.errors import ConfigError
from vertebra.kit.trials import try_all
from vertebra.plugins.ame.codegen import panel_kernels
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import INSTRUCTIONS
from vertebra.plugins.ame.trials import trials
from vertebra.plugins.ame.types import NAMED

from ...conformance import cases_dot
from ...conformance.case import check
from .test_codegen import check_integers, run_floats

# Every unit width with every side, and every number of registers with some of them.
UNITS = [
    Geometry(n=n, u=u, m=m, acc=acc)
    for (u, n), (m, acc) in zip(
        itertools.product((8, 16, 32, 64), (4, 8, 16)),
        itertools.cycle([(16, 4), (32, 8), (16, 16), (32, 4), (16, 8), (32, 16), (32, 2)]),
        strict=False,
    )
]
units = pytest.mark.parametrize("g", UNITS, ids=lambda g: f"u{g.u}n{g.n}m{g.m}a{g.acc}")


def core_of(g: Geometry):
    return attrs.evolve(AME_GENERIC, name=f"test-u{g.u}n{g.n}m{g.m}a{g.acc}", ame=g)


@units
def test_all_words_agree_with_their_semantics(g):
    core, rng, turns = core_of(g), np.random.default_rng(g.u + g.n), 1 if g.n > 8 else 2
    chosen = [
        trial
        for record in INSTRUCTIONS.values()
        for trial in itertools.islice(trials(record, core, rng), turns)
    ]
    missing = 2 if g.n * g.u < 64 else 0  # mmove64: a row has fewer bits
    assert len(chosen) == turns * (len(INSTRUCTIONS) - missing)
    try_all(core, chosen)


@units
@pytest.mark.parametrize("shape", [(17, 37, 71), (3, 70, 24)], ids=str)
def test_products_of_integers(g, shape):
    check_integers(core_of(g), *shape)
    check_integers(core_of(g), *shape, kinds=("ui8", "i8"), turned=(True, False))


@units
@pytest.mark.parametrize("kind", ["f16", "bf16", "f32"])
def test_products_of_floats(g, kind):
    rng = np.random.default_rng(5)
    for (m, n, k), turned in (((16, 32, 32), (False, False)), ((21, 19, 35), (False, True))):
        a, b = (rng.integers(-8, 9, s).astype(np.float32) for s in ((m, k), (k, n)))
        c = rng.integers(-50, 50, (m, n)).astype(np.float32)
        np.testing.assert_array_equal(run_floats(core_of(g), kind, a, b, c, turned=turned), c + a @ b)


# Each case of the conformance suite on every third unit, every unit has some.
CASES = [
    (case, g)
    for at, case in enumerate(
        c for c in cases_dot.CASES if c.id.startswith(("matmul", "dot-quantised", "dot-batched-i8"))
    )
    for g in UNITS[at % 3 :: 3]
]


@pytest.fixture
def run(monkeypatch):
    """As the suite's: launches go to a core that is there for one test."""

    def launch(core, kernel, grid, args, meta) -> None:
        monkeypatch.setitem(hooks.cores(), core.name, core)
        select.set_core(core.name)
        kernel[grid](**args, **meta)

    yield launch
    select.set_core(None)


@pytest.mark.parametrize("case, g", CASES, ids=[f"{case.id}-u{g.u}n{g.n}" for case, g in CASES])
def test_kernels_of_the_conformance_suite(case, g, run):
    check(case, core_of(g), run)


@units
def test_what_a_unit_multiplies_is_in_the_table_of_tiles(g):
    rows = {(row.a, row.b): row for row in hooks.matrix_tiles(core_of(g))}
    assert len(rows) == len(panel_kernels(core_of(g))) == 7
    for (a, _), row in rows.items():
        assert (row.m, row.n, row.k) == (g.n, g.n, g.n * g.pack(NAMED[a].bits))
        assert row.grid[0] * row.grid[1] <= g.acc and row.registers <= g.m


def test_sums_that_could_not_leave_their_accumulators():
    """A register has two squares of sums on a unit of 64 bits, which one move takes from two accumulators."""
    assert Geometry(u=64, acc=2).pack(32) == 2
    with pytest.raises(ConfigError, match=r"2 squares of 32-bit sums, .* and there is 1") as caught:
        Geometry(u=64, acc=1)
    assert caught.value.fix == "use unit width U 32, or 2 accumulators"
