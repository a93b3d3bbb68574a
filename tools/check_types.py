"""Runs mypy on this checkout under the names by which its packages are imported.

The checkout is the package `vertebra`, whatever its folder is called, which no type checker knows.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("core", "dialects", "kit", "lowering", "plugins")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vertebra").symlink_to(ROOT, target_is_directory=True)
        names = [word for package in PACKAGES for word in ("-p", f"vertebra.{package}")]
        command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *names]
        return subprocess.run([*command, *sys.argv[1:]], env={**os.environ, "MYPYPATH": folder}).returncode


if __name__ == "__main__":
    sys.exit(main())
