"""`vertebra explain`: lines of a kernel through every stage, and the page in a browser."""

import html.parser
import inspect
import json
import re
import shutil
import subprocess

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


PROBE = """
<script>
addEventListener("error", (event) => document.body.setAttribute("data-error", event.message));
</script>
"""
CHECK = """
<script>
const out = {};
try {
  out.tabs = [...document.querySelectorAll("#tabs button")].map((tab) => tab.textContent);
  document.querySelectorAll("#stages button[aria-pressed=false]").forEach((button) => button.click());
  out.rows = Object.fromEntries([...panes].map(([name, pane]) => [name, pane.rows.length]));
  panes.get("source").rows[LINE - 1].click();
  const marked = (pane) => pane.rows.filter((row) => row.classList.contains("on"));
  out.on = Object.fromEntries(
    [...panes].map(([name, pane]) => [name, marked(pane).map((row) => row.textContent)]));
  out.status = byId("status").textContent;
  for (const tab of document.querySelectorAll("#tabs button")) tab.click();
  const sections = [...document.querySelectorAll("main > section")];
  out.sections = Object.fromEntries(sections.map((section) => [section.id, section.textContent.length]));
  document.querySelector("tr.more").click();
  out.changes = document.querySelectorAll("#passes .new").length;
  const back = () => getComputedStyle(document.body).backgroundColor;
  const before = back();
  byId("theme").click();
  out.themes = [before, back()];
} catch (error) { out.error = String(error); }
document.body.setAttribute("data-check", JSON.stringify(out));
</script>
"""
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: `apt install chromium`")
def test_the_page_works_in_a_browser(report, tmp_path):
    page = render(report).replace("<header>", PROBE + "<header>", 1)
    check = CHECK.replace("LINE", str(line_of("v / length")))
    (tmp_path / "page.html").write_text(page.replace("</body>", check + "</body>"))
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    done = subprocess.run(
        [BROWSER, *options, "--dump-dom", f"file://{tmp_path}/page.html"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    body = html.unescape(re.search(r'data-check="([^"]*)"', done.stdout)[1])
    out = json.loads(body)
    assert "error" not in out and not re.search(r"<body[^>]*data-error", done.stdout), out
    assert out["tabs"][:2] == ["Stages", "Passes"]
    data = data_of(report)
    assert out["rows"] == {"source": len(report.source)} | {
        s["name"]: len(s["lines"]) for s in data["stages"]
    }
    assert all(out["on"][name] for name in ("source", *STAGES))
    assert len(out["on"]["source"]) == 1 and "v / length" in out["on"]["source"][0]
    assert any("div" in row for row in out["on"]["asm"])
    assert f"line {line_of('v / length')} of the source" in out["status"]
    assert all(out["sections"][name] > 20 for name in ("passes", "hot", "layouts", "plugins"))
    assert out["changes"] > 0
    assert out["themes"][0] != out["themes"][1]


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
