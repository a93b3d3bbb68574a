"""The `vertebra` program: what it prints, and how it says what is wrong."""

import subprocess
import sys

import pytest

from vertebra.core import cli, hooks, select
from vertebra.core.target import Core, Lowering, Pass, Phase, Target, VectorUnit

ADD = """\
import triton
import triton.language as tl


@triton.autotune([triton.Config({"BLOCK": 16})], key=["n"])
@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) + tl.load(y + i, mask=i < n), mask=i < n)


@triton.jit
def wrong(x):
    tl.store(x, 1 + nothing)


@triton.jit
def calls(x):
    wrong(x)


def plain():
    pass
"""
MODULE = """\
module {
  func.func @f(%a: i32) -> i32 {
    %c = arith.constant 1 : i32
    %b = arith.addi %a, %c : i32
    %d = arith.addi %a, %c : i32
    return %b : i32
  }
}
"""


@pytest.fixture
def kernel_file(tmp_path):
    path = tmp_path / "add.py"
    path.write_text(ADD)
    return str(path)


def run(capsys, *argv):
    """(exit code, standard output, standard error)"""
    try:
        code = cli.main(argv)
    except SystemExit as leaving:
        code = leaving.code
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def test_help_lists_every_command_and_imports_nothing_slow():
    code = (
        "import atexit, sys, vertebra.core.cli as c\n"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "c.main(['--help'])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    for name in ("compile", "opt", "cores", "plugins", "passes", "roofline", "tiles"):
        assert f"\n    {name} " in shown.stdout
    loaded = set(shown.stderr.split())
    assert "vertebra.core.commands.opt" in loaded
    slow = {"llvmlite", "mlir", "numpy", "rich", "torch", "torch_mlir", "triton", "vertebra.core.mlir"}
    assert not loaded & (slow | {"vertebra.core.runtime", "vertebra.lowering.cpu"})


def test_the_core_alone_imports_nothing():
    code = "import sys; before = set(sys.modules); import vertebra.core; print(*set(sys.modules) - before)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert set(shown.stdout.split()) == {"vertebra", "vertebra.core"}


# --- compile ---------------------------------------------------------------------------------


def compile_add(file, *more, signature="*fp32:16,*fp32,*fp32,i32", constexpr="BLOCK=16"):
    return (
        "compile",
        f"{file}:add",
        "--signature",
        signature,
        "--constexpr",
        constexpr,
        "--core",
        "host",
        *more,
    )


def test_compile_prints_ttir(capsys, kernel_file):
    code, out, _ = run(capsys, *compile_add(kernel_file))
    assert code == 0
    assert out.count("tt.func public @add") == 1
    assert out.count("tt.divisibility") == 1
    assert f'"{kernel_file}":' in out


def test_compile_writes_to_a_file(capsys, kernel_file, tmp_path):
    code, out, _ = run(capsys, *compile_add(kernel_file, "-o", str(tmp_path / "add.ttir")))
    assert (code, out) == (0, "")
    assert "tt.func public @add" in (tmp_path / "add.ttir").read_text()


@pytest.mark.parametrize(
    "change, parts",
    [
        (dict(kernel="{file}"), ("names no kernel", "{file}:KERNEL")),
        (dict(kernel="/no/such.py:add"), ("/no/such.py: No such file or directory",)),
        (dict(kernel="/tmp:add"), ("/tmp: Is a directory",)),
        (dict(kernel="{file}:ad"), ("no kernel 'ad'", "did you mean add?", "add, wrong, calls")),
        (dict(kernel="{file}:plain"), ("plain", "is a function, not a Triton kernel", "@triton.jit")),
        (dict(core="hast"), ("no core 'hast'", "did you mean host?")),
        (dict(emit="ttri"), ("no stage 'ttri'", "ttir, linalg, vector, llir, asm, obj, so, archive")),
        (dict(emit="so"), ("machine code", "-o FILE")),
        (dict(signature="*fp32,*fp33,*fp32,i32"), ("'*fp33' is not a type", "fp32")),
        (dict(signature="*fp32,*fp32"), ("no type for out, n", "(x, y, out, n, BLOCK: constexpr)")),
        (dict(constexpr="BLOCK"), ("'BLOCK' is not NAME=VALUE",)),
        (dict(constexpr="BLOCK=sixteen"), ("BLOCK, sixteen, is not a Python literal",)),
        (dict(constexpr=""), ("needs values for BLOCK",)),
    ],
)
def test_compile_says_what_is_wrong(capsys, kernel_file, change, parts):
    good = dict(
        kernel="{file}:add", core="host", emit="ttir", signature="*fp32,*fp32,*fp32,i32", constexpr="BLOCK=16"
    )
    chosen = {**good, **change}
    argv = ["compile", chosen.pop("kernel").format(file=kernel_file)]
    for name, value in chosen.items():
        argv += [f"--{name}", value]
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    for part in parts:
        assert part.format(file=kernel_file) in err


def test_an_error_in_the_kernel_has_its_place(capsys, kernel_file):
    code, _, err = run(capsys, "compile", f"{kernel_file}:wrong", "--signature", "*fp32", "--core", "host")
    assert code == 2
    assert err.startswith(f"{kernel_file}:14:")
    assert "nothing is not defined" in err


def test_an_error_in_a_called_function_shows_both(capsys, kernel_file):
    code, _, err = run(capsys, "compile", f"{kernel_file}:calls", "--signature", "*fp32", "--core", "host")
    assert code == 2
    assert err.startswith(f"{kernel_file}:19:5: error in kernel calls: ")
    assert "    wrong(x)\n    ^" in err and "tl.store(x, 1 + nothing)" in err


def test_a_file_that_cannot_be_run(capsys, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("x = 1\nraise ValueError('of its own')\n")
    code, _, err = run(capsys, "compile", f"{path}:add", "--core", "host")
    assert code == 2
    assert "ValueError: of its own" in err and f"{path}:2" in err


# --- opt -------------------------------------------------------------------------------------


def test_opt_runs_single_passes(capsys, tmp_path):
    path = tmp_path / "f.mlir"
    path.write_text(MODULE)
    code, out, _ = run(capsys, "opt", str(path), "--core", "host", "--pass", "canonicalize", "cse")
    assert code == 0
    assert out.count("arith.addi") == 1


def test_opt_reads_standard_input(capsys, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(MODULE))
    code, out, err = run(capsys, "opt", "-", "--core", "host", "--from", "linalg", "--to", "linalg", "--time")
    assert (code, err) == (0, "")
    assert out.count("arith.addi") == 2


@pytest.mark.parametrize(
    "argv, text, parts",
    [
        (("--pass", "canonicalise"), MODULE, ("no pass 'canonicalise'", "vertebra passes --core host")),
        (("--from", "asm"), MODULE, ("asm",)),
        (("--from", "linalg", "--to", "ttir"), MODULE, ("comes before",)),
        (("--from", "linalg", "--to", "obj"), MODULE, ("-o FILE",)),
        (
            ("--from", "linalg", "--to", "linalg"),
            MODULE.replace("%c : i32\n    return", "%zz : i32\n    return"),
            (":5:", "%zz"),
        ),
    ],
)
def test_opt_says_what_is_wrong(capsys, tmp_path, argv, text, parts):
    path = tmp_path / "f.mlir"
    path.write_text(text)
    code, out, err = run(capsys, "opt", str(path), "--core", "host", *argv)
    assert (code, out) == (2, "")
    for part in parts:
        assert part in err


def test_opt_without_a_file(capsys):
    code, _, err = run(capsys, "opt", "/no/such.mlir", "--core", "host")
    assert code == 2
    assert "/no/such.mlir: No such file" in err


# --- cores, plugins, passes ------------------------------------------------------------------


class Made:
    """A plugin of a core that no runtime serves, on a target that extends another."""

    @hooks.hookimpl
    def vertebra_cores(self):
        unit = VectorUnit(128)
        return [
            Core(
                "acme-1", target="acme", arch="acme64", triple="a", isa="acme64v", vector=unit, arch_id=0xAC1
            )
        ]

    @hooks.hookimpl
    def vertebra_targets(self):
        own = {"vector": (Pass("acme-vector", "canonicalize"),)}
        base = {"vector": (), "llvm": (Pass("base-llvm", "canonicalize"),)}
        return [Target("acme", extends="acme-base", stages=own), Target("acme-base", stages=base)]

    @hooks.hookimpl
    def vertebra_lowerings(self):
        return [Lowering("acme-lowering", Phase.LOWER, "canonicalize")]


class Failing:
    @hooks.hookimpl
    def vertebra_runtimes(self):
        raise ImportError("no acme here")


@pytest.fixture
def plugin():
    """Installs plugins for one test."""
    manager, names = hooks.plugins().manager, []

    def forget():
        for name in ("dialects", "lowerings", "cores", "targets", "runtimes", "commands"):
            getattr(hooks, name).cache_clear()

    def install(name, module):
        manager.register(module, name=name)
        names.append(name)
        forget()

    yield install
    for name in names:
        manager.unregister(name=name)
    forget()


def rows(out):
    return [line.split(maxsplit=2) for line in out.splitlines()[1:]]


def test_cores(capsys, plugin, monkeypatch):
    plugin("acme", Made())
    monkeypatch.setattr(select, "_current", select.find_core("acme-1"))
    code, out, _ = run(capsys, "cores")
    assert code == 0
    (line,) = (line for line in out.splitlines() if "acme-1" in line)
    assert line.startswith("* acme-1") and "0xac1" in line and "acme64v" in line and "128" in line
    assert "none (" in line


def test_plugins(capsys, plugin):
    plugin("acme", Made())
    plugin("failing", Failing())
    code, out, _ = run(capsys, "plugins")
    assert code == 0
    found = {line.split()[0]: line for line in out.splitlines()}
    assert "core: acme-1; targets: acme, acme-base" in found["acme"]
    assert "broken: vertebra_runtimes raises ImportError: no acme here" in found["failing"]
    assert "commands: compile" in found["triton"]


def test_a_failing_plugin_is_named(capsys, plugin):
    plugin("failing", Failing())
    code, _, err = run(capsys, "cores")
    assert code == 2
    assert "plugin failing fails in vertebra_runtimes: ImportError: no acme here" in err


def test_who_answers_for_a_core(capsys, plugin):
    plugin("acme", Made())
    code, out, _ = run(capsys, "plugins", "--core", "acme-1")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for line in (
        "core acme-1 acme",
        "target acme-base acme",
        "pass to vector acme-vector acme",
        "pass to linalg acme-lowering acme",
    ):
        assert line in lines


def test_passes(capsys, plugin):
    plugin("acme", Made())
    code, out, _ = run(capsys, "passes", "--core", "acme-1")
    assert code == 0
    assert [line.split() for line in out.splitlines()][-2:] == [
        ["vector", "acme-vector"],
        ["llvm", "base-llvm"],
    ]
    assert ["linalg", "acme-lowering"] in [line.split() for line in out.splitlines()]


def test_unknown_command(capsys):
    code, _, err = run(capsys, "complie")
    assert code == 2 and "complie" in err
