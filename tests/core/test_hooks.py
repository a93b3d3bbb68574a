"""The plugin manager, on plugins that are made here: broken ones, rivals, and strangers' hooks."""

import importlib.metadata
import subprocess
import sys
import threading
import types

import attrs
import pytest

from vertebra.core import context, hooks, pipeline, select
from vertebra.core.compile import render
from vertebra.core.errors import CompileError, ConfigError
from vertebra.core.hooks import hookimpl
from vertebra.core.target import Core, Lowering, Pass, Phase, Target, VectorUnit

CACHED = (
    hooks.plugins,
    hooks.dialects,
    hooks.lowerings,
    hooks.cores,
    hooks.targets,
    hooks.runtimes,
    hooks.commands,
    hooks.fingerprint,
)


@attrs.frozen
class Entry:
    """What `importlib.metadata.entry_points` gives for one plugin."""

    name: str
    module: object
    dist: object = None

    def load(self):
        if isinstance(self.module, Exception):
            raise self.module
        return self.module


def returner(value):
    def returned():
        if isinstance(value, Exception):
            raise value
        return value

    return returned


def plugin(**implementations) -> types.ModuleType:
    """A module whose hook `vertebra_<name>` returns (or raises) what is given for <name>."""
    module = types.ModuleType("made_here")
    for name, value in implementations.items():
        setattr(module, f"vertebra_{name}", hookimpl(returner(value)))
    return module


@pytest.fixture
def install(monkeypatch):
    """Replaces all installed plugins by name=module; an exception stands for an import that raises it."""

    def installed(*entries: Entry, **modules):
        found = [*entries, *(Entry(name, module) for name, module in modules.items())]
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
        monkeypatch.setattr(context, "_local", threading.local())  # whose context knows other dialects
        for function in CACHED:
            function.cache_clear()

    yield installed
    monkeypatch.undo()
    for function in CACHED:
        function.cache_clear()


def core(name: str, target: str = "toy") -> Core:
    return Core(
        name=name,
        target=target,
        arch="riscv64",
        triple="riscv64-linux-gnu",
        isa="rv64gcv",
        vector=VectorUnit(256),
    )


def test_our_own_plugins_come_through_entry_points():
    names = {name for name, _ in hooks.plugins().manager.list_name_plugin()}
    assert names == {e.name for e in importlib.metadata.entry_points(group="vertebra")} != set()
    assert hooks.plugins().broken == ()


