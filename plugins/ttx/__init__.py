"""The dialect of running sums, and its way to scans of Triton's dialect."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase


@hookimpl
def vertebra_dialects():
    from vertebra.dialects.ttx import Ttx

    return [Ttx]


@hookimpl
def vertebra_lowerings():
    from vertebra.lowering.ttx_to_tt import lower_scans

    return [Lowering("ttx-to-tt", Phase.STRUCTURE, lower_scans)]
