"""The plugin manager, on plugins that are made here: broken ones, rivals, and strangers' hooks."""

import importlib.metadata
import sys
import textwrap
import types

import pytest

from vertebra.core import hooks, pipeline
from vertebra.core.errors import CompileError, ConfigError
from vertebra.core.hooks import hookimpl
from vertebra.core.target import Core, Lowering, Pass, Phase, Target, VectorUnit

CACHED = ("plugins", "dialects", "lowerings", "cores", "targets", "runtimes", "commands", "fingerprint")


class Entry:
    """What `importlib.metadata.entry_points` gives: a name, and how to load it."""

    dist = None

    def __init__(self, name, load):
        self.name = name
        self.load = load


def plugin(**implementations) -> types.ModuleType:
    """A module whose hook `vertebra_<name>` returns (or calls) what is given for <name>."""
    module = types.ModuleType("made_here")
    for name, value in implementations.items():

        def implementation(value=value):
            return value() if callable(value) else value

        # pluggy takes a parameter for one that the hook gives.
        implementation.__defaults__, implementation.__code__ = None, (lambda: None).__code__
        function = types.FunctionType(_returner(value).__code__, globals(), name, None, _returner(value).__closure__)
        setattr(module, f"vertebra_{name}", hookimpl(function))
    return module


def _returner(value):
    def returned():
        return value() if callable(value) else value

    return returned


@pytest.fixture
def install(monkeypatch):
    """Replaces all installed plugins by (name -> module, or exception that its import raises)."""

    def clear():
        for name in CACHED:
            getattr(hooks, name).cache_clear()

    def installed(**modules):
        def loader(module):
            def load():
                if isinstance(module, Exception):
                    raise module
                return module

            return load

        entries = [Entry(name, loader(module)) for name, module in modules.items()]
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: entries)
        clear()

    yield installed
    monkeypatch.undo()
    clear()
