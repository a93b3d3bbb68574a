"""Runs kernels in this process, on the machine's own cores."""

from vertebra.core.hooks import hookimpl
from vertebra.plugins.inprocess.runtime import InProcessRuntime

RUNTIME = InProcessRuntime()


@hookimpl
def vertebra_runtimes():
    return [RUNTIME]
