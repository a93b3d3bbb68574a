"""Saturating additions: a dialect, and its way to arithmetic that every core has."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase

VERTEBRA_API = 1  # the version of the hooks that this is written for


@hookimpl
def vertebra_dialects():
    from vertebra_saturate.dialect import Sat

    return [Sat]


@hookimpl
def vertebra_lowerings():
    from vertebra_saturate.lowering import lower_additions

    return [Lowering("sat-to-arith", Phase.STRUCTURE, lower_additions)]
