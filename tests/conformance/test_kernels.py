"""Every case of the table, on every core."""

import pytest

from vertebra.core import hooks

from . import (
    cases_aliasing,
    cases_arithmetic,
    cases_atomics,
    cases_blocks,
    cases_casts,
    cases_control,
    cases_dot,
    cases_float8,
    cases_formats,
    cases_indexing,
    cases_language,
    cases_launch,
    cases_libdevice,
    cases_libdevice_floats,
    cases_library,
    cases_loops,
    cases_masks,
    cases_math,
    cases_memory,
    cases_reduce,
    cases_shape,
    cases_sizes,
    cases_smt_memory,
    cases_smt_products,
    cases_smt_views,
    cases_strides,
)
from .case import check

FAMILIES = (
    cases_arithmetic,
    cases_math,
    cases_casts,
    cases_float8,
    cases_formats,
    cases_language,
    cases_memory,
    cases_masks,
    cases_strides,
    cases_indexing,
    cases_aliasing,
    cases_blocks,
    cases_control,
    cases_loops,
    cases_reduce,
    cases_dot,
    cases_shape,
    cases_sizes,
    cases_smt_memory,
    cases_smt_products,
    cases_smt_views,
    cases_libdevice,
    cases_libdevice_floats,
    cases_library,
    cases_atomics,
    cases_launch,
)
# Group of the table of results -> its families; all others count as "language".
GROUPS = {
    "arithmetic": (cases_arithmetic, cases_casts, cases_float8, cases_formats),
    "math": (cases_math, cases_libdevice, cases_libdevice_floats),
    "memory": (cases_memory, cases_strides, cases_indexing, cases_aliasing, cases_blocks, cases_sizes),
    "masks": (cases_masks,),
    "control flow": (cases_control, cases_loops),
    "reductions": (cases_reduce,),
    "dots": (cases_dot,),
    "concurrency": (cases_atomics,),
}
_GROUP_OF = {family: group for group, families in GROUPS.items() for family in families}
CASES = [case for family in FAMILIES for case in family.CASES]
MARKED = [
    pytest.param(case, id=case.id, marks=pytest.mark.vertebra_group(_GROUP_OF.get(family, "language")))
    for family in FAMILIES
    for case in family.CASES
]


def test_every_plugin_loads_and_some_have_cores():
    # Otherwise a core whose plugin is broken would not be missed here.
    assert not hooks.plugins().broken
    assert hooks.cores()


def test_ids_are_unique():
    ids = [case.id for case in CASES]
    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("case", MARKED)
def test_agrees_with_numpy(case, core, run):
    check(case, core, run)
