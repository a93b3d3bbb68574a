"""The import paths that scripts written for SpacemiT's fork of Triton use, on stock Triton.

A finder at the end of `sys.meta_path` is asked for what nothing else has found.  It answers for
the paths below and for the packages around them, and imports nothing before a script does.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys

_PLUGINS = "vertebra.plugins"
MODULES = {
    "triton.language.extra.smt": f"{_PLUGINS}.xsmt.language",
    "triton.language.extra.deeplink": f"{_PLUGINS}.xsmt.language",
    "triton.language.extra.tle": f"{_PLUGINS}.tle.language",
    "triton.experimental.tle": f"{_PLUGINS}.tle.language",
    "triton.language.extra.cpu.libdevice": f"{_PLUGINS}.triton.libdevice",
    "triton.backends.spine_triton.driver": f"{_PLUGINS}.triton.spine_driver",
    "triton.backends.triton_shared.driver": f"{_PLUGINS}.triton.spine_driver",
}
_PACKAGES = {path.rpartition(".")[0] for path in MODULES}


class _Loader(importlib.abc.Loader):
    """Gives the module that a path stands for, which keeps its own name and place."""

    def __init__(self, module: str):
        self.module = module

    def create_module(self, spec):
        module = importlib.import_module(self.module)
        self.own = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.own  # the import system has put in that of the other path


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname in MODULES:
            return importlib.machinery.ModuleSpec(fullname, _Loader(MODULES[fullname]))
        if fullname in _PACKAGES:
            return importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        return None


def install() -> None:
    """Makes the paths importable; a second time changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
