"""Triton's own dialect, and the way from it to linalg."""

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase


@hookimpl
def vertebra_dialects():
    from vertebra.dialects.tt import Tt
    from vertebra.dialects.ttg import Ttg
    from vertebra.dialects.tts import Tts

    return [Tt, Ttg, Tts]


@hookimpl
def vertebra_lowerings():
    """Functions come first and their signatures last, so that memory operations find pointers in between."""
    from vertebra.lowering import (
        stored_arguments,
        total_arith,
        tt_to_func,
        tt_to_linalg,
        tt_to_tts,
        tts_to_memref,
    )

    return [
        Lowering("convert-functions", Phase.STRUCTURE, tt_to_func.convert_functions),
        Lowering("mark-stored-arguments", Phase.STRUCTURE, stored_arguments.mark_stored_arguments),
        Lowering("tt-to-tts", Phase.STRUCTURE, tt_to_tts.tt_to_tts),
        Lowering("tts-to-memref", Phase.LOWER, tts_to_memref.tts_to_memref),
        Lowering("tt-to-linalg", Phase.LOWER, tt_to_linalg.lower_compute),
        Lowering("make-arith-total", Phase.FINISH, total_arith.make_arith_total),
        Lowering("cleanup", Phase.FINISH, "canonicalize{max-iterations=2},cse"),
        Lowering("check-lowered", Phase.FINISH, tt_to_linalg.check_lowered),
        Lowering("convert-signatures", Phase.FINISH, tt_to_func.convert_signatures),
    ]
