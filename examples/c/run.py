"""Makes libkernels of kernels.toml, links main.c with it, and runs that, once for each given core.

    python examples/c/run.py [--core NAME]... [--folder FOLDER]

On this machine with a shared object, elsewhere with an archive and under QEMU.  Needs no C compiler but the
bundled one.  Exits with 1 when a check in main.c fails.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from vertebra.core import select, toolchain
from vertebra.core.errors import VertebraError
from vertebra.plugins.qemu.process import emulator_program
from vertebra.plugins.qemu.runtime import cpu_option

HERE = Path(__file__).parent
CORES = ["host", "spacemit-x60", "spacemit-a60"]


def build(core, folder: Path) -> Path:
    """The program, with everything that it needs in `folder`."""
    here = core.arch == select.find_core("host").arch
    kind, suffix = ("so", "so") if here else ("archive", "a")
    library, program = folder / f"libkernels.{suffix}", folder / "main"
    words = [sys.executable, "-m", "vertebra.core.cli", "compile", HERE / "kernels.toml"]
    words += ["--core", core.name, "--emit", kind, "-o", library]
    # Programs that need no C library of the machine are linked with musl, which the compiler brings along.
    words += [] if here else ["--libc", "musl", "--emulate"]
    subprocess.run(words, check=True)
    target = toolchain.host_triple() if here else f"{core.arch}-linux-musl"
    options = [f"-Wl,-rpath,{folder}"] if here else ["-static"]
    sources = [str(HERE / "main.c"), str(library), f"-I{folder}", "-lm", "-lpthread"]
    toolchain.run_compiler(
        ["-target", target, "-O2", "-Wall", "-Wextra", "-Werror", *options, *sources, "-o", str(program)]
    )
    return program


def run(core, folder: Path) -> bool:
    """Whether all checks pass on `core`."""
    program = build(core, folder)
    emulated = core.arch != select.find_core("host").arch
    command = [emulator_program(), "-cpu", cpu_option(core)] if emulated else []
    print(f"examples/c on {core.name}{' (qemu)' if emulated else ''}:", flush=True)
    return subprocess.run([*command, str(program)]).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", action="append", help=f"default: {', '.join(CORES)}")
    parser.add_argument("--folder", type=Path, help="where the library, its header and the program stay")
    options = parser.parse_args()
    passed = True
    try:
        for core in map(select.find_core, options.core or CORES):
            with tempfile.TemporaryDirectory(prefix="vertebra-") as temporary:
                folder = (options.folder or Path(temporary)) / core.name
                folder.mkdir(parents=True, exist_ok=True)
                passed &= run(core, folder)
    except VertebraError as error:
        parser.error(str(error))
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
