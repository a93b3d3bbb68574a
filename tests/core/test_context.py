"""One context a thread, with every plugin's dialects."""

import threading

import pytest

from vertebra.core import assembly, hooks
from vertebra.core import context as module
from vertebra.core.context import context
from vertebra.core.errors import ConfigError


def in_thread(function):
    """function() in a thread of its own."""
    answer = []
    thread = threading.Thread(target=lambda: answer.append(function()))
    thread.start()
    thread.join()
    return answer[0]


def test_a_thread_keeps_its_context_and_shares_it_with_none():
    mine, other = context(), in_thread(context)
    assert context() is mine
    assert other is not mine


def test_every_plugins_dialect_is_loaded_in_every_thread():
    def loaded() -> list[str]:
        with context() as ctx:
            return [ctx.get_dialect_descriptor(name).namespace for name in hooks.dialects()]

    assert loaded() == in_thread(loaded) == list(hooks.dialects()) != []


def test_a_kernel_of_a_plugins_dialect_parses_in_a_new_thread():
    text = "tt.func public @k(%p: !tt.ptr<f32>) { %c = tt.get_program_id x : i32 tt.return }"

    def names() -> str:
        with context():
            return str(assembly.parse(text, context()))

    assert "tt.get_program_id" in in_thread(names)


def test_a_dialect_that_does_not_load_is_named(monkeypatch):
    class Stranger:
        @staticmethod
        def load():
            raise ZeroDivisionError("by zero")

    monkeypatch.setattr(hooks, "dialects", lambda: {"stranger": Stranger})
    monkeypatch.setattr(module, "_local", threading.local())
    for _ in range(2):  # the failed context is not kept
        with pytest.raises(ConfigError, match="dialect stranger cannot be loaded: ZeroDivisionError"):
            context()
