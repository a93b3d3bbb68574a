"""`vertebra plugins`: who is installed, and who answers for what on one core."""

import importlib.metadata

from vertebra.core.command import Command, print_table

# Hook -> what one of its items is called, several of them, and how an item is named.
_KINDS = {
    "vertebra_dialects": ("dialect", lambda item: item.DIALECT_NAMESPACE),
    "vertebra_lowerings": ("lowering", lambda item: item.name),
    "vertebra_cores": ("core", lambda item: item.name),
    "vertebra_targets": ("target", lambda item: item.name),
    "vertebra_runtimes": ("runtime", lambda item: item.name),
    "vertebra_layouts": ("layout", lambda item: item.name),
    "vertebra_emulators": ("emulator", lambda item: item.name),
    "vertebra_commands": ("command", lambda item: item.name),
}
# Those that answer for a core.
_ANSWERING = ("vertebra_lowerings", "vertebra_cores", "vertebra_targets", "vertebra_runtimes")


def contributions(plugin: str) -> str:
    """'core: host; runtime: in-process': what the plugin of this name gives, kind by kind.

    A hook that fails is told with its error, in place of what it should give.
    """
    from vertebra.core import hooks

    parts = []
    for hook, (kind, name_of) in _KINDS.items():
        for impl in getattr(hooks.plugins().manager.hook, hook).get_hookimpls():
            if impl.plugin_name != plugin:
                continue
            try:
                names = [name_of(item) for item in impl.function()]
            except Exception as error:  # whatever a stranger's hook does
                parts.append(f"broken: {hook} raises {type(error).__name__}: {error}")
                continue
            if names:
                parts.append(f"{kind}{'s' if len(names) > 1 else ''}: {', '.join(names)}")
    return "; ".join(parts) or "-"


def _versions() -> dict[str, str]:
    from vertebra.core import hooks

    entries = importlib.metadata.entry_points(group=hooks.GROUP)
    return {e.name: f"{e.dist.name} {e.dist.version}" if e.dist else "?" for e in entries}


def _configure(parser) -> None:
    parser.add_argument("--core", help="show who answers for what on this core (name or arch id)")


def _run(args) -> None:
    from vertebra.core import hooks, select

    if args.core:
        print_table(("what", "which", "plugin"), answers(select.find_core(args.core)))
        return
    versions = _versions()
    names = sorted(name for name, module in hooks.plugins().manager.list_name_plugin() if module)
    rows = [(name, versions.get(name, "?"), contributions(name)) for name in names]
    rows += [
        (b.name, versions.get(b.name, "?"), " ".join(f"broken: {b.reason}".split()))
        for b in hooks.plugins().broken
    ]
    print_table(("plugin", "from", "gives"), rows)
    for claim in hooks.claims():
        print(claim)


def answers(core) -> list[tuple[str, str, str]]:
    """(what, which, plugin): who serves `core`, and what the others say."""
    from vertebra.core import hooks, pipeline
    from vertebra.core.commands.cores import runtime_of

    owner = {
        (hook, name_of(item)): plugin
        for hook, (_, name_of) in _KINDS.items()
        if hook in _ANSWERING
        for plugin, item in hooks.plugins().collect(hook)
    }
    rows = [("core", core.name, owner["vertebra_cores", core.name])]
    pipeline.target_of(core)  # an unknown target is an error that says so
    chain = _chain(core.target)
    rows += [("target", target.name, owner["vertebra_targets", target.name]) for target in chain]
    rows += [
        (f"pass to {stage}", name, _answer_for(stage, name, chain, owner))
        for stage, name in pipeline.plan(core)
    ]
    runtime = runtime_of(core)
    rows.append(("runtime", runtime, owner.get(("vertebra_runtimes", runtime), "-")))
    for name, other in hooks.runtimes().items():
        if name != runtime and not runtime.startswith("none"):
            reason = other.supports(core) or "would serve too, and comes later"
            rows.append(
                ("runtime not used", f"{name}: {' '.join(reason.split())}", owner["vertebra_runtimes", name])
            )
    return rows


def _chain(name: str) -> list:
    """The target, the one that it extends, and so on."""
    from vertebra.core import hooks

    chain = []
    while name is not None:
        chain.append(hooks.targets()[name])
        name = chain[-1].extends
    return chain


def _answer_for(stage: str, name: str, chain, owner) -> str:
    if stage == "linalg":
        return owner["vertebra_lowerings", name]
    return next(owner["vertebra_targets", t.name] for t in chain if stage in t.stages)


COMMAND = Command("plugins", "list the installed plugins and what each contributes", _configure, _run)
