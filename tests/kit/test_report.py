"""The table and the page of a conformance run, from reports that are made here."""

import html.parser
import types

from vertebra.kit.report import Results


def report(test: str, core: str, group: str, when="call", outcome="passed", text=""):
    skipped = ("suite.py", 3, f"Skipped: {text}") if outcome == "skipped" else text
    return types.SimpleNamespace(
        nodeid=f"test_x.py::{test}[{core}]",
        when=when,
        passed=outcome == "passed",
        failed=outcome == "failed",
        skipped=outcome == "skipped",
        longrepr=skipped,
        longreprtext=text,
        user_properties=[("vertebra_core", core), ("vertebra_group", group)],
    )


def results(*reports) -> Results:
    made = Results()
    for one in reports:
        made.add(one)
    return made


RUN = (
    report("a", "k1", "dots", when="setup"),
    report("a", "k1", "dots"),
    report("a", "k1", "dots", when="teardown"),
    report("b", "k1", "dots", outcome="failed", text="wrong: <3 & 4>"),
    report("b", "k1", "dots", when="teardown"),
    report("c", "k1", "masks"),
    report("c", "k1", "masks", when="teardown", outcome="failed", text="left something"),
    report("d", "k1", "instructions", when="setup", outcome="skipped", text="k1 has none"),
    report("e", "k1", "instructions", outcome="skipped", text="k1 has none"),
    report("f", "k1", "masks", when="setup", outcome="failed", text="no machine"),
    report("a", "k2", "dots"),
)


def test_each_test_counts_once_and_any_phase_can_fail_it():
    found = results(*RUN)
    assert found.cores() == ["k1", "k2"]
    assert found.counts("k1") == {
        "dots": {"passed": 1, "failed": 1},
        "instructions": {"not supported": 2},
        "masks": {"failed": 2},
        "all": {"passed": 1, "failed": 3, "not supported": 2},
    }
    assert found.counts("k2") == {"dots": {"passed": 1}, "all": {"passed": 1}}


def test_other_tests_do_not_count():
    other = report("a", "k1", "dots")
    other.user_properties = []
    assert results(other).cores() == []


def test_the_table():
    head, *lines = results(*RUN).table("k1")
    assert head.split("  ")[0] == "group" and head.endswith("passed  failed  not supported")
    assert [line.split() for line in lines[:-1]] == [
        ["dots", "1", "1", "0"],
        ["instructions", "0", "0", "2"],
        ["masks", "0", "2", "0"],
        ["all", "1", "3", "2"],
    ]
    assert lines[-1] == "not supported (2): k1 has none"


class Page(html.parser.HTMLParser):
    """The page's cells and texts; every element that is opened must be closed in its turn."""

    VOID = {"meta"}

    def __init__(self, text: str):
        super().__init__()
        self.open, self.texts, self.links = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.texts.append(data.strip())


def test_the_page_needs_nothing_beside_itself():
    text = results(*RUN).page()
    page = Page(text)
    assert page.links == [] and "http" not in text and "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert "wrong: <3 & 4>" in page.texts and "k1 has none" in page.texts
    assert page.texts.count("Failed") == 1 and page.texts.count("Not supported") == 1
    cells = page.texts[page.texts.index("group") :]
    assert cells[4:8] == ["dots", "1", "1", "0"]


def test_the_page_of_an_empty_run():
    assert "Conformance of no core" in Page(results().page()).texts
