"""The MLIR context of a thread, with every plugin's dialects loaded once.

Loading dialects costs tens of milliseconds, more than compiling a small kernel, so
a thread keeps its context between compilations.
"""

import threading

from vertebra.core import hooks
from vertebra.core.errors import ConfigError, VertebraError
from vertebra.core.mlir import ir

_local = threading.local()
_loading = threading.Lock()  # two threads that define dialects at once crash the process


def _load(name: str, dialect) -> None:
    try:
        dialect.load()
    except VertebraError:
        raise
    except Exception as error:  # whatever a stranger's dialect does
        raise ConfigError(
            f"dialect {name} cannot be loaded: {type(error).__name__}: {error}",
            fix="repair or uninstall its plugin; `vertebra plugins` lists all",
        ) from error


def context():
    """This thread's context."""
    if not hasattr(_local, "context"):
        ctx = ir.Context()
        ctx.enable_multithreading(False)
        with _loading, ctx, ir.Location.unknown():
            for name, dialect in hooks.dialects().items():
                _load(name, dialect)
        _local.context = ctx
    return _local.context
