"""Results of a conformance run: passed, failed and not supported in each group, as text and as a web page."""

import html
import importlib.metadata
from collections import Counter

import attrs

PASSED, FAILED, UNSUPPORTED = "passed", "failed", "not supported"
OUTCOMES = (PASSED, FAILED, UNSUPPORTED)
_HEAD = ("group", *OUTCOMES)


@attrs.define
class Result:
    """One test.  text: why it failed, or is not supported."""

    test: str
    core: str
    group: str
    outcome: str
    text: str = ""


class Results:
    """The tests of the suite that have run, from pytest's reports."""

    def __init__(self):
        self.tests: dict[str, Result] = {}

    def add(self, report) -> None:
        """Takes up a report of a phase of a test; any phase that fails fails the test."""
        properties = dict(report.user_properties)
        if "vertebra_core" not in properties:
            return
        known = self.tests.get(report.nodeid)
        if report.failed:
            outcome, text = FAILED, report.longreprtext
        elif report.skipped:
            place = report.longrepr
            outcome, text = UNSUPPORTED, place[2] if isinstance(place, tuple) else str(place)
        elif known is None and report.when == "call":
            outcome, text = PASSED, ""
        else:
            return
        if known is None or known.outcome != FAILED:
            self.tests[report.nodeid] = Result(
                report.nodeid,
                properties["vertebra_core"],
                properties["vertebra_group"],
                outcome,
                text.removeprefix("Skipped: "),
            )

    def cores(self) -> list[str]:
        return sorted({result.core for result in self.tests.values()})

    def counts(self, core: str) -> dict[str, Counter]:
        """Group -> how many tests had each outcome, by name; "all" comes last."""
        found: dict[str, Counter] = {}
        for result in sorted(self.tests.values(), key=lambda result: result.group):
            if result.core == core:
                found.setdefault(result.group, Counter())[result.outcome] += 1
        return found | {"all": sum(found.values(), Counter())}

    def table(self, core: str) -> list[str]:
        """Lines of text, the reasons of what is not supported below."""
        rows: list[tuple[str, ...]] = [_HEAD]
        rows += [(group, *(str(n[o]) for o in OUTCOMES)) for group, n in self.counts(core).items()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
        lines = []
        for name, *numbers in rows:
            cells = [n.rjust(width) for n, width in zip(numbers, widths[1:], strict=True)]
            lines.append("  ".join([name.ljust(widths[0]), *cells]))
        reasons = Counter(r.text for r in self.tests.values() if r.core == core and r.outcome == UNSUPPORTED)
        return lines + [f"not supported ({count}): {text}" for text, count in reasons.items()]

    def page(self) -> str:
        """A web page that needs nothing beside itself."""
        cores = self.cores()
        body = [f"<h1>Conformance of {html.escape(', '.join(cores) or 'no core')}</h1>", _versions()]
        for core in cores:
            body += [f"<h2>{html.escape(core)}</h2>", self._counts_as_html(core)]
            for outcome, text in ((FAILED, "Failed"), (UNSUPPORTED, "Not supported")):
                tests = [r for r in self.tests.values() if r.core == core and r.outcome == outcome]
                if tests:
                    body.append(f"<h3>{text}</h3>")
                    body += [_test_as_html(result) for result in tests]
        head = "<html lang=en>\n<meta charset=utf-8>\n<title>Conformance</title>"
        return "\n".join(["<!DOCTYPE html>", head, _STYLE, *body, "</html>\n"])

    def _counts_as_html(self, core: str) -> str:
        rows = [f"<tr>{''.join(f'<th>{name}</th>' for name in _HEAD)}</tr>"]
        for group, count in self.counts(core).items():
            cells = "".join(
                f'<td class="{outcome.split()[0] if count[outcome] else "none"}">{count[outcome]}</td>'
                for outcome in OUTCOMES
            )
            rows.append(f"<tr><th>{html.escape(group)}</th>{cells}</tr>")
        return "<table>\n" + "\n".join(rows) + "\n</table>"


def _test_as_html(result: Result) -> str:
    test, text = html.escape(result.test), html.escape(result.text)
    return f"<details><summary>{test}</summary><pre>{text}</pre></details>"


def _versions() -> str:
    names = ("vertebra", "triton", "llvmlite", "numpy")
    found = [f"{name} {importlib.metadata.version(name)}" for name in names if _installed(name)]
    return f"<p>{html.escape(', '.join(found))}</p>"


def _installed(name: str) -> bool:
    return bool(list(importlib.metadata.distributions(name=name)))


_STYLE = """<style>
:root { color-scheme: light dark; --good: #1a7f37; --bad: #cf222e; --none: #818b98; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { padding: .25rem 1rem; border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
th { text-align: left; font-weight: 600; }
td { text-align: right; font-variant-numeric: tabular-nums; }
tr:last-child > * { font-weight: 700; border-bottom: 0; }
.passed { color: var(--good); } .failed { color: var(--bad); } .none, .not { color: var(--none); }
summary { cursor: pointer; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .75rem; background: color-mix(in srgb, currentColor 6%, transparent); }
</style>"""
