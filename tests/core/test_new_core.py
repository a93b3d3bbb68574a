"""`vertebra new-core`, and the distribution that it writes: installed, used, removed."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vertebra.core import cli, hooks
from vertebra.core.commands import new_core
from vertebra.core.matrix import DotInstruction

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "new_core"


def test_the_example_is_what_the_command_writes():
    made = new_core.files("acme-v512", 512)
    for place, text in made.items():
        assert (EXAMPLE / place).read_text() == text, place
    ignored = {"build", "__pycache__", ".pytest_cache", ".tox"}
    found = {path.relative_to(EXAMPLE) for path in EXAMPLE.rglob("*") if path.is_file()}
    found = {p for p in found if not ignored & set(p.parts) and ".egg-info" not in str(p)}
    assert found == set(map(Path, made))


def test_the_example_is_short():
    assert sum(len(text.splitlines()) for text in new_core.files("acme-v512", 512).values()) < 150


@pytest.mark.parametrize("vlen", [128, 256, 512, 1024])
def test_every_width_has_an_instruction_that_fills_its_registers(vlen):
    names = {"__name__": "made"}
    exec(new_core.files("toy-1", vlen)["vertebra_toy_1.py"], names)
    assert isinstance(names["DOT"], DotInstruction)
    assert names["DOT"].tile(names["CORE"]) is not None
    assert names["CORE"].vlen == vlen and names["VERTEBRA_API"] == hooks.API


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("Acme",), "a core cannot be called 'Acme'\nfix: use small letters"),
        (("a--b",), "a core cannot be called 'a--b'"),
        (("spacemit-x60",), "there is a core spacemit-x60 already"),
        (("acme-v512", "--vlen", "333"), "there are no vector registers of 333 bits\nfix: use 128, 256"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, capsys, tmp_path):
    assert cli.main(["new-core", *arguments, "-o", str(tmp_path / "new")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_folder_with_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("x")
    assert cli.main(["new-core", "acme-v9", "-o", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


# --- installed beside the tree, in processes of their own ----------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder on the path of `python` below, in which distributions are installed."""
    return tmp_path_factory.mktemp("site")


def install(source: Path, place: Path) -> None:
    copy = place.parent / f"{source.name}-source"  # a build leaves files beside its source
    shutil.copytree(source, copy, dirs_exist_ok=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--disable-pip-version-check", "--upgrade", "--target", str(place), str(copy)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def python(place: Path, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(place)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=250)


def vertebra(place: Path, *arguments: str) -> str:
    done = python(place, "-m", "vertebra.core.cli", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_core_is_listed_and_passes(place):
    install(EXAMPLE, place)
    (line,) = [x for x in vertebra(place, "cores").splitlines() if x.split()[:1] == ["acme-v512"]]
    assert line.split()[1:] == ["-", "rv64gcv_zvl512b_xacmedot", "512", "rvv", "qemu"]
    assert "core: acme-v512" in vertebra(place, "plugins")
    assert "8x8x8" in vertebra(place, "tiles", "--core", "acme-v512")
    own = python(place, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=EXAMPLE)
    assert "2 passed" in own.stdout, own.stdout + own.stderr
    kit = ["-q", "-p", "no:cacheprovider", "--vertebra-core", "acme-v512", "--vertebra-group", "instructions"]
    done = python(place, "-m", "pytest", *kit, cwd=EXAMPLE)
    assert "conformance of acme-v512" in done.stdout, done.stdout + done.stderr
    assert ["all", "1", "0", "0"] in [line.split() for line in done.stdout.splitlines()]


def test_removing_it_leaves_nothing(place):
    install(EXAMPLE, place)
    (found,) = importlib.metadata.distributions(name="vertebra-acme-v512", path=[str(place)])
    for file in found.files:
        file.locate().unlink(missing_ok=True)
    assert "acme" not in vertebra(place, "cores") + vertebra(place, "plugins")


def test_bad_plugins_are_told_and_the_rest_works(place, tmp_path):
    """Two that claim one core, one for other hooks, one that raises on load."""
    kinds = {
        "left-core": lambda text: text.replace("left-core", "same-core"),
        "right-core": lambda text: text.replace("right-core", "same-core").replace("right.dot", "right.dot2"),
        "stale-core": lambda text: text.replace(f"VERTEBRA_API = {hooks.API}", "VERTEBRA_API = 99"),
        "broken-core": lambda text: text + "\nraise OSError('no licence server')\n",
        "good-core": lambda text: text,
    }
    for name, change in kinds.items():
        folder = tmp_path / name
        (module,) = (p for p in new_core.write(name, folder, 256) if p.parent == folder and p.suffix == ".py")
        module.write_text(change(module.read_text()))
        install(folder, tmp_path / "site")
    listed = vertebra(tmp_path / "site", "plugins")
    assert "broken: it is built for version 99 of the hooks" in listed
    assert "broken: OSError: no licence server" in listed
    assert "core 'same-core' is declared by two plugins, vertebra_left_core and vertebra_right_core" in listed
    listed = vertebra(tmp_path / "site", "cores")
    assert "core 'same-core' is declared by two plugins" in listed
    cores = [line.split()[0] for line in listed.splitlines()]
    assert "good-core" in cores and not {"same-core", "stale-core", "broken-core"} & set(cores)
    done = python(tmp_path / "site", "-m", "vertebra.core.cli", "tiles", "--core", "same-core")
    assert done.returncode == 2
    assert "is declared by two plugins" in done.stderr and "Traceback" not in done.stderr
    assert "4x4x8" in vertebra(tmp_path / "site", "tiles", "--core", "good-core")
