"""The frontend: stock Triton, with vertebra as one of its back ends.

Triton finds `compiler` and `driver` through the entry-point group `triton.backends`.
This module imports neither Triton nor torch.
"""

import sys

from vertebra.core.hooks import hookimpl
from vertebra.core.target import Lowering, Phase
from vertebra.plugins.triton import command


@hookimpl
def vertebra_commands():
    return [command.COMMAND]


@hookimpl
def vertebra_lowerings():
    """What builtins of the language modules left has to be there before any dialect's own step."""
    from vertebra.lowering.calls_to_dialects import calls_to_dialects

    return [Lowering("calls-to-dialects", Phase.IMPORT, calls_to_dialects)]


@hookimpl
def vertebra_core_chosen(core):
    """From now on kernels run on `core`, whichever driver Triton has picked before."""
    if "triton.runtime.driver" in sys.modules:
        from vertebra.plugins.triton.driver import activate

        activate()
