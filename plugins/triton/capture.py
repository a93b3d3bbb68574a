"""A launch as it would be: compiled by Triton, with arguments in slots, and not carried out."""

import contextlib
import os

from vertebra.core.errors import LaunchError
from vertebra.core.runtime import num_threads
from vertebra.core.tuning.launch import Launch


def capture(tuner, args, kwargs, config) -> Launch:
    """The launch of an `Autotuner` with `config`, whose own hook is called.

    args, kwargs: as of `Autotuner.run`, the grid among them.  Raises what compiling raises, and
    LaunchError for what does not fit into this machine's memory.
    """
    current = {**kwargs, **config.all_kwargs()}
    if config.pre_hook is not None:
        config.pre_hook({**tuner.nargs, **current})
    compiled = tuner.fn.run(*args, **{**current, "warmup": True})
    if hasattr(compiled, "result"):  # Triton compiles in the background
        compiled = compiled.result()
    launch: list = []
    with _instead_of_running(compiled, launch):
        tuner.fn.run(*args, **{**current, "warmup": False})
    ((grid, values),) = launch
    return _launch(compiled, grid, values)


@contextlib.contextmanager
def _instead_of_running(compiled, launches: list):
    """Launches of the compiled kernel append (grid, arguments in slots) to `launches`."""
    from vertebra.plugins.triton.launcher import make_launcher

    class Recorder:
        @staticmethod
        def launch(grid, args):
            launches.append((grid, args))

    launcher = make_launcher(compiled.src, compiled.metadata)

    def run(x, y, z, stream, kernel, packed, info, enter, leave, *args):
        launcher(x, y, z, stream, Recorder, packed, info, None, None, *args)

    kept = compiled.module, compiled._run
    compiled.module, compiled._run = compiled, run  # a kernel that seems to be loaded is not loaded
    try:
        yield
    finally:
        compiled.module, compiled._run = kept


def _launch(compiled, grid, values) -> Launch:
    from vertebra.core.pipeline import Options
    from vertebra.plugins.triton.compiler import BINARY, read_binary
    from vertebra.plugins.triton.launcher import slot_names

    binary = read_binary(compiled.asm[BINARY])
    _check_memory(binary)
    signature = compiled.src.signature
    names = tuple(slot for arg, kind in signature.items() for slot in slot_names(arg, kind))
    options = Options(fast_math=compiled.metadata.fast_math, bounds_check=compiled.metadata.bounds_check)
    return Launch(binary, grid, values, names, compiled.asm["ttir"], compiled.asm["llir"], options)


def _check_memory(binary) -> None:
    threads = num_threads()
    needed = binary.scratch_bytes * threads
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise LaunchError(
            f"kernel {binary.name} needs {binary.scratch_bytes:,} bytes of memory for each of {threads} "
            f"threads, and this machine has {there:,}",
            fix="use smaller blocks",
        )
