"""SpacemiT's dialect of packed matrices, and its way to linalg."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase


@hookimpl
def vertebra_dialects():
    from vertebra.dialects.xsmt import Xsmt

    return [Xsmt]


@hookimpl
def vertebra_lowerings():
    from vertebra.lowering import (
        fold_packs,
        parallel_carried,
        parallel_races,
        xsmt_barriers_to_async,
        xsmt_to_linalg,
        xsmt_to_tt,
    )

    return [
        # Loads that a view stands for have to be there when tt-to-tts looks for the structure of accesses.
        Lowering("xsmt-to-tt", Phase.EXPAND, xsmt_to_tt.lower_pointers),
        Lowering("check-races", Phase.STRUCTURE, parallel_races.check_races),
        Lowering("xsmt-to-linalg", Phase.LOWER, xsmt_to_linalg.lower_values),
        Lowering("xsmt-barriers", Phase.LOWER, xsmt_barriers_to_async.lower_barriers),
        Lowering("fold-packs", Phase.FINISH, fold_packs.fold_packs),
        Lowering("check-carried", Phase.FINISH, parallel_carried.check_carried),
    ]
