"""Runs kernels in this process, on the machine's own cores."""

from vertebra.plugins.inprocess.runtime import InProcessRuntime

RUNTIME = InProcessRuntime()
