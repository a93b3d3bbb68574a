"""How far a tuning is, as a bar on standard error where that is a terminal."""

import sys
from typing import Any


class Progress:
    """notes: what has been noted; in the terminal it is shown at once."""

    def __init__(self, title: str):
        self.notes: list[str] = []
        self._title = title
        self._bar: Any = None  # rich's, which is imported only where it is shown
        self._task: Any = None

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[detail]}"),
                console=Console(stderr=True),
                transient=True,
                auto_refresh=False,  # a thread of its own would disturb what is measured
            )
            self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str, total: int) -> None:
        """The next part, of `total` steps."""
        if self._bar is None:
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(f"{self._title}: {what}", total=total, detail="")
        self._bar.refresh()

    def step(self, detail: str = "") -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, detail=detail, refresh=True)

    def note(self, text: str) -> None:
        self.notes.append(text)
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)

    def warn(self, text: str) -> None:
        """A note that is shown elsewhere than in a terminal, too."""
        self.note(text)
        if self._bar is None:
            print(f"vertebra: {self._title}: {text}", file=sys.stderr)
