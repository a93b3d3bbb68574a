"""How long commands take from start to end: importing, help, and `explain` of an attention kernel.

    python benchmarks/commands.py [--rounds N]

Prints wall-clock and processor milliseconds, the least of the rounds, beside what is aimed at.  Every
command is a process of its own, started once before for what Python and vertebra keep in their caches.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.table import Table
from timing import console

EXAMPLE = Path(__file__).parents[1] / "examples" / "attention.py"
EXPLAIN = (
    *("-m", "vertebra.core.cli", "explain", f"{EXAMPLE}:attention_kernel"),
    *("--signature", "*fp16:16,*fp16:16,*fp16:16,*fp16:16,i32:16,i32:16,i32,fp32"),
    *("--constexpr", "HEAD=64,BLOCK_M=64,BLOCK_N=64,CAUSAL=True"),
    *("--args", "stride_head=65536,stride_row=64,length=1024", "--grid", "16,8"),
)
# Name -> (arguments of Python, milliseconds that are aimed at).
COMMANDS = {
    "import vertebra.core": (("-c", "import vertebra.core"), 150),
    "import vertebra.core.hooks": (("-c", "import vertebra.core.hooks"), 150),
    "vertebra --help": (("-m", "vertebra.core.cli", "--help"), 300),
    "vertebra explain, spacemit-a60": ((*EXPLAIN, "--core", "spacemit-a60"), 3000),
    "vertebra explain, host": ((*EXPLAIN, "--core", "host"), 3000),
}


def run(arguments, environment) -> tuple[float, float]:
    """(wall-clock seconds, processor seconds) of Python with `arguments`."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    after, end = os.times(), time.perf_counter()
    busy = sum(getattr(after, name) - getattr(before, name) for name in ("children_user", "children_system"))
    return end - start, busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    table = Table(title="commands")
    for heading in ("command", "wall, ms", "processor, ms", "aim, ms"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    with tempfile.TemporaryDirectory() as folder:
        # Compiled modules are kept, as they are wherever nobody forbids it.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        for name, (arguments, aim) in COMMANDS.items():
            run(arguments, environment)
            rounds = [run(arguments, environment) for _ in range(options.rounds)]
            wall, busy = (min(each[i] for each in rounds) * 1e3 for i in range(2))
            table.add_row(name, f"{wall:.0f}", f"{busy:.0f}", str(aim))
    console().print(table)


if __name__ == "__main__":
    main()
