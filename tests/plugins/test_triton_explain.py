"""`vertebra explain`: lines of a kernel through every stage, and the page in a browser."""

import html.parser
import inspect
import json
import os
import re

import pytest
import triton
import triton.language as tl

from vertebra.core import cli
from vertebra.core.explain.page import data_of, render
from vertebra.core.select import find_core
from vertebra.plugins.triton.explain import explain_function

STAGES = ["ttir", "linalg", "vector", "llir", "asm"]
CORES = ["host", "spacemit-x60", "spacemit-a60"]


@triton.jit
def norm(x, out, n, BLOCK: tl.constexpr):
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        v = tl.load(x + i, mask=i < n, other=0.0)
        total += v * v
    length = tl.sqrt(tl.sum(total, 0))
    for start in range(0, n, BLOCK):
        i = start + tl.arange(0, BLOCK)
        v = tl.load(x + i, mask=i < n)
        tl.store(out + i, v / length, mask=i < n)


LINES, FIRST = inspect.getsourcelines(norm.fn)


def line_of(part: str) -> int:
    return FIRST + next(i for i, line in enumerate(LINES) if part in line)


@pytest.fixture(scope="module", params=CORES)
def report(request):
    core = find_core(request.param)
    return explain_function(norm, signature="*fp32,*fp32,i32", constexpr="BLOCK=64", core=core)


def test_every_line_of_arithmetic_is_found_at_every_stage(report):
    stages = {stage["name"]: stage["lines"] for stage in data_of(report)["stages"]}
    assert list(stages) == STAGES
    for name, lines in stages.items():
        found = {number for _, numbers, _ in lines for number in numbers}
        for part in ("total += v * v", "other=0.0", "tl.sum", "v / length"):
            assert line_of(part) in found, (name, part)
        assert found <= set(range(FIRST, FIRST + len(LINES)))


def test_a_line_links_to_the_operations_that_do_its_work(report):
    wanted = {"ttir": r"math\.sqrt|\"math.sqrt", "linalg": r"math\.sqrt", "llir": r"llvm\.sqrt"}
    for stage in data_of(report)["stages"]:
        if stage["name"] in wanted:
            found = [lines for text, lines, _ in stage["lines"] if re.search(wanted[stage["name"]], text)]
            assert [line_of("tl.sqrt")] in found, stage["name"]
        if stage["name"] == "asm":  # what LLVM moves to another block has no line any more; this stays
            found = [lines for text, lines, _ in stage["lines"] if re.search(r"\bv?f?div", text)]
            assert [line_of("v / length")] in found


def test_most_of_the_machine_code_comes_from_somewhere(report):
    (asm,) = [stage for stage in data_of(report)["stages"] if stage["name"] == "asm"]
    code = [lines for text, lines, _ in asm["lines"] if re.match(r"    [a-z]", text)]
    assert len(code) > 30
    assert sum(bool(lines) for lines in code) > 0.6 * len(code)


def test_every_line_says_which_pass_made_it(report):
    data = data_of(report)
    stages = {"ttir": -1}
    for stage in data["stages"]:
        if stage["name"] == "ttir":
            assert {made for _, _, made in stage["lines"]} == {-1}
            continue
        stages[stage["name"]] = len(data["passes"])
        allowed = STAGES[: STAGES.index(stage["name"]) + 1]
        for _, _, made in stage["lines"]:
            assert made == -1 or data["passes"][made]["stage"] in allowed
    vector = next(stage for stage in data["stages"] if stage["name"] == "vector")
    made = {data["passes"][m]["name"] for text, _, m in vector["lines"] if "vector." in text}
    assert "linalg-to-vector" in made


def test_the_page_stands_alone_and_holds_the_data(report):
    page = render(report)
    tags: list = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            tags.append((tag, dict(attributes)))

    Reader().feed(page)
    assert not [a for _, a in tags if any(name in a for name in ("src", "href"))]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(data) == json.loads(json.dumps(data_of(report)))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    from . import browser  # the commands below run this file as one of no package

    if browser.PROGRAM is None:  # tests/run.sh sees to it
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Chromium: apt-get install chromium")
    running = browser.Browser(tmp_path_factory.mktemp("browser"))
    yield running
    running.close()


