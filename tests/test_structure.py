"""The shape of the tree: imports point one way, and the wheel holds every package."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("core", "dialects", "lowering", "plugins")
MODULES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The dotted names under `vertebra` that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import names no layer"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("vertebra.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    layer, *rest = path.relative_to(ROOT).parts
    for name in imported(path):
        _, other, *inner = name.split(".")
        assert LAYERS.index(other) <= LAYERS.index(layer), f"{layer} must not import {name}"
        if layer == other == "plugins":
            assert inner[0] == rest[0], f"plugin {rest[0]} must not import plugin {inner[0]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_one_module_names_the_mlir_wheel(path):
    if path != ROOT / "core" / "mlir.py":
        assert "torch_mlir" not in path.read_text()


def test_every_package_is_in_the_wheel():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    present = {
        "vertebra." + ".".join(path.parent.relative_to(ROOT).parts)
        for layer in LAYERS
        for kind in ("*.py", "*.c")
        for path in (ROOT / layer).rglob(kind)
    }
    assert listed == present
