"""Pages that are made of the code say all of it, and pages that are not agree with the code."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from vertebra.core import cli, hooks, pipeline

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LAYERS = ("core", "kit", "lowering", "plugins")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("docs_pages", ROOT / "tools" / "docs_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def hook_names() -> list[str]:
    return [name for name in vars(hooks.Hooks) if name.startswith("vertebra_")]


def test_every_hook_has_a_paragraph_and_its_records(pages):
    page = pages["hooks.md"]
    for name in hook_names():
        assert re.search(rf"^### `{name}\(.*\)`$", page, re.MULTILINE), name
    anchors = set(re.findall(r"\{#([\w.]+)\}", page))
    assert anchors >= set(re.findall(r"\]\(#([\w.]+)\)", page))
    assert {"vertebra.core.target.Core", "vertebra.core.target.VectorUnit"} <= anchors


def test_fields_have_type_default_and_meaning(pages):
    page = pages["hooks.md"]
    assert "| `clock` | `float` | `1.6` | GHz. |" in page
    assert "| `phase` | `Phase` |" in page
    assert re.search(r"\| `peak.*`|`legal\(m, n, k\)`", page), "methods are listed too"


def test_every_command_and_argument_is_there(pages):
    page = pages["commands.md"]
    (subparsers,) = (a for a in cli.parser()._actions if a.choices)
    for name, parser in subparsers.choices.items():
        section = page.split(f"## vertebra {name}\n")[1].split("\n## ")[0]
        for action in parser._actions:
            for option in {*action.option_strings} - {"-h", "--help"}:
                assert f"| `{option}" in section or f", {option}" in section, (name, option)


def test_every_variable_is_documented():
    """What the code asks the environment for, in Python and in C."""
    asked = set()
    for layer in LAYERS:
        for path in (*(ROOT / layer).rglob("*.py"), *(ROOT / layer).rglob("*.c")):
            asked |= set(re.findall(r'"((?:VERTEBRA|SPINE_TRITON)_[A-Z_]*[A-Z])"', path.read_text()))
    told = set(re.findall(r"^\| `(\w+)` \|", (DOCS / "environment.md").read_text(), re.MULTILINE))
    assert told == asked - {"VERTEBRA_API"}  # which is a name in plugins


def test_the_picture_shows_stages_and_hooks_that_exist():
    picture = (DOCS / "way.svg").read_text()
    words = re.findall(r"\w+", re.sub(r"<[^>]+>", " ", picture))
    assert set(pipeline.STAGES) <= set(words)
    assert {word for word in words if word.startswith("vertebra_")} <= set(hook_names())


def test_every_page_can_be_reached(pages):
    menu = (ROOT / "mkdocs.yml").read_text()
    for name in (*(path.name for path in DOCS.glob("*.md")), *pages):
        assert re.search(rf": {re.escape(name)}$", menu, re.MULTILINE), name


def definitions(text: str) -> dict[str, str]:
    """Classes and functions by name, as they mean: without docstrings, annotations of arguments, comments."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef):
                    inner.returns = None
                    for argument in inner.args.args:
                        argument.annotation = None
                    if ast.get_docstring(inner):
                        inner.body = inner.body[1:]
            found[node.name] = ast.unparse(node)
    return found


@pytest.mark.parametrize("file", ["dialect.py", "lowering.py"])
def test_the_page_on_dialects_shows_the_example(file):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "new_dialect.md").read_text(), re.DOTALL)
    shown = {name: text for block in blocks for name, text in definitions(block).items()}
    example = ROOT / "examples" / "new_dialect" / "vertebra_saturate" / file
    for name, text in definitions(example.read_text()).items():
        assert shown[name] == text
