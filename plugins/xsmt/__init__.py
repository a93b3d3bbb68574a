"""SpacemiT's dialect of packed matrices, and its way to linalg."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase

# Loads that a view stands for have to be there when tt-to-tts looks for the structure of accesses.
BEFORE_STRUCTURE = Phase.STRUCTURE - 1


@hookimpl
def vertebra_dialects():
    from vertebra.dialects.xsmt import Xsmt

    return [Xsmt]


@hookimpl
def vertebra_lowerings():
    from vertebra.lowering import xsmt_to_linalg, xsmt_to_tt

    return [
        Lowering("xsmt-to-tt", BEFORE_STRUCTURE, xsmt_to_tt.lower_pointers),
        Lowering("xsmt-to-linalg", Phase.LOWER, xsmt_to_linalg.lower_values),
    ]
