"""Runs kernels in this process, on the machine's own cores."""

from vertebra.core.hooks import hookimpl


@hookimpl
def vertebra_runtimes():
    from vertebra.plugins.inprocess.runtime import RUNTIME

    return [RUNTIME]
