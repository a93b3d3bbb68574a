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
    cases_libdevice,
    cases_libdevice_floats,
    cases_library,
    cases_atomics,
    cases_launch,
)
CASES = [case for family in FAMILIES for case in family.CASES]


def test_every_plugin_loads_and_some_have_cores():
    # Otherwise a core whose plugin is broken would not be missed here.
    assert not hooks.plugins().broken
    assert hooks.cores()


def test_ids_are_unique():
    ids = [case.id for case in CASES]
    assert sorted(set(ids)) == sorted(ids)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_agrees_with_numpy(case, core, run):
    check(case, core, run)
