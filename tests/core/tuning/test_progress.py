"""The bar: in a terminal only."""

import io
import sys

import pytest

from vertebra.core.tuning.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def walk(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("tuning add for host") as progress:
        progress.begin("compiling", 2)
        progress.step()
        progress.note("something happened")
        progress.begin("measuring", 3)
        progress.step("best so far: 2 ms")
    return progress, stream.getvalue()


def test_a_terminal_shows_how_far_it_is(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    progress, shown = walk(Terminal(), monkeypatch)
    assert "tuning add for host: measuring" in shown and "1/3" in shown and "best so far: 2 ms" in shown
    assert "something happened" in shown and progress.notes == ["something happened"]


def test_anything_else_stays_empty(monkeypatch):
    progress, shown = walk(io.StringIO(), monkeypatch)
    assert shown == "" and progress.notes == ["something happened"]


def test_a_warning_is_shown_anywhere(monkeypatch):
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress("tuning add") as progress:
            progress.warn("a worker was lost")
        assert stream.getvalue().count("a worker was lost") == 1 and progress.notes == ["a worker was lost"]


def test_the_terminal_is_left_in_order_after_an_error(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(ValueError), Progress("x") as progress:
        progress.begin("compiling", 2)
        raise ValueError
    assert progress._bar.finished is False and not progress._bar.live.is_started
