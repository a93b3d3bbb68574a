"""A core with the unit and with the A60's matrix instructions on vector registers."""

import itertools

import attrs
import numpy as np
import pytest

from vertebra.core import compile as stages
from vertebra.core import hooks
from vertebra.core.pipeline import panel_kernels_of
from vertebra.core.select import runtime_for
from vertebra.kit import trials
from vertebra.plugins.ame.cores import AME_GENERIC

from ..ime.products import SIGNATURES, product

A60 = hooks.cores()["spacemit-a60"]
BOTH = attrs.evolve(AME_GENERIC, name="both", extensions=AME_GENERIC.extensions | A60.extensions)


def test_it_has_the_instructions_and_the_tiles_of_both():
    records = [r for r in hooks.instructions().values() if r.requires & BOTH.extensions]
    of_one = [[r for r in records if r.requires & core.extensions] for core in (AME_GENERIC, A60)]
    assert len(records) == sum(map(len, of_one)) and len(of_one[0]) == 101 and of_one[1]
    names = [row.instruction for row in hooks.matrix_tiles(BOTH)]
    assert "mmulbtacc.2d" in names and "smt.vmadot.i8" in names


def test_words_of_both_do_what_they_should():
    """In one program, one after the other: neither emulator takes a word of the other one."""
    rng = np.random.default_rng(2)
    records = [r for r in hooks.instructions().values() if r.requires & BOTH.extensions]
    of_each = (trials.trials_of(BOTH, record, rng) for record in records)
    trials.try_all(BOTH, [next(of_record) for of_record in of_each])


def run(kinds: tuple[str, str, str], m: int, n: int, k: int) -> dict[str, int]:
    """How often each emulated instruction ran for a product of small integers, whose numbers are right."""
    a_kind, b_kind, acc = kinds
    dtypes = {"i8": np.int8, "ui8": np.uint8, "i32": np.int32, "f16": np.float16, "f32": np.float32}
    rng = np.random.default_rng(m)
    a, b = (
        rng.integers(0, 9, shape).astype(dtypes[kind]) for shape, kind in (((m, k), a_kind), ((k, n), b_kind))
    )
    c = rng.integers(-9, 9, (m, n)).astype(dtypes[acc])
    text = product(a.shape, b.shape, c.shape, (a_kind, b_kind), acc, wide=acc)
    signature = tuple(SIGNATURES[kind.removeprefix("u")] for kind in (a_kind, b_kind, acc, acc))
    binary = stages.compile(text, BOTH, name="k", signature=signature, start="linalg")
    out = np.zeros_like(c)
    counts = runtime_for(BOTH).load(binary).count_emulated((1, 1, 1), [a, b, c, out])
    np.testing.assert_array_equal(out, c + a.astype(c.dtype) @ b.astype(c.dtype))
    return counts


def test_every_product_has_kernels_on_the_unit_in_front_of_others():
    for types, kernels in itertools.groupby(
        sorted(panel_kernels_of(BOTH), key=lambda k: (k.a, k.b, k.acc)), lambda k: (k.a, k.b, k.acc)
    ):
        assert next(kernels).name.startswith("mmulbtacc.2d"), types


@pytest.mark.parametrize(
    "kinds", [("i8", "i8", "i32"), ("ui8", "i8", "i32"), ("f16", "f16", "f32")], ids="-".join
)
def test_the_unit_takes_the_products(kinds):
    counts = run(kinds, 24, 40, 64)
    assert counts["mmulbtacc.2d"] >= 3 * 5 * 2 and not any(name.startswith("smt.") for name in counts)
