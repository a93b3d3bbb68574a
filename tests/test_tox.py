"""tox.ini: every environment has something to run, on files that exist, with plugins that exist."""

import configparser
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOX = configparser.ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")
ENVIRONMENTS = re.split(r",\s*", TOX["tox"]["env_list"])
PLUGINS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["vertebra"])


def lines(name: str, key: str) -> list[str]:
    """The lines of `key` that hold for environment `name`."""
    for section in TOX.sections():
        names = re.split(r"[{},\s]+", section.removeprefix("testenv:"))
        if section.startswith("testenv:") and name in names:
            return TOX[section].get(key, "").strip().splitlines()
    texts = TOX["testenv"].get(key, "").strip().splitlines()
    return [text.split(":", 1)[1].strip() for text in texts if text.split(":")[0] == name]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_runs_something_that_exists(name):
    commands = lines(name, "commands")
    assert commands
    folder = ROOT / "".join(lines(name, "change_dir"))
    for word in " ".join(commands).replace("--ignore=", "").split():
        if "/" in word and not word.startswith("{"):
            assert (folder / word).exists(), word


def chosen(name: str) -> list[str]:
    return [line for line in lines(name, "set_env") if line.startswith("VERTEBRA_PLUGINS")]


@pytest.mark.parametrize("name", [e for e in ENVIRONMENTS if chosen(e)])
def test_environments_load_plugins_that_exist(name):
    (text,) = chosen(name)
    for key, value in TOX["plugins"].items():
        text = text.replace(f"{{[plugins]{key}}}", value)
    assert text.startswith("VERTEBRA_PLUGINS = ")
    named = set(text.removeprefix("VERTEBRA_PLUGINS = ").split(","))
    assert named <= PLUGINS and "{" not in text


def test_every_target_and_dialect_has_one():
    assert {"host", "rvv", "ime", "ame", "example"} | {"tt", "ttx", "tle", "xsmt", "xsmt_async"} <= set(
        ENVIRONMENTS
    )
    assert {"lint", "types", "docs", "core"} <= set(ENVIRONMENTS)
