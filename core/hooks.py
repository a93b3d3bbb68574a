"""The hooks a plugin may implement, and the manager that finds and asks plugins.

A plugin is a module named under the entry-point group `vertebra`; the core names
none of them.  Importing a plugin only declares: it touches no context and no device.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import re
from pathlib import Path

import attrs
import pluggy

from vertebra.core.errors import ConfigError, VertebraError

GROUP = "vertebra"
# Changes when a hook, or a record that hooks give, changes so that plugins must be changed too.  A plugin
# that states `VERTEBRA_API = 1` is refused by any other version.
API = 1
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Hooks:
    """Every hook returns a list; the lists of all plugins are joined."""

    @hookspec
    def vertebra_dialects(self):
        """Dialects (`vertebra.core.dialect.Dialect` classes) that textual IR may use."""

    @hookspec
    def vertebra_lowerings(self):
        """`Lowering` records (`vertebra.core.target.Lowering`): steps from a dialect towards the `linalg`
        stage."""

    @hookspec
    def vertebra_cores(self):
        """`Core` records (`vertebra.core.target.Core`): processors that kernels can be compiled for."""

    @hookspec
    def vertebra_targets(self):
        """`Target` records (`vertebra.core.target.Target`): how code is made for a kind of hardware."""

    @hookspec
    def vertebra_runtimes(self):
        """`Runtime` objects (`vertebra.core.runtime.Runtime`), in order of preference."""

    @hookspec
    def vertebra_matrix_tiles(self, core):
        """`MatrixTile` records (`vertebra.core.tiles.MatrixTile`): what `core` multiplies at once, beside
        what follows from `vertebra.core.matrix.MatrixInstruction` records."""

    @hookspec
    def vertebra_instructions(self):
        """`Instruction` records (`vertebra.core.instruction.Instruction`) beyond those that LLVM knows."""

    @hookspec
    def vertebra_emulators(self):
        """`Emulator` records (`vertebra.core.runtime.Emulator`): software for instructions, for runtimes
        that emulate processors."""

    @hookspec
    def vertebra_layouts(self):
        """`Family` and `Space` records (`vertebra.core.layout.operand.Family`,
        `vertebra.core.layout.operand.Space`): operands and memories by name."""

    @hookspec
    def vertebra_commands(self):
        """`Command` records (`vertebra.core.command.Command`): subcommands of the `vertebra` program."""

    @hookspec
    def vertebra_core_chosen(self, core):
        """The user has chosen `core`; a frontend now runs kernels there.  Returns nothing."""


@attrs.frozen
class Broken:
    """A plugin that could not be loaded, and why."""

    name: str
    reason: str


@attrs.frozen
class Plugins:
    manager: pluggy.PluginManager
    broken: tuple[Broken, ...]

    def collect(self, hook: str, **arguments) -> list[tuple[str, object]]:
        """(plugin name, item) for every item that plugins give for `hook`, in order of their names."""
        found = []
        for impl in getattr(self.manager.hook, hook).get_hookimpls():
            try:
                found += [(impl.plugin_name, item) for item in impl.function(**arguments)]
            except VertebraError:
                raise
            except Exception as error:  # whatever a stranger's hook does
                raise ConfigError(
                    f"plugin {impl.plugin_name} fails in {hook}: {type(error).__name__}: {error}",
                    fix="repair or uninstall it; `vertebra plugins` lists all",
                ) from error
        return sorted(found, key=lambda pair: pair[0])


def _chosen() -> list:
    """The entry points of all installed plugins, or of those that $VERTEBRA_PLUGINS names.

    Raises ConfigError for a name that is not installed.
    """
    entries = list(importlib.metadata.entry_points(group=GROUP))
    names = set(re.findall(r"[^\s,]+", os.environ.get("VERTEBRA_PLUGINS", "")))
    if unknown := names - {entry.name for entry in entries}:
        raise ConfigError(
            f"VERTEBRA_PLUGINS names {', '.join(sorted(unknown))}, which no installed plugin is called",
            fix=f"use some of {', '.join(sorted(entry.name for entry in entries))}, or unset it for all",
        )
    return [entry for entry in entries if not names or entry.name in names]


@functools.cache
def plugins() -> Plugins:
    """All installed plugins, or those that $VERTEBRA_PLUGINS names (commas or spaces between them).

    One that fails to import is recorded, not fatal.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    broken = []
    for entry in _chosen():
        try:
            module = entry.load()
            _check_version(module)
            if manager.register(module, name=entry.name):
                manager.check_pending()
        except Exception as error:  # whatever a stranger's module does at import
            if manager.has_plugin(entry.name) and isinstance(error, pluggy.PluginValidationError):
                manager.unregister(name=entry.name)
            reason = str(error) if isinstance(error, VertebraError) else f"{type(error).__name__}: {error}"
            broken.append(Broken(entry.name, reason))
    return Plugins(manager, tuple(broken))


