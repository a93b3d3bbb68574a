"""The life of barriers: allocated, used and released, and the runtime's part of it."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase


@hookimpl
def vertebra_dialects():
    from vertebra.dialects.xsmt_async import XsmtAsync

    return [XsmtAsync]


@hookimpl
def vertebra_lowerings():
    """After the step of xsmt that makes these operations: its plugin's name comes first."""
    from vertebra.lowering import xsmt_barriers_release, xsmt_barriers_to_runtime

    return [
        Lowering("release-barriers", Phase.LOWER, xsmt_barriers_release.release_barriers),
        Lowering("xsmt-async-to-runtime", Phase.LOWER, xsmt_barriers_to_runtime.lower_async),
    ]
