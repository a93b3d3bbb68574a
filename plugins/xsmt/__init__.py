"""SpacemiT's dialect of packed matrices, and its way to linalg."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase


@hookimpl
def vertebra_dialects():
    from vertebra.dialects.xsmt import Xsmt

    return [Xsmt]


@hookimpl
def vertebra_lowerings():
    from vertebra.lowering import xsmt_to_linalg, xsmt_to_tt

    return [
        # Loads that a view stands for have to be there when tt-to-tts looks for the structure of accesses.
        Lowering("xsmt-to-tt", Phase.EXPAND, xsmt_to_tt.lower_pointers),
        Lowering("xsmt-to-linalg", Phase.LOWER, xsmt_to_linalg.lower_values),
    ]
