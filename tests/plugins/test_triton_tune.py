"""`vertebra tune`: tuning ahead of time, on made-up arguments, and sharing what was found."""

import json

import numpy as np
import pytest
import triton

from vertebra.core import cli, select
from vertebra.core.errors import ConfigError
from vertebra.core.tuning import store
from vertebra.plugins.triton import aot
from vertebra.plugins.triton.made_arguments import Buffer, arguments, element_bytes
from vertebra.plugins.triton.tune_file import grid_of

KERNELS = """\
import triton
import triton.language as tl


@triton.autotune([triton.Config({"BLOCK": 16}), triton.Config({"BLOCK": 64}, num_warps=8)], key=["n"])
@triton.jit
def scale(x, out, n, FACTOR: tl.constexpr, BLOCK: tl.constexpr, OFFSET: tl.constexpr = 3):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) * FACTOR + OFFSET, mask=i < n)


@triton.heuristics({"EVEN": lambda args: args["n"] % 2 == 0})
@triton.autotune([triton.Config({"BLOCK": 16}), triton.Config({"BLOCK": 64})], key=["n"])
@triton.heuristics({"WIDE": lambda args: args["BLOCK"] > 16})
@triton.jit
def guessed(x, n, EVEN: tl.constexpr, WIDE: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x + i, EVEN + 2 * WIDE, mask=i < n)


CONFIGS = [triton.Config({"BLOCK": block}) for block in (16, 64)]


@triton.autotune(CONFIGS, key=["n"], reset_to_zero=["x"], restore_value=["y"])
@triton.jit
def count_up(x, y, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x + i, tl.load(x + i, mask=i < n) + 1, mask=i < n)
    tl.store(y + i, tl.load(y + i, mask=i < n) + 1, mask=i < n)


@triton.jit
def rows(x, n, step, s, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    p = x + tl.program_id(0) * step + i
    tl.store(p, tl.load(p, mask=i < n) * s, mask=i < n)


@triton.jit
def gather(x, places, out, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + tl.load(places + i)))


@triton.jit
def descriptor(x, BLOCK: tl.constexpr):
    x.store([0, 0], x.load([0, 0]))
"""


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path):
    path = tmp_path / "own.json"
    monkeypatch.setenv("VERTEBRA_TUNING", str(path))
    monkeypatch.delenv("VERTEBRA_TUNING_KEEP", raising=False)
    yield path
    select.set_core(None)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(KERNELS)
    return str(path)


def run(capsys, *argv):
    """(exit code, standard output, standard error)"""
    capsys.readouterr()
    code = cli.main(["tune", *argv])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def tune_scale(capsys, file, *more, core="host", n=1000):
    return run(
        capsys,
        *(
            "run",
            f"{file}:scale",
            "--core",
            core,
            "--signature",
            "*fp32,*fp32,i32",
            "--constexpr",
            "FACTOR=2.5",
        ),
        *("--args", f"n={n}", "--grid", "cdiv(n, BLOCK)", *more),
    )


# --- run -------------------------------------------------------------------------------------


def test_configurations_of_the_kernel(capsys, file, own):
    code, out, _ = tune_scale(capsys, file)
    assert code == 0
    head, columns, *rows = out.splitlines()
    assert head.startswith("scale [1000, float32, float32, FACTOR=2.5, OFFSET=3] for host: milliseconds")
    assert " ".join(columns.split()) == "configuration predicted ms measured not measured because"
    assert [row[0] for row in rows[:2]].count("*") == 1
    assert "BLOCK=16" in rows[0] and "BLOCK=64, num_warps=8" in rows[1] and rows[1].count(" ms") == 1
    assert len(store.read(own)) == 1


