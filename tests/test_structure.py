"""The shape of the tree: imports point one way, and the wheel holds every package."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("core", "dialects", "lowering", "plugins")
KIT = "kit"  # stands beside the layers: it imports the core alone, and nothing imports it
MODULES = [path for layer in (*LAYERS, KIT) for path in sorted((ROOT / layer).rglob("*.py"))]
# Packages whose source is elsewhere.
SHIPPED = {"tests/conformance": "vertebra.kit.suite", "examples": "vertebra.kit.examples"}


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
        if KIT in (layer, other):
            assert layer == KIT and other in (KIT, "core"), f"{layer} must not import {name}"
            continue
        assert LAYERS.index(other) <= LAYERS.index(layer), f"{layer} must not import {name}"
        if layer == other == "plugins":
            assert inner[0] == rest[0], f"plugin {rest[0]} must not import plugin {inner[0]}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_one_module_names_the_mlir_wheel(path):
    if path != ROOT / "core" / "mlir.py":
        assert "torch_mlir" not in path.read_text()


def packages_under(folder: str, name: str) -> set[str]:
    """The folders with code at `folder`, as packages below the one called `name`."""
    root = ROOT / folder
    found = {path.parent.relative_to(root) for kind in ("*.py", "*.c") for path in root.rglob(kind)}
    distributions = {path.parent.relative_to(root) for path in root.rglob("pyproject.toml")}
    return {
        ".".join([name, *path.parts])
        for path in found
        if not any(path.is_relative_to(other) for other in distributions)
    }


def test_every_package_is_in_the_wheel():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    present = set().union(*(packages_under(layer, f"vertebra.{layer}") for layer in (*LAYERS, KIT)))
    present |= set().union(*(packages_under(*pair) for pair in SHIPPED.items()))
    assert set(setuptools["packages"]) == present
    places = {name: folder for folder, name in SHIPPED.items()}
    assert setuptools["package-dir"] == {"vertebra": "."} | places