def _check_version(module) -> None:
    """Raises ConfigError for a plugin that is built for other hooks than these."""
    built_for = getattr(module, "VERTEBRA_API", API)
    if built_for != API:
        older, newer = ("the plugin", "vertebra") if built_for < API else ("vertebra", "the plugin")
        raise ConfigError(
            f"it is built for version {built_for} of the hooks, this vertebra has version {API}",
            fix=f"install a version of {older} that is as new as {newer}",
        )


class Named(dict):
    """name -> item.  A name that two plugins claim is nobody's: asking for it is an error that names both.

    claims: such names, with the error.
    """

    def __init__(self, items, claims):
        super().__init__(items)
        self.claims: dict[str, ConfigError] = claims

    def __contains__(self, name) -> bool:
        return super().__contains__(name) or name in self.claims

    def __missing__(self, name):
        raise self.claims[name] if name in self.claims else KeyError(name)


def _by_name(hook: str, kind: str, attribute: str = "name") -> Named:
    """name -> item, of all plugins."""
    owners: dict[str, tuple[str, object]] = {}
    claims: dict[str, ConfigError] = {}
    for plugin, item in plugins().collect(hook):
        name = getattr(item, attribute, None)
        if not isinstance(name, str):
            raise ConfigError(
                f"plugin {plugin} gives a {type(item).__name__} as a {kind}, in {hook}",
                fix=f"repair or uninstall it; a {kind} has a `{attribute}`",
            )
        if name in owners:
            claims[name] = ConfigError(
                f"{kind} {name!r} is declared by two plugins, {owners[name][0]} and {plugin}",
                fix=f"uninstall one of them, or rename its {kind}",
            )
        owners[name] = (plugin, item)
    return Named({name: item for name, (_, item) in owners.items() if name not in claims}, claims)


@functools.cache
def dialects() -> Named:
    """Dialect namespace -> dialect class."""
    return _by_name("vertebra_dialects", "dialect", "DIALECT_NAMESPACE")


@functools.cache
def lowerings() -> tuple:
    """All lowering steps, in the order in which they run."""
    return tuple(sorted((step for _, step in plugins().collect("vertebra_lowerings")), key=lambda s: s.phase))


@functools.cache
def cores() -> Named:
    return _by_name("vertebra_cores", "core")


@functools.cache
def targets() -> Named:
    return _by_name("vertebra_targets", "target")


@functools.cache
def runtimes() -> Named:
    return _by_name("vertebra_runtimes", "runtime")


@functools.cache
def instructions() -> Named:
    return _by_name("vertebra_instructions", "instruction")


@functools.cache
def emulators() -> Named:
    return _by_name("vertebra_emulators", "emulator")


@functools.cache
def layouts() -> Named:
    """Families of operands and spaces by name."""
    return _by_name("vertebra_layouts", "layout")


@functools.cache
def commands() -> Named:
    return _by_name("vertebra_commands", "command")


def claims() -> list[ConfigError]:
    """What is told of every name that two plugins claim, as far as hooks answer."""
    found: list[ConfigError] = []
    for table in (cores, targets, dialects, runtimes, instructions, emulators, layouts, commands):
        with contextlib.suppress(VertebraError):
            found += table().claims.values()
    return found


def matrix_tiles(core) -> tuple:
    """Every `MatrixTile` of `core`: those that follow from matrix instructions, then what plugins add."""
    from vertebra.core.matrix import MatrixInstruction, table_row

    records = (record for record in instructions().values() if isinstance(record, MatrixInstruction))
    rows = tuple(row for record in records if (row := table_row(core, record)) is not None)
    return rows + tuple(tile for _, tile in plugins().collect("vertebra_matrix_tiles", core=core))


@functools.cache
def fingerprint() -> str:
    """Changes with the version of a plugin or of what it requires, and with our code; part of cache keys."""
    found = {e.dist.name: e.dist for e in importlib.metadata.entry_points(group=GROUP) if e.dist is not None}
    versions = set()
    for distribution in found.values():
        versions |= _versions(distribution)
    sources = []
    for root in sorted(_source_roots()):
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            stat = path.stat()
            sources.append((str(path), stat.st_mtime_ns, stat.st_size))
    return hashlib.sha256(repr((sorted(versions), sources)).encode()).hexdigest()


def _versions(distribution) -> set[tuple[str, str]]:
    """(name, version) of a distribution and of those installed that it always requires."""
    versions = {(distribution.name, distribution.version)}
    for requirement in distribution.requires or ():
        if "extra ==" not in requirement and (name := re.match(r"[\w.-]+", requirement)):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions.add((name[0], importlib.metadata.version(name[0])))
    return versions


def _source_roots() -> set[Path]:
    """The folder, or the file, of every loaded plugin, and the folders of vertebra's own packages."""
    files = [(m, getattr(m, "__file__", None)) for _, m in plugins().manager.list_name_plugin()]
    roots = {Path(file).parent if hasattr(m, "__path__") else Path(file) for m, file in files if file}
    here = Path(__file__).parent
    return roots | {here, here.parent / "dialects", here.parent / "lowering"}
