"""Every stage of a kernel on disk or on the terminal, as the environment asks.

    VERTEBRA_DUMP=dir       one folder in `dir` per specialisation, with a file per stage; spine-triton's
                            name for it, SPINE_TRITON_DUMP_PATH, is read where this one is not set
    VERTEBRA_PRINT=stage    the stage, several of them (`linalg,asm`) or `all`, on standard error

Kernels are then compiled anew although they are in the cache.  A folder holds `ttir.mlir`,
`linalg.mlir`, `vector.mlir`, `llir.ll`, `asm.s`, `obj.o`, and `passes.txt`: the command that makes
them again, and each pass with what it took, written before the pass begins, so that a crash leaves
its name there.
"""

import os
import sys
from pathlib import Path

from vertebra.core import cache
from vertebra.core.errors import ConfigError
from vertebra.core.pipeline import STAGES, Options
from vertebra.core.target import Core
from vertebra.core.watch import Watch, Watches

VARIABLES = ("VERTEBRA_DUMP", "SPINE_TRITON_DUMP_PATH")
PRINT = "VERTEBRA_PRINT"
FILES = {
    "ttir": "ttir.mlir",
    "linalg": "linalg.mlir",
    "vector": "vector.mlir",
    "llir": "llir.ll",
    "asm": "asm.s",
    "obj": "obj.o",
}


def wanted() -> bool:
    """Whether the environment asks for stages at all."""
    return any(os.environ.get(name) for name in (*VARIABLES, PRINT))


def folder() -> Path | None:
    """The folder that the environment names, which is made.  Raises ConfigError where that cannot be."""
    name = next((name for name in VARIABLES if os.environ.get(name)), None)
    if name is None:
        return None
    path = Path(os.environ[name])
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".vertebra-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"{name} is {str(path)!r}, where nothing can be written: {error.strerror}",
            fix="name a folder that can be made and written, or unset the variable",
        ) from None
    return path


def printed() -> frozenset[str]:
    """The stages to print.  Raises ConfigError for a name that is no stage."""
    names = [name.strip() for name in os.environ.get(PRINT, "").split(",") if name.strip()]
    legal = tuple(FILES)
    for name in names:
        if name not in (*legal, "all"):
            raise ConfigError(
                f"{PRINT} names {name!r}, which is no stage", fix=f"the stages are {', '.join(legal)}, or all"
            )
    return frozenset(legal if "all" in names else names)


def watch(text: str, kernel: str, core: Core, options: Options, *, start: str = "ttir") -> Watch | None:
    """What follows the kernel `text`, given at stage `start`, as the environment asks, or None.

    kernel: its name, for the name of the folder.  Raises ConfigError.
    """
    watches: list[Watch] = []
    if place := folder():
        watches.append(Dump(place / folder_name(text, kernel, core, options), core, options, start))
    if stages := printed():
        watches.append(Print(stages, kernel, core))
    return Watches(watches) if watches else None


def folder_name(text: str, kernel: str, core: Core, options: Options) -> str:
    """Tells specialisations apart: they differ in their text at the first stage, in core or in options."""
    return f"{kernel}-{core.name}-{cache.key(text, core, options)[:10]}"


def text_of(result, *, locations: bool) -> str | bytes:
    """A stage as `Watch.reached` is given it, to be written."""
    if isinstance(result, str | bytes):
        return result
    from vertebra.core import assembly

    return assembly.print_module(result, locations=locations)


class Dump(Watch):
    """Writes to a folder, which is made at the first word; files of an earlier run there are replaced."""

    def __init__(self, path: Path, core: Core, options: Options, start: str):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        for file in (*FILES.values(), "passes.txt"):
            (path / file).unlink(missing_ok=True)
        flags = " ".join(["", *options.flags()])
        self._log(f"vertebra opt {FILES[start]} --from {start} --to asm --core {core.name}{flags}\n")

    def passing(self, stage, name):
        self._log(f"{stage}: {name}")

    def passed(self, stage, name, seconds, module):
        self._log(f"  {seconds * 1e3:.2f} ms\n")

    def reached(self, stage, result):
        if stage not in FILES:
            return
        data = text_of(result, locations=True)
        (self.path / FILES[stage]).write_bytes(data.encode() if isinstance(data, str) else data)

    def _log(self, text: str) -> None:
        with open(self.path / "passes.txt", "a") as file:
            file.write(text)


class Print(Watch):
    """Prints the chosen stages to standard error, each under a line that says what it is."""

    def __init__(self, stages: frozenset[str], kernel: str, core: Core):
        self.stages, self.kernel, self.core = stages, kernel, core

    def reached(self, stage, result):
        if stage not in self.stages:
            return
        text = text_of(result, locations=False)
        if isinstance(text, bytes):
            text = f"{len(text)} bytes of machine code"
        mark = "//" if stage in STAGES[:3] else ";" if stage == "llir" else "#"
        print(f"{mark} {self.kernel} for {self.core.name}: {stage}\n{text.rstrip()}", file=sys.stderr)