@pytest.mark.parametrize("core", ["host", "spacemit-x60"])
def test_found_when_the_kernel_is_called(capsys, file, own, core, monkeypatch):
    """No matter that another file name was given, and that arguments are real."""
    assert tune_scale(capsys, file, core=core)[0] == 0
    before = own.read_text()
    select.set_core(core)
    kernel = aot.load_decorated(file, "scale")
    monkeypatch.setattr(type(kernel), "_bench", lambda *_, **__: pytest.fail("measured again"))
    x, out = np.ones(1000, np.float32), np.zeros(1000, np.float32)
    kernel[lambda meta: (triton.cdiv(1000, meta["BLOCK"]),)](x, out, 1000, FACTOR=2.5)
    np.testing.assert_array_equal(out, 5.5)
    assert own.read_text() == before


def test_found_rather_than_measured_again(capsys, file, own):
    tune_scale(capsys, file)
    before = own.read_text()
    _, out, _ = tune_scale(capsys, file)
    assert own.read_text() == before and out.count(" ms") >= 2
    entries = json.loads(before)
    (entry,) = entries["results"].values()
    entry["date"] = "long ago"
    own.write_text(json.dumps(entries))
    assert "long ago" in tune_scale(capsys, file)[1]
    assert "long ago" not in tune_scale(capsys, file, "--again")[1]


def test_memory_that_is_reset_and_restored(capsys, file):
    code, out, err = run(
        capsys,
        *("run", f"{file}:count_up", "--core", "host", "--signature", "*fp32,*i32,i32"),
        *("--args", "n=100", "--grid", "cdiv(n, BLOCK)"),
    )
    assert code == 0, err
    assert "count_up [100, float32, int32]" in out and out.count(" ms") >= 2


def test_heuristics_inside_and_outside(capsys, file):
    code, out, err = run(
        capsys,
        "run",
        f"{file}:guessed",
        "--core",
        "host",
        "--signature",
        "*i32,i32",
        "--args",
        "n=64",
        "--grid",
        "4",
    )
    assert code == 0, err
    assert "guessed [64, int32, EVEN=True]" in out and out.count(" ms") >= 2


def test_configurations_of_the_command(capsys, file):
    code, out, err = run(
        capsys,
        *("run", f"{file}:rows", "--core", "host", "--signature", "*bf16,i32,i32,fp32"),
        *("--args", "n=100,step=100", "--grid", "7,2"),
        *("--config", "BLOCK=128", "--config", "BLOCK=256,num_warps=2", "--config", "BLOCK=100"),
    )
    assert code == 0, err
    assert "rows [100, 100, 1.0, bfloat16]" in out
    assert "BLOCK=256, num_warps=2" in out and "does not compile" in out.splitlines()[4]


def test_instructions_under_the_emulator(capsys, file):
    _, out, _ = tune_scale(capsys, file, core="spacemit-x60", n=100)
    assert "instructions (emulated), one thread" in out and " instructions\n" in out.splitlines(True)[2]


def test_all_are_measured_and_compared(capsys, file):
    configs = [word for block in (16, 32, 64, 128, 256) for word in ("--config", f"BLOCK={block}")]
    _, out, _ = tune_scale(capsys, file, "--keep", "1", *configs, core="spacemit-x60", n=512)
    assert out.splitlines()[6].startswith("*  BLOCK=256")
    assert "rank correlation of predicted and measured: 1.00, over 5 configurations" in out


def test_a_kernel_that_crashes(capsys, file):
    """The size that is told is not the one that is used."""
    code, _, err = run(
        capsys,
        *("run", f"{file}:rows", "--core", "host", "--signature", "*fp32,i32,i32,fp32"),
        *("--args", "n=64,step=1000000000,x=64", "--grid", "2", "--config", "BLOCK=64"),
    )
    assert code == 2 and "none of 1 configurations could be measured" in err and "crashed: SIGSEGV" in err


def test_sizes_that_depend_on_data(capsys, file):
    argv = ["run", f"{file}:gather", "--core", "host", "--signature", "*fp32,*i32,*fp32"]
    argv += ["--config", "BLOCK=64", "--config", "BLOCK=128"]
    code, _, err = run(capsys, *argv)
    assert code == 2 and "how much of x it takes depends on data" in err and "--args 'x=...'" in err
    code, out, _ = run(capsys, *argv, "--args", "x=1000")
    assert code == 0 and out.count(" ms") >= 2


