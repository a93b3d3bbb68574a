"""Every code block of the documentation does what the page says."""

from pathlib import Path

import pages
import pytest

from vertebra.core import select

PAGES = [*sorted((pages.ROOT / "docs").glob("*.md")), pages.ROOT / "README.md"]


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """Pages choose cores and set variables."""
    yield
    select.set_core(None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_blocks_run(page: Path, tmp_path):
    pages.Reader(page, tmp_path / "reader").read()
