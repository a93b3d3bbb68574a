"""The MLIR context of a thread, with every plugin's dialects loaded once.

Loading dialects costs tens of milliseconds, more than compiling a small kernel, so
a thread keeps its context between compilations.
"""

import threading

from vertebra.core import hooks
from vertebra.core.mlir import ir

_local = threading.local()


def context():
    """This thread's context."""
    if not hasattr(_local, "context"):
        ctx = ir.Context()
        ctx.enable_multithreading(False)
        with ctx, ir.Location.unknown():
            for dialect in hooks.dialects().values():
                dialect.load()
        _local.context = ctx
    return _local.context
