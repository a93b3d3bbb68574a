"""Which core kernels are compiled for, and what runs them."""

import difflib
import functools
import os
import platform
import re
import threading
from pathlib import Path

from vertebra.core import hooks
from vertebra.core.errors import ConfigError, LaunchError
from vertebra.core.target import Core

_lock = threading.Lock()
_chosen: Core | None = None
_current: Core | None = None


def find_core(name_or_id: str) -> Core:
    """The core of this name, of its name without the vendor ("x60" where only one ends so), or of
    this vendor's number ("0xA03C", "41020").

    Letter case does not matter.  Raises ConfigError with the nearest names otherwise.
    """
    cores = hooks.cores()
    if name_or_id in cores:
        return cores[name_or_id]
    wanted = name_or_id.strip().lower()
    for core in cores.values():
        if core.name.lower() == wanted:
            return core
    short = [core for core in cores.values() if core.name.lower().endswith(f"-{wanted}")]
    if len(short) == 1:
        return short[0]
    number = _number(wanted)
    if number is not None:
        for core in cores.values():
            if core.arch_id == number:
                return core
    near = difflib.get_close_matches(wanted, cores, n=3, cutoff=0.5)
    near += [name for name in cores if wanted and wanted in name.lower() and name not in near]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    listed = ", ".join(c.name if c.arch_id is None else f"{c.name} ({c.arch_id:#x})" for c in cores.values())
    raise ConfigError(f"there is no core {name_or_id!r}", fix=f"{hint}installed cores: {listed or 'none'}")


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def set_core(name_or_id: str | None) -> Core | None:
    """Compiles for this core from now on; None goes back to the default.  Returns the choice.

    Plugins learn of it through `vertebra_core_chosen`.  Raises ConfigError for an unknown core.
    """
    global _chosen, _current
    core = None if name_or_id is None else find_core(name_or_id)
    with _lock:
        _chosen, _current = core, None
    if core is not None:
        hooks.plugins().manager.hook.vertebra_core_chosen(core=core)
    return core


def is_chosen() -> bool:
    """Whether the user has named a core, by `set_core` or $VERTEBRA_CORE."""
    return _chosen is not None or bool(os.environ.get("VERTEBRA_CORE"))


def current_core() -> Core:
    """The core that kernels are compiled for.

    In this order: `set_core`, $VERTEBRA_CORE, the board's own core on a RISC-V board, "host".
    The answer stays until `set_core` is called again.
    """
    global _current
    found = _current
    if found is None:
        with _lock:
            name = os.environ.get("VERTEBRA_CORE")
            found = _chosen or (find_core(name) if name else board_core() or find_core("host"))
            _current = found
    return found


def board_core(cpuinfo: str | None = None, machine: str | None = None) -> Core | None:
    """The installed core that this machine's processors are, or None where it is none of them.

    cpuinfo: the text of /proc/cpuinfo.  machine: as `platform.machine()` gives it.
    Linux on RISC-V names the core in `uarch : spacemit,x60` and numbers it in `marchid`
    (whose top bit marks a commercial design); the first processor listed decides.
    """
    machine = platform.machine() if machine is None else machine
    if not machine.startswith("riscv"):
        return None
    text = _read_cpuinfo() if cpuinfo is None else cpuinfo
    uarch, marchid = _field(text, "uarch"), _field(text, "marchid")
    number = _number(marchid) if marchid else None
    cores = [core for core in hooks.cores().values() if core.arch == machine]
    for core in cores:
        if uarch and core.name.lower() == uarch.lower().replace(",", "-"):
            return core
    for core in cores:
        if number is not None and core.arch_id is not None and core.arch_id == number & (1 << 63) - 1:
            return core
    return None


@functools.cache
def _read_cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _field(cpuinfo: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    return found[1] if found else None


def runtime_for(core: Core):
    """The first runtime that can run kernels for `core` here.

    Raises LaunchError with every runtime's reason where none can.
    """
    reasons = []
    for runtime in hooks.runtimes().values():
        reason = runtime.supports(core)
        if reason is None:
            return runtime
        reasons.append(f"{runtime.name}: {reason}")
    raise LaunchError(
        f"nothing here can run kernels for core {core.name}:\n  "
        + ("\n  ".join(reasons) or "no runtime is installed"),
        fix="follow one of these reasons, or choose another core (VERTEBRA_CORE, set_core)",
    )
