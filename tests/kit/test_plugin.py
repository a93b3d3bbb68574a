"""The kit's options, in pytests of their own that run from other folders."""

import os
import subprocess
import sys
import xml.etree.ElementTree as xml

import pytest

from vertebra.kit import plugin

GROUP = ("--vertebra-group", "masks")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A project of someone else, with a test that is not the suite's."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "test_mine.py").write_text("def test_mine():\n    pass\n")
    return folder


def run(folder, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=250)


def test_the_suite_runs_from_anywhere(elsewhere, tmp_path):
    done = run(
        elsewhere,
        *("-n", "2", "--vertebra-core", "HOST", *GROUP),  # results of several processes come together
        *("--vertebra-html", str(tmp_path / "page.html"), "--junitxml", str(tmp_path / "junit.xml")),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conformance of host" in done.stdout and "test_mine" not in done.stdout
    table = [line.split() for line in done.stdout.splitlines()]
    (count,) = (row[1] for row in table if row[:1] == ["masks"])
    assert int(count) >= 10
    assert ["all", count, "0", "0"] in table
    assert f'<td class="passed">{count}</td>' in (tmp_path / "page.html").read_text()
    cases = xml.parse(tmp_path / "junit.xml").getroot().findall(".//testcase")
    assert len(cases) == int(count)
    values = {(p.get("name"), p.get("value")) for case in cases for p in case.iter("property")}
    assert values == {("vertebra_core", "host"), ("vertebra_group", "masks")}


def test_without_its_options_it_stays_away(elsewhere):
    done = run(elsewhere, "-q")
    assert done.returncode == 0 and "1 passed" in done.stdout and "conformance" not in done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--vertebra-core", "hosst"), "there is no core 'hosst'"),
        (("--vertebra-core", "interpreter"), "there is no core 'interpreter'"),
        (
            ("--vertebra-core", "host", "--vertebra-group", "mask"),
            "there is no group mask; there are: arithmetic",
        ),
    ],
)
def test_what_there_is_not_is_told(elsewhere, arguments, message):
    done = run(elsewhere, "-q", *arguments)
    assert done.returncode == 4
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_group_that_there_is_not_is_told_with_those_that_there_are(elsewhere):
    done = run(elsewhere, "-q", "--collect-only", "--vertebra-core", "host", "--vertebra-group", "mask")
    assert done.returncode == 4
    line = next(
        x for x in (done.stdout + done.stderr).splitlines() if "there is no group mask; there are" in x
    )
    groups = set(line.split("there are: ")[1].split(", "))
    assert groups >= {"instructions", "memory", "masks", "arithmetic", "reductions", "dots"}
    assert groups >= {"attention", "concurrency"}


def test_the_suite_and_the_examples_are_found():
    assert (plugin.suite() / "test_kernels.py").exists()
    assert (plugin.folder("examples", "examples") / "attention.py").exists()
