"""Triton's own profiler, `triton.profiler`, for kernels that vertebra runs.

Its Python modules call a native library, which knows GPUs.  Sessions that are started while vertebra
is the active driver are served here instead: `profiler.Library` stands before the native one, and passes
on what belongs to other sessions.  A launch is seen through Triton's launch hooks, which nobody calls
while no session is there.  Nothing of that is imported before `triton.profiler` is.

$VERTEBRA_PROFILE=NAME profiles a whole program: NAME.hatchet and NAME.chrome_trace are written at
its end, and a table is printed on standard error.
"""

import atexit
import contextlib
import functools
import importlib.abc
import importlib.machinery
import os
import re
import sys

VARIABLE = "VERTEBRA_PROFILE"
BACKEND = "vertebra"
PACKAGE = "triton.profiler"
_RECORD = re.compile(r'\bproton\.record (start|end) ("(?:[^"\\]|\\.)*")')


def is_instrumenting() -> bool:
    """Whether kernels are compiled with the scopes inside of them."""
    module = sys.modules.get(f"{PACKAGE}.flags")
    return module is not None and module.flags.instrumentation_on


def generic_records(text: str) -> str:
    """`text` with every proton.record in MLIR's generic form."""
    return _RECORD.sub(
        lambda found: (
            f'"proton.record"() <{{isStart = {str(found[1] == "start").lower()}, name = {found[2]}}}>'
            " : () -> ()"
        ),
        text,
    )


def _serve() -> None:
    from vertebra.plugins.triton import profiler

    profiler.serve()


class _Loader(importlib.abc.Loader):
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        _serve()


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname != PACKAGE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def install() -> None:
    """Serves `triton.profiler` when it is imported, at once where it has been; idempotent."""
    if PACKAGE in sys.modules:
        _serve()
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


@functools.cache
def profile_program() -> None:
    """Profiles the rest of this program where $VERTEBRA_PROFILE asks for it; called again it does nothing."""
    name = os.environ.get(VARIABLE)
    if not name:
        return
    import triton.profiler as proton

    _serve()
    session = proton.start(name, backend=BACKEND)
    library = sys.modules[f"{PACKAGE}.profile"].libproton
    library._kept.add(session)

    def end() -> None:
        from vertebra.core.profile import formats, table
        from vertebra.core.select import current_core

        ours = library._sessions[session]
        formats.write(ours, current_core().name, "chrome_trace")
        with contextlib.redirect_stdout(sys.stderr):
            table.show(ours.root, ours.notes)
        proton.finalize(session)

    atexit.register(end)