def test_the_core_imports_no_plugin():
    """Nor a lowering or a dialect, in a process that asks for nothing."""
    program = (
        "import sys, vertebra.core.compile, vertebra.core.select, vertebra.core.cli\n"
        "others = tuple(f'vertebra.{part}' for part in ('plugins', 'lowering', 'dialects'))\n"
        "print(*(m for m in sys.modules if m.startswith(others)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_plugin_that_fails_to_import_is_recorded_and_the_others_work(install):
    install(bad=ImportError("no module named nope"), good=plugin(cores=[core("a")]))
    assert hooks.plugins().broken == (hooks.Broken("bad", "ImportError: no module named nope"),)
    assert list(hooks.cores()) == ["a"]


def test_the_environment_chooses_plugins(install, monkeypatch):
    modules = {name: plugin(cores=[core(name)]) for name in "abc"}
    for text, found in (("a, c", ["a", "c"]), ("b", ["b"]), ("", ["a", "b", "c"])):
        monkeypatch.setenv("VERTEBRA_PLUGINS", text)
        install(**modules)
        assert list(hooks.cores()) == found
    monkeypatch.setenv("VERTEBRA_PLUGINS", "a d")
    install(**modules)
    with pytest.raises(ConfigError, match=r"VERTEBRA_PLUGINS names d, .*\nfix: use some of a, b, c"):
        hooks.plugins()


def test_a_plugin_with_a_misspelt_hook_is_recorded_and_gives_nothing(install):
    install(bad=plugin(core=[core("b")], cores=[core("c")]), good=plugin(cores=[core("a")]))
    (broken,) = hooks.plugins().broken
    assert broken.name == "bad"
    assert "vertebra_core" in broken.reason
    assert list(hooks.cores()) == ["a"]


def test_a_plugin_whose_hook_wants_what_there_is_not_is_recorded_and_gives_nothing(install):
    bad = plugin(targets=[Target("t")])
    bad.vertebra_cores = hookimpl(lambda machine: [core("b")])
    install(bad=bad, good=plugin(cores=[core("a")]))
    (broken,) = hooks.plugins().broken
    assert "machine" in broken.reason
    assert list(hooks.cores()) == ["a"]
    assert hooks.targets() == {}


def test_two_plugins_of_one_name_are_recorded(install):
    install(Entry("twice", plugin(cores=[core("a")])), Entry("twice", plugin(cores=[core("b")])))
    (broken,) = hooks.plugins().broken
    assert broken.name == "twice"
    assert list(hooks.cores()) == ["a"]


@pytest.mark.parametrize("kind", ["core", "target", "runtime", "command"])
def test_two_plugins_that_claim_one_name_are_both_named(install, kind):
    item = types.SimpleNamespace(name="k9")
    other = types.SimpleNamespace(name="k1")
    install(left=plugin(**{f"{kind}s": [item]}), right=plugin(**{f"{kind}s": [item, other]}))
    found = getattr(hooks, f"{kind}s")()
    assert list(found.values()) == [other]
    assert "k9" in found and "k2" not in found
    with pytest.raises(ConfigError, match=f"{kind} 'k9' is declared by two plugins, left and right"):
        found["k9"]
    with pytest.raises(KeyError):
        found["k2"]


def test_two_plugins_that_claim_one_dialect_are_both_named(install):
    dialect = types.SimpleNamespace(DIALECT_NAMESPACE="tile")
    install(left=plugin(dialects=[dialect]), right=plugin(dialects=[dialect]))
    with pytest.raises(ConfigError, match="dialect 'tile' is declared by two plugins, left and right"):
        hooks.dialects()["tile"]


def test_a_core_that_two_plugins_claim_cannot_be_chosen_and_the_others_can(install):
    install(left=plugin(cores=[core("k9"), core("k1")]), right=plugin(cores=[core("k9")]))
    assert select.find_core("k1").name == "k1"
    with pytest.raises(ConfigError, match="core 'k9' is declared by two plugins, left and right"):
        select.find_core("k9")


def test_a_target_that_two_plugins_claim_is_told_by_the_cores_that_use_it(install):
    install(left=plugin(targets=[Target("toy")]), right=plugin(targets=[Target("toy"), Target("good")]))
    with pytest.raises(ConfigError, match="target 'toy' is declared by two plugins, left and right"):
        pipeline.target_of(core("c"))
    assert pipeline.target_of(core("c", target="good")).name == "good"


@pytest.mark.parametrize("version, whose", [(hooks.API + 1, "vertebra"), (hooks.API - 1, "the plugin")])
def test_a_plugin_for_other_hooks_is_recorded_and_the_others_work(install, version, whose):
    stale, good = plugin(cores=[core("b")]), plugin(cores=[core("a")])
    stale.VERTEBRA_API, good.VERTEBRA_API = version, hooks.API
    install(stale=stale, good=good)
    (broken,) = hooks.plugins().broken
    assert broken.name == "stale"
    assert f"built for version {version} of the hooks, this vertebra has version {hooks.API}" in broken.reason
    assert f"install a version of {whose} that is as new" in broken.reason
    assert list(hooks.cores()) == ["a"]


def test_a_hook_that_raises_names_its_plugin(install):
    install(bad=plugin(cores=ZeroDivisionError("by zero")))
    with pytest.raises(ConfigError, match="plugin bad fails in vertebra_cores: ZeroDivisionError") as caught:
        hooks.cores()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_that_a_hook_raises_on_purpose_passes(install):
    install(careful=plugin(cores=ConfigError("set VERTEBRA_BOARD", fix="export it")))
    with pytest.raises(ConfigError, match=r"^set VERTEBRA_BOARD"):
        hooks.cores()


@pytest.mark.parametrize("answer", [None, 5], ids=str)
def test_a_hook_that_gives_no_list_names_its_plugin(install, answer):
    install(bad=plugin(cores=answer))
    with pytest.raises(ConfigError, match="plugin bad fails in vertebra_cores: TypeError"):
        hooks.cores()


def test_a_hook_that_gives_something_else_names_its_plugin(install):
    install(bad=plugin(cores=["spacemit-x60"]))
    with pytest.raises(ConfigError, match="plugin bad gives a str as a core"):
        hooks.cores()


def test_items_are_in_order_of_their_plugins_and_lowerings_in_order_of_their_phases(install):
    def step(name: str, phase: Phase) -> Lowering:
        return Lowering(name, phase, "canonicalize")

    install(
        z=plugin(
            cores=[core("z1"), core("z0")],
            lowerings=[step("z-lower", Phase.LOWER), step("z-first", Phase.STRUCTURE)],
        ),
        a=plugin(cores=[core("a")], lowerings=[step("a-last", Phase.FINISH), step("a-lower", Phase.LOWER)]),
    )
    assert list(hooks.cores()) == ["a", "z1", "z0"]
    assert [s.name for s in hooks.lowerings()] == ["z-first", "a-lower", "z-lower", "a-last"]


# -- targets that extend targets


def passes(*names: str) -> tuple[Pass, ...]:
    return tuple(Pass(name, "canonicalize") for name in names)


def test_a_target_takes_the_stages_that_it_leaves_out_from_the_one_it_extends(install):
    install(
        base=plugin(targets=[Target("base", stages={"vector": passes("v"), "llvm": passes("l")})]),
        mid=plugin(targets=[Target("mid", extends="base", stages={"llvm": passes("m")})]),
        top=plugin(targets=[Target("top", extends="mid", stages={})]),
    )
    found = pipeline.target_of(core("c", target="top"))
    names = {stage: [p.name for p in steps] for stage, steps in found.stages.items()}
    assert names == {"vector": ["v"], "llvm": ["m"]}


def test_a_target_that_extends_a_missing_one_says_what_there_is(install):
    install(toy=plugin(targets=[Target("toy", extends="rvv9")]), host=plugin(targets=[Target("host")]))
    with pytest.raises(ConfigError, match=r"toy -> rvv9 does not exist\n.*installed targets: host, toy"):
        pipeline.target_of(core("c"))


def test_targets_that_extend_each_other_are_refused(install):
    install(toy=plugin(targets=[Target("toy", extends="other"), Target("other", extends="toy")]))
    with pytest.raises(ConfigError, match="target toy -> other -> toy extends itself"):
        pipeline.target_of(core("c"))


def test_a_target_without_a_stage_is_refused(install):
    install(toy=plugin(targets=[Target("toy", stages={"vector": ()})]))
    with pytest.raises(ConfigError, match="target toy of core c has no passes for stage llvm"):
        pipeline.passes_to("llvm", core("c"))


def test_a_broken_lowering_of_a_plugin_is_a_compile_error(install):
    def run(module, core, options):
        raise ZeroDivisionError("by zero")

    step = Lowering("toy-to-linalg", Phase.LOWER, run)
    install(toy=plugin(targets=[Target("toy", stages={})], lowerings=[step]))
    with pytest.raises(CompileError, match="in pass toy-to-linalg: ZeroDivisionError: by zero"):
        render("func.func @k() { return }", "linalg", core("c"))


# -- the fingerprint


@attrs.frozen
class Distribution:
    name: str
    version: str
    requires: tuple = ()


def test_the_fingerprint_follows_versions_of_plugins_and_of_what_they_require(install, monkeypatch):
    module = plugin()
    versions = {"llvmlite": "0.50.0"}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: versions[name])

    def fingerprint(version: str, requires=("llvmlite>=0.50", 'pytest>=8; extra == "test"')) -> str:
        install(Entry("toy", module, Distribution("toy", version, requires)))
        return hooks.fingerprint()

    first = fingerprint("1.0")
    assert fingerprint("1.0") == first
    assert fingerprint("1.1") != first
    versions["llvmlite"] = "0.51.0"
    assert fingerprint("1.0") != first


def test_the_fingerprint_follows_the_code_of_a_plugin(install, tmp_path):
    package, lone = plugin(), plugin()
    (tmp_path / "package").mkdir()
    files = [tmp_path / "package" / "__init__.py", tmp_path / "package" / "inner.py", tmp_path / "lone.py"]
    package.__file__, package.__path__ = str(files[0]), [str(tmp_path / "package")]
    lone.__file__ = str(files[2])
    stranger = tmp_path / "stranger.py"
    for file in (*files, stranger):
        file.write_text("")

    def fingerprint() -> str:
        install(package=package, lone=lone)
        return hooks.fingerprint()

    seen = {fingerprint()}
    for file in files:
        file.write_text("x = 1")
        seen.add(fingerprint())
    assert len(seen) == 4
    stranger.write_text("x = 1")
    assert fingerprint() in seen
