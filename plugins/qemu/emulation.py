"""Which emulators a core needs, for the runner and for programs of their own."""

from collections.abc import Sequence

from vertebra.core import toolchain
from vertebra.core.runtime import Emulation, Emulator
from vertebra.core.target import Core
from vertebra.plugins.qemu import process, rtz


def serving(core: Core, emulators: Sequence[Emulator]) -> list[str]:
    """The emulators that serve something of `core`, each with what it serves, as traps.h takes them."""
    return [f"{e.name}:{'+'.join(sorted(has))}" for e in emulators if (has := e.served(core))]


def emulation(core: Core, emulators: Sequence[Emulator]) -> Emulation:
    """What a library for `core` needs of `emulators`.  Every instruction traps; none becomes a jump."""
    used = [emulator for emulator in emulators if emulator.served(core)]
    tables = [toolchain.keep(f"{e.name}_table.h", e.table()) for e in used if e.table]
    return Emulation(
        start="vertebra_start_emulation",
        sources=(process.HERE / "emulation.c", process.HERE / "traps.c", *(e.source for e in used)),
        headers=(*process.HEADERS, *tables, *(path for e in used for path in e.headers)),
        flags=(
            f"-DEMULATORS={' '.join(f'X({e.name})' for e in used)}",
            f'-DEMULATION="{",".join(serving(core, used))}"',
        ),
        adapt=rtz.replace if rtz.needed() else None,
    )
