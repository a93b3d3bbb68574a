"""The plugin of pytest: options, which tests run, and the table of results for each group."""

import os
from pathlib import Path

import pytest

from vertebra.kit.report import Results

INTERPRETER = "interpreter"  # Triton's own, which checks the kernels and the references
MARKER = "vertebra_group"


def folder(name: str, in_checkout: str) -> Path:
    """A folder that ships with the kit, or, in a checkout, its source."""
    here = Path(__file__).parent
    shipped = here / name
    return shipped if shipped.is_dir() else here.parent / in_checkout


def suite() -> Path:
    """The folder of the conformance suite."""
    return folder("suite", "tests/conformance")


def pytest_addoption(parser):
    group = parser.getgroup("vertebra", "conformance of vertebra's cores")
    group.addoption(
        "--vertebra-core",
        action="append",
        metavar="NAME",
        help="test this core only (repeatable); without paths, run the conformance suite",
    )
    group.addoption(
        "--vertebra-group",
        action="append",
        metavar="GROUP",
        help="only the tests of this group of the suite (repeatable): instructions, dots, attention, ...",
    )
    group.addoption("--vertebra-html", metavar="FILE", help="write the table and all failures as a web page")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.addinivalue_line("markers", f"{MARKER}(name): the group of the suite in which a test counts")
    if config.option.vertebra_core:
        config.option.vertebra_core = [_canonical(name) for name in config.option.vertebra_core]
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args[:] = [str(suite())]
            # The suite has no package of its own; other ways of importing it put its folder on sys.path.
            config.option.importmode = "importlib"
    config.pluginmanager.register(_Run(config), "vertebra-results")


def _canonical(name: str) -> str:
    """The name of the core that is meant.  Raises UsageError where there is none."""
    from vertebra.core.errors import VertebraError
    from vertebra.core.select import find_core

    if name == INTERPRETER and os.environ.get("TRITON_INTERPRET") == "1":
        return name
    try:
        return find_core(name).name
    except VertebraError as error:
        raise pytest.UsageError(f"--vertebra-core: {error}") from None


def group_of(item) -> str:
    """What its mark says, or else the name of its file."""
    mark = item.get_closest_marker(MARKER)
    return mark.args[0] if mark else item.path.stem.removeprefix("test_").replace("_", " ")


def core_of(item) -> str | None:
    """The core that a test of the suite is for; None of other tests."""
    if not item.path.is_relative_to(suite()):
        return None
    return item.callspec.params.get("core") if hasattr(item, "callspec") else None


class _Run:
    """What one session ran; under xdist the results come together in the process that started it."""

    def __init__(self, config):
        self.config = config
        self.results = Results()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        kept, left = [], []
        groups = config.option.vertebra_group
        for item in items:
            core = core_of(item)
            if core is not None:
                item.user_properties += [("vertebra_core", core), ("vertebra_group", group_of(item))]
            of_suite = item.path.is_relative_to(suite())
            no_core = of_suite and core is None and config.option.vertebra_core
            other_group = groups and group_of(item) not in groups
            (left if no_core or other_group else kept).append(item)
        if groups and (unknown := set(groups) - {group_of(item) for item in items}):
            known = ", ".join(sorted({group_of(item) for item in items}))
            raise pytest.UsageError(f"there is no group {', '.join(sorted(unknown))}; there are: {known}")
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = kept

    def pytest_runtest_logreport(self, report):
        self.results.add(report)

    def pytest_terminal_summary(self, terminalreporter):
        if not self.results.cores() or not self._shown():
            return
        for core in self.results.cores():
            terminalreporter.section(f"conformance of {core}")
            for line in self.results.table(core):
                terminalreporter.write_line(line)

    def pytest_sessionfinish(self):
        page = self.config.option.vertebra_html
        if page and not hasattr(self.config, "workerinput"):
            Path(page).write_text(self.results.page())

    def _shown(self) -> bool:
        return bool(self.config.option.vertebra_core) or self.config.option.verbose > 0
