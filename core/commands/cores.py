"""`vertebra cores`: which cores there are, and what would run their kernels here."""

from vertebra.core.command import Command, print_table


def describe(core) -> tuple[str, str, str, str, str, str]:
    """Name, arch id, ISA, VLEN, target, and the runtime or why there is none."""
    arch_id = "-" if core.arch_id is None else f"{core.arch_id:#x}"
    return core.name, arch_id, core.isa, str(core.vlen), core.target, runtime_of(core)


def runtime_of(core) -> str:
    """The name of the runtime that runs `core` here, or every runtime's reason why not."""
    from vertebra.core import hooks

    reasons = []
    for runtime in hooks.runtimes().values():
        reason = runtime.supports(core)
        if reason is None:
            return runtime.name
        reasons.append(f"{runtime.name}: {' '.join(reason.split())}")
    return f"none ({'; '.join(reasons) or 'no runtime is installed'})"


def _run(args) -> None:
    from vertebra.core import hooks, select

    current = select.current_core()
    rows = []
    for core in hooks.cores().values():
        name, *rest = describe(core)
        rows.append((f"{'*' if core == current else ' '} {name}", *rest))
    print_table(("  core", "arch id", "isa", "vlen", "target", "runs on"), rows)
    for claim in hooks.cores().claims.values():
        print(claim)


COMMAND = Command(
    "cores",
    "list the cores that kernels can be compiled for (* is the current one)",
    lambda parser: None,
    _run,
)
