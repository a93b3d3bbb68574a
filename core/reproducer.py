"""A file that shows a failing pass fail again: the module before it, and the command that runs it.

Passes change a module in place, so the module before the failing one is made again from the text
that the run began with; what succeeds pays nothing.
"""

import os
import tempfile
from pathlib import Path

from vertebra.core import assembly, cache, dump, pipeline
from vertebra.core.context import context
from vertebra.core.errors import VertebraError
from vertebra.core.mlir import ir
from vertebra.core.pipeline import MODULE_STAGES, Options
from vertebra.core.target import Core


def leave(
    error: VertebraError, text: str, start: str, core: Core, options: Options, name: str
) -> Path | None:
    """Writes the file for `error`, which ended a run on `text` at stage `start`, and tells its fix.

    A pass that fails for a reason that it was written to tell leaves a file only where dumps are
    wanted (see `core/dump.py`), in their folder; whatever else goes wrong in one does always, there
    or in `cache_dir()`/failures.  Returns the file, or None where there is none; a folder that cannot
    be written costs the file, never the error.
    """
    if error.step is None:
        return None
    place = dump.folder()
    if place is None:
        if not error.unexpected:
            return None
        place = cache.cache_dir() / "failures"
    try:
        before = module_before(error.step, text, start, core, options, name)
    except VertebraError:  # it does not fail in the same place twice
        return None
    _, failed = error.step
    kernel = error.kernel_name or "module"
    path = place / f"{kernel}-{core.name}-{failed}-{cache.key(text, core, options)[:10]}.mlir"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, f"// {command(path, failed, core, options)}\n// {_one_line(error)}\n{before}\n")
    except OSError:
        return None
    run = f"reproduce it with `{command(path, failed, core, options)}`"
    error.fix = run if error.fix is None else f"{error.fix}\n{run}"
    return path


def command(path: Path, failed: str, core: Core, options: Options) -> str:
    """What runs the pass `failed` on the file `path`."""
    return " ".join(["vertebra opt", str(path), "--core", core.name, *options.flags(), "--pass", failed])


def module_before(
    step: tuple[str, str], text: str, start: str, core: Core, options: Options, name: str
) -> str:
    """The module in `text` as it comes to the pass `step`, which is (stage, pass name)."""
    with context(), ir.Location.unknown():
        module = assembly.parse(text, context(), name=name)
        for stage in MODULE_STAGES[MODULE_STAGES.index(start) + 1 :]:
            for each in pipeline.passes_to(stage, core):
                if (stage, each.name) == step:
                    return assembly.print_module(module, locations=True)
                pipeline.run_pass(each, module, core, options)
    raise AssertionError(f"no pass {step}")


def _one_line(error: VertebraError) -> str:
    return " ".join(error.message.split())


def _write(path: Path, text: str) -> None:
    """At once, or not at all: another process may fail in the same way now."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)
