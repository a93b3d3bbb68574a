"""The fixtures of the conformance suite.

Every installed core is tested; `--vertebra-core NAME`, which may be repeated, restricts the run.  With
TRITON_INTERPRET=1, `--vertebra-core interpreter` runs the table in Triton's own interpreter instead:
that checks the kernels and the references, without anything of ours.
"""

import pytest

from .case import INTERPRETER


def installed_cores() -> list[str]:
    """The names of all cores that any plugin declares."""
    from vertebra.core import hooks

    return list(hooks.cores())


def instructions_of(core: str) -> list[str | None]:
    """The names of the instructions that `core` has beyond what LLVM knows; [None] where it has none."""
    from vertebra.core import hooks

    extensions = hooks.cores()[core].extensions if core != INTERPRETER else frozenset()
    return [name for name, record in hooks.instructions().items() if record.requires & extensions] or [None]


def pytest_generate_tests(metafunc):
    if "core" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("vertebra_core", default=None) or installed_cores()
        if "instruction" in metafunc.fixturenames:
            pairs = [(core, name) for core in chosen for name in instructions_of(core)]
            metafunc.parametrize("core, instruction", pairs, scope="session")
        else:
            metafunc.parametrize("core", chosen, scope="session")


@pytest.fixture(scope="session", autouse=True)
def every_configuration():
    """Kernels that are tuned run with all configurations, in every run of the suite."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VERTEBRA_TUNING", "0")
        environment.setenv("VERTEBRA_TUNING_KEEP", "1")
        yield


@pytest.fixture(scope="session")
def reasons():
    """Core -> why nothing here can run it, or None where something can."""
    return {}


@pytest.fixture
def use_core(reasons):
    """use_core(name): launches go to that core until the test ends; fails where nothing can run it."""
    from vertebra.core import select
    from vertebra.core.errors import LaunchError

    def use(core: str) -> None:
        if core not in reasons:
            reasons[core] = None
            try:
                select.runtime_for(select.find_core(core))
            except LaunchError as error:
                reasons[core] = str(error)
        if reasons[core] is not None:
            pytest.fail(reasons[core], pytrace=False)
        select.set_core(core)

    yield use
    select.set_core(None)


@pytest.fixture
def run(request):
    """run(core, kernel, grid, args, meta): one launch of `kernel[grid](**args, **meta)` on `core`."""

    def launch(core: str, kernel, grid, args: dict, meta: dict) -> None:
        if core != INTERPRETER:
            request.getfixturevalue("use_core")(core)
        kernel[grid](**args, **meta)

    return launch
