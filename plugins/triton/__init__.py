"""The frontend: stock Triton, with vertebra as one of its back ends.

Triton finds `compiler` and `driver` through the entry-point group `triton.backends`.
This module imports neither Triton nor torch.
"""

import sys

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase
from vertebra.plugins.triton import command, explain_command, roofline_command, tune_command


@hookimpl
def vertebra_commands():
    return [command.COMMAND, explain_command.COMMAND, roofline_command.COMMAND, tune_command.COMMAND]


@hookimpl
def vertebra_lowerings():
    """What builtins of the language modules left has to be there before any dialect's own step."""
    from vertebra.lowering.calls_to_dialects import calls_to_dialects
    from vertebra.lowering.load_paddings import read_marks

    return [
        Lowering("calls-to-dialects", Phase.IMPORT, calls_to_dialects),
        Lowering("load-paddings", Phase.IMPORT, read_marks),
    ]


@hookimpl
def vertebra_core_chosen(core):
    """From now on kernels run on `core`, whichever driver Triton has picked before."""
    if "triton.runtime.driver" in sys.modules:
        from vertebra.plugins.triton.driver import activate

        activate()