@pytest.mark.parametrize(
    "change, said",
    [
        ({"kernel": "scael"}, "did you mean scale?"),
        ({"kernel": "gather", "--signature": "*fp32,*i32,*fp32"}, "no configurations to choose among"),
        ({"--args": "m=3"}, "--args: m: the kernel takes no such argument"),
        ({"--args": ""}, "argument n has no value\nfix: add --args 'n=...'"),
        ({"--constexpr": ""}, "needs values for FACTOR"),
        ({"--signature": "*fp32"}, "no type for out, n"),
        ({"--grid": "cdiv(n"}, "--grid: 'cdiv(n' is no expression"),
        ({"--grid": "n / BLOCK"}, "let it give whole numbers"),
        ({"--grid": "cdiv(m, BLOCK)"}, "NameError: name 'm' is not defined"),
        ({"--grid": "1,2,3,4"}, "is no grid"),
        ({"--keep": "2"}, "2 of the configurations cannot be kept"),
        ({"--timeout": "0"}, "--timeout is 0"),
        ({"--core": "x61"}, "no core 'x61'"),
        ({"--config": "BLOCK"}, "'BLOCK' is not NAME=VALUE"),
        ({"--scheduler": "nonsense://x"}, "no scheduler answers at nonsense://x"),
    ],
)
def test_bad_input(capsys, file, change, said):
    good = {
        "--core": "host",
        "--signature": "*fp32,*fp32,i32",
        "--constexpr": "FACTOR=2.5",
        "--args": "n=64",
        "--grid": "cdiv(n, BLOCK)",
    }
    if change.get("kernel") == "gather":
        del good["--constexpr"], good["--args"]
    options = {**good, **change}
    kernel = options.pop("kernel", "scale")
    code, out, err = run(capsys, "run", f"{file}:{kernel}", *(w for pair in options.items() for w in pair))
    assert (code, out) == (2, "") and said in err


def test_a_descriptor_is_refused(capsys, file):
    code, _, err = run(
        capsys, "run", f"{file}:descriptor", "--signature", "tensordesc<fp32[4,4]>", "--config", "BLOCK=4"
    )
    assert code == 2 and "argument x is a tensor descriptor" in err and "from Python" in err


