"""The page: everything in one file, to be opened in any browser without a network."""

import json
from collections.abc import Sequence
from pathlib import Path
from string import Template

import attrs

from vertebra.core.explain.layouts import Picture
from vertebra.core.explain.loops import Loop
from vertebra.core.explain.record import Stage, Step

# Lines of a pass's changes that the page keeps, of each kind.
MOST_CHANGES = 300


@attrs.frozen
class Report:
    """What the page shows of one kernel.

    file, source: the Python file, and its lines.  at: the line where the kernel starts, from 1.
    facts: (name, value) pairs.
    answers: (what, which, plugin) rows.  hot: the hot loop, in lines of stage asm.
    pictures: of layouts.  roofline: an SVG, or None where there is none.
    """

    kernel: str
    core: str
    file: str
    source: tuple[str, ...]
    at: int
    facts: tuple[tuple[str, str], ...]
    stages: tuple[Stage, ...]
    steps: tuple[Step, ...]
    answers: tuple[tuple[str, str, str], ...]
    hot: Loop | None
    pictures: tuple[Picture, ...]
    roofline: str | None = None


def render(report: Report) -> str:
    """The HTML of `report`."""
    here = Path(__file__).parent
    page = Template((here / "page.html").read_text())
    return page.substitute(
        title=_escaped(f"{report.kernel} on {report.core}"),
        style=(here / "page.css").read_text(),
        script=(here / "page.js").read_text(),
        data=json.dumps(data_of(report), separators=(",", ":")).replace("<", "\\u003c"),
    )


def data_of(report: Report) -> dict:
    """What the page's script reads: plain data.

    A line of a stage is [text, lines of the source that it comes from, number of its pass].
    """
    return {
        "kernel": report.kernel,
        "core": report.core,
        "file": report.file,
        "source": report.source,
        "at": report.at,
        "facts": report.facts,
        "stages": [
            {
                "name": stage.name,
                "lines": [
                    [line.text, _source_lines(line.places, report), made]
                    for line, made in zip(stage.lines, stage.made, strict=True)
                ],
            }
            for stage in report.stages
        ],
        "passes": [
            {
                "stage": step.stage,
                "name": step.name,
                "ms": round(step.seconds * 1e3, 2),
                "made": len(step.new),
                "removed": len(step.gone),
                "new": _some(step.new),
                "gone": _some(step.gone),
            }
            for step in report.steps
        ],
        "answers": report.answers,
        "hot": None if report.hot is None else {**attrs.asdict(report.hot), "count": report.hot.instructions},
        "pictures": [attrs.asdict(picture) for picture in report.pictures],
        "roofline": report.roofline,
    }


def _source_lines(places, report: Report) -> list[int]:
    return sorted({line for file, line in places if file == report.file and line <= len(report.source)})


def _some(lines: Sequence[str]) -> list[str]:
    left_out = len(lines) - MOST_CHANGES
    return [*lines[:MOST_CHANGES], *([f"... and {left_out} more"] if left_out > 0 else [])]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
