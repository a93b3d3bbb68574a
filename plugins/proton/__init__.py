"""The dialect of profilers' scopes inside of kernels, and its way to calls of the runtime."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase


@hookimpl
def vertebra_dialects():
    from vertebra.dialects.proton import Proton

    return [Proton]


@hookimpl
def vertebra_lowerings():
    from vertebra.lowering.proton_to_calls import lower_records

    return [Lowering("proton-to-calls", Phase.LOWER, lower_records)]
