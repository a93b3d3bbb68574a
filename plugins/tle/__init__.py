"""The dialect of tiles by number, and its way to linalg."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase


@hookimpl
def vertebra_dialects():
    from vertebra.dialects.tle import Tle

    return [Tle]


@hookimpl
def vertebra_lowerings():
    from vertebra.lowering.tle_to_linalg import lower_tiles

    return [Lowering("tle-to-linalg", Phase.LOWER, lower_tiles)]
