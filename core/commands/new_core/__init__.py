"""`vertebra new-core NAME`: a distribution of its own that adds a core, ready to be changed and to pass."""

import re
from pathlib import Path
from string import Template

from vertebra.core.command import Command
from vertebra.core.errors import ConfigError

_HERE = Path(__file__).parent
_VLENS = (128, 256, 512, 1024)
_GROUP_BITS = {1: "ddddd", 2: "dddd0", 4: "ddd00", 8: "dd000"}


def files(name: str, vlen: int) -> dict[str, str]:
    """Path in the distribution -> its text, for a core called `name` with registers of `vlen` bits.

    Raises ConfigError for a name that cannot be a core's, or is one already, and for other widths.
    """
    from vertebra.core import hooks

    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ConfigError(
            f"a core cannot be called {name!r}", fix="use small letters, digits and single hyphens: acme-v512"
        )
    if vlen not in _VLENS:
        raise ConfigError(
            f"there are no vector registers of {vlen} bits", fix=f"use {', '.join(map(str, _VLENS))}"
        )
    module = f"vertebra_{name.replace('-', '_')}"
    side = 4 if vlen <= 256 else 8
    depth = vlen // 8 // side
    group = side * side * 32 // vlen
    vendor = name.split("-")[0]
    values = {
        "name": name,
        "module": module,
        "distribution": f"vertebra-{name}",
        "extension": f"x{vendor}dot",
        "instruction": f"{vendor}.dot",
        "api": hooks.API,
        "vlen": vlen,
        "m": side,
        "n": side,
        "k": depth,
        "c_registers": group,
        "d_bits": _GROUP_BITS[group],
    }
    places = {
        "pyproject.toml.in": "pyproject.toml",
        "plugin.py.in": f"{module}.py",
        "test_core.py.in": "tests/test_core.py",
        "README.md.in": "README.md",
    }
    return {
        place: Template((_HERE / source).read_text()).substitute(values) for source, place in places.items()
    }


def write(name: str, folder: Path, vlen: int) -> list[Path]:
    """Writes the distribution into `folder`, which must not be there or be empty.  Returns its files."""
    from vertebra.core import hooks

    if name in hooks.cores():
        raise ConfigError(f"there is a core {name} already", fix="choose another name")
    made = files(name, vlen)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists already", fix="name another folder with -o")
    for place, text in made.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [folder / place for place in made]


def _configure(parser) -> None:
    parser.add_argument("name", help="the core's name: small letters, digits, hyphens")
    parser.add_argument("-o", "--output", metavar="DIR", help="where to write it (default: ./vertebra-NAME)")
    parser.add_argument("--vlen", type=int, default=512, help="bits of a vector register (default: 512)")


def _run(args) -> None:
    folder = Path(args.output or f"vertebra-{args.name}")
    for path in write(args.name, folder, args.vlen):
        print(path)
    print(f"now: pip install -e {folder} && pytest --vertebra-core {args.name}")


COMMAND = Command("new-core", "write a distribution that adds a core, from a template", _configure, _run)