def test_dask_is_not_installed(capsys, file, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    code, _, err = tune_scale(capsys, file, "--scheduler", "tcp://127.0.0.1:1")
    assert code == 2 and "pip install 'vertebra[tune]'" in err


def test_over_a_scheduler(capsys, file, local_cluster):
    with local_cluster(2) as cluster:
        code, out, err = tune_scale(
            capsys, file, "--scheduler", cluster.scheduler_address, core="spacemit-x60"
        )
    assert code == 0, err
    assert out.count(" instructions\n") == 2


# --- show, export, merge ---------------------------------------------------------------------


def test_show(capsys, file, own):
    assert run(capsys, "show")[:2] == (0, f"no such results in {own}\n")
    tune_scale(capsys, file)
    _, out, _ = run(capsys, "show")
    assert out.splitlines()[0].split() == ["kernel", "core", "key", "best", "measured", "date"]
    assert out.splitlines()[1].startswith("scale   host")
    assert "not measured because" in run(capsys, "show", "--kernel", "scale")[1]
    assert "no such results" in run(capsys, "show", "--kernel", "scale", "--core", "nowhere")[1]
    assert "scale" in run(capsys, "show", str(own))[1]


def test_export_and_merge(capsys, file, own, tmp_path, monkeypatch):
    tune_scale(capsys, file)
    tune_scale(capsys, file, n=64)
    shared = tmp_path / "shared.json"
    assert run(capsys, "export", "--kernel", "scale", "-o", str(shared))[0] == 0
    assert store.read(shared) == store.read(own)
    monkeypatch.setenv("VERTEBRA_TUNING", str(tmp_path / "other.json"))
    code, out, _ = run(capsys, "merge", str(shared))
    assert (code, out) == (0, f"2 results added to {tmp_path / 'other.json'}, which has 2\n")
    assert "0 results added" in run(capsys, "merge", str(shared))[1]
    assert run(capsys, "merge", str(shared), str(own), "-o", str(tmp_path / "third.json"))[0] == 0
    assert len(store.read(tmp_path / "third.json")) == 2


def test_the_newer_result_stays(capsys, file, own, tmp_path):
    tune_scale(capsys, file)
    older = json.loads(own.read_text())
    (entry,) = older["results"].values()
    entry["date"], entry["machine"] = "2020-01-01", "old board"
    path = tmp_path / "older.json"
    path.write_text(json.dumps(older))
    run(capsys, "merge", str(path), str(own), str(path), "-o", str(tmp_path / "both.json"))
    (found,) = store.read(tmp_path / "both.json").values()
    assert found.conditions.machine != "old board"


def test_files_that_cannot_be_read(capsys, own, tmp_path):
    missing, damaged = tmp_path / "missing.json", tmp_path / "damaged.json"
    damaged.write_text("{")
    assert f"{missing}: no such file" in run(capsys, "show", str(missing))[2]
    assert f"{missing}: no such file" in run(capsys, "merge", str(missing))[2]
    for argv in (("show", str(damaged)), ("merge", str(damaged))):
        code, _, err = run(capsys, *argv)
        assert code == 2 and f"{damaged} is no file of tuning results" in err
    assert "no such results" in run(capsys, "export")[2]
    own.touch(0o444)
    own.write_text(store.text([]))
    damaged.write_text(store.text([]))
    code, _, err = run(capsys, "merge", str(damaged))
    assert code == 2 and f"{own}: the file is read-only" in err


def test_no_file_is_chosen(capsys, monkeypatch):
    monkeypatch.setenv("VERTEBRA_TUNING", "0")
    code, _, err = run(capsys, "show")
    assert code == 2 and "VERTEBRA_TUNING is 0" in err


# --- Made-up arguments -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "element, size, dtype",
    [
        ("fp16", 2, "float16"),
        ("bf16", 2, "bfloat16"),
        ("fp64", 8, "float64"),
        ("u1", 1, "bool"),
        ("i8", 1, "int8"),
        ("u64", 8, "uint64"),
        ("fp8e4nv", 1, "float8_e4m3fn"),
    ],
)
def test_buffers(element, size, dtype):
    made = Buffer(element, 10 * size)
    assert (element_bytes(element), made.dtype, made.data_ptr() % 64) == (size, dtype, 0)
    contents = made.copy()
    assert contents.any() == element.startswith(("fp16", "bf16", "fp64"))
    made[...] = 0
    assert not made.copy().any()


def test_bfloat16_is_between_minus_1_and_1():
    bits = Buffer("bf16", 2000).copy().view(np.uint16).astype(np.uint32) << 16
    assert 0.9 < np.abs(bits.view(np.float32)).max() <= 1


def test_arguments():
    made = arguments({"x": "*i16", "n": "i32", "s": "fp32", "y": "*fp32"}, {"n": 5, "x": 7}, {"y": 12})
    assert (made["x"].nbytes, made["n"], made["s"], made["y"].nbytes) == (14, 5, 1.0, 12)


def test_pointers_to_pointers():
    with pytest.raises(ConfigError, match=r"an array of \*fp32 cannot be made up"):
        arguments({"x": "**fp32"}, {}, {})


@pytest.mark.parametrize(
    "text, grid",
    [("4", (4,)), ("cdiv(n, B), 2 * B", (4, 8)), ("min(n, B), max(n, B), 1", (4, 13, 1)), ("n*0", (0,))],
)
def test_grids(text, grid):
    assert grid_of(text)({"n": 13, "B": 4}) == grid