@pytest.fixture
def page(report, chromium, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(render(report))
    shown = chromium.open(file.as_uri())
    shown.show(1400, 900, "light")
    yield shown
    assert shown.errors == []
    assert shown.requests == [file.as_uri()]


MARKED = """Object.fromEntries([...panes].map(([name, pane]) =>
    [name, (pane.rows || []).filter(row => row.classList.contains("on"))
      .map(row => Number(row.dataset.index) + 1)]))"""


@pytest.mark.parametrize("report", CORES[-1:], indirect=True)
def test_a_click_shows_a_line_at_every_stage_and_from_there_where_it_comes_from(page, report):
    stages = {s["name"]: s["lines"] for s in data_of(report)["stages"]}
    for name in STAGES:
        if page.run(f"panes.get('{name}').node.hidden"):
            page.click(f"panes.get('{name}').button")
    rows = page.run("Object.fromEntries([...panes].map(([name, pane]) => [name, pane.rows.length]))")
    assert rows == {"source": len(report.source)} | {name: len(lines) for name, lines in stages.items()}
    line = line_of("v / length")
    page.click(f"panes.get('source').rows[{line - 1}]")
    marked = page.run(MARKED)
    assert marked["source"] == [line]
    for name, lines in stages.items():
        expected = [number for number, (_, source, _) in enumerate(lines, 1) if line in source]
        assert marked[name] == expected and expected, name
    visible = """(row => { const r = row.getBoundingClientRect();
        const [x, y] = [r.x + 30, r.y + r.height / 2];
        return row.contains(document.elementFromPoint(x, y)) })"""
    for name in STAGES:  # each pane has moved there
        assert page.run(f"{visible}(panes.get('{name}').rows[{marked[name][0] - 1}])"), name
    assert f"line {line} of the source" in page.run("byId('status').textContent")
    page.click(f"panes.get('asm').rows[{marked['asm'][0] - 1}]")
    back = page.run(MARKED)
    assert line in back["source"] and marked["asm"][0] in back["asm"]
    assert page.run("document.querySelectorAll('.pin').length") == 1
    assert f"asm {marked['asm'][0]}" in page.run("byId('status').textContent")


@pytest.mark.parametrize("report", CORES[-1:], indirect=True)
def test_every_tab_has_its_contents(page, report):
    tabs = page.run("[...document.querySelectorAll('#tabs button')].map(tab => tab.id.slice(4))")
    assert tabs == ["code", "passes", "hot", "layouts", "plugins"]
    for name in tabs:
        page.click(f"byId('tab-{name}')")
        shown = page.run(
            "[...document.querySelectorAll('main > section')].filter(s => !s.hidden).map(s => s.id)"
        )
        assert shown == [name]
        assert page.run(f"byId('{name}').innerText.length") > 40
    page.click("byId('tab-passes')")
    page.click("document.querySelector('tr.more')")
    assert page.run("document.querySelectorAll('#passes tr:not([hidden]) .new').length") > 0
    page.click("byId('tab-hot')")
    hot = data_of(report)["hot"]
    assert page.run("document.querySelector('#hot pre').textContent.trim().split('\\n').length") == (
        hot["last"] - hot["first"] + 1
    )
    page.click("document.querySelector('#hot button')")
    assert hot["first"] + 1 in page.run(MARKED)["asm"]


# Least contrast of the text that is seen with what is behind it (WCAG 2.1, 1.4.3), and its place.
CONTRAST = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => { for (let at = node; at; at = at.parentElement) {
    const c = parts(getComputedStyle(at).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  let least = [99, ""];
  for (const node of document.querySelectorAll("body *:not(script):not(style)")) {
    if (![...node.childNodes].some(c => c.nodeType === 3 && c.data.trim())) continue;
    if (!node.checkVisibility() || node.closest("svg")) continue;
    const pair = [light(parts(getComputedStyle(node).color)), light(behind(node))];
    const found = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (found < least[0]) least = [found, node.outerHTML.slice(0, 200)];
  }
  return least;
})()"""


@pytest.mark.parametrize("report", CORES[-1:], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_both_schemes(page, scheme):
    page.show(1400, 900, scheme)
    back = page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (min(back) > 200) if scheme == "light" else (max(back) < 60)
    for name in ("code", "passes", "hot", "layouts", "plugins"):
        page.click(f"byId('tab-{name}')")
        least, where = page.run(CONTRAST)
        assert least >= 4.5, where
    page.click("byId('theme')")
    other = page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(other) < 60) if scheme == "light" else (min(other) > 200)


@pytest.mark.parametrize("report", CORES[-1:], indirect=True)
@pytest.mark.parametrize("width, height", [(1400, 900), (800, 1000), (400, 800)])
def test_nothing_is_cut_off_or_squeezed(page, width, height):
    page.show(width, height, "light")
    boxes = page.run(
        "[...document.querySelectorAll('.pane:not([hidden])')].map(p => p.getBoundingClientRect())"
        ".map(r => [r.left, r.right, r.top, r.bottom])"
    )
    assert len(boxes) == 3
    for left, right, top, bottom in boxes:
        assert right - left > 200 and bottom - top > 100
        assert left >= 0 and right <= width and top >= 0 and bottom <= height
    for name in ("code", "passes", "hot", "layouts", "plugins"):
        page.click(f"byId('tab-{name}')")
        assert page.run("document.documentElement.scrollWidth") <= width


def test_the_command_writes_the_page(tmp_path, capsys):
    page = tmp_path / "report.html"
    arguments = [f"{__file__}:norm", "--core", "spacemit-x60", "--signature", "*fp32,*fp32,i32"]
    assert cli.main(["explain", *arguments, "--constexpr", "BLOCK=16", "-o", str(page)]) == 0
    assert "<title>norm on spacemit-x60</title>" in page.read_text()
    assert '"roofline":null' in page.read_text()
    launch = ["--args", "n=1000", "--grid", "4", "-o", str(page)]
    assert cli.main(["explain", *arguments, "--constexpr", "BLOCK=16", *launch]) == 0
    assert '"roofline":"\\u003csvg' in page.read_text()
    assert cli.main(["explain", *arguments, "--constexpr", "BLOCK=16", *launch, "--bounds-check"]) == 0
    assert "vertebra_out_of_bounds" in page.read_text()
    assert cli.main(["explain", f"{__file__}:nrom", "-o", str(page)]) == 2
    assert "did you mean norm" in capsys.readouterr().err
    assert cli.main(["explain", f"{__file__}:norm", *arguments[3:], "-o", str(tmp_path / "no" / "x")]) == 2
