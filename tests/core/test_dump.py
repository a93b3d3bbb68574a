"""Stages on disk and on the terminal, and files that show a failing pass fail again."""

import shlex

import attrs
import pytest

from vertebra.core import cli, compile, dump, hooks, pipeline, reproducer
from vertebra.core.errors import CompileError, ConfigError
from vertebra.core.pipeline import Options
from vertebra.core.target import Pass

KERNEL = """
func.func @copy(%x: memref<?xf32>, %out: memref<?xf32>, %a: i32, %b: i32, %c: i32, %d: i32, %e: i32, %f: i32)
    attributes {vertebra.kernel} {
  %from = memref.reinterpret_cast %x to offset: [0], sizes: [8], strides: [1]
      : memref<?xf32> to memref<8xf32, strided<[1]>> loc("copy.py":3:5)
  %to = memref.reinterpret_cast %out to offset: [0], sizes: [8], strides: [1]
      : memref<?xf32> to memref<8xf32, strided<[1]>>
  memref.copy %from, %to : memref<8xf32, strided<[1]>> to memref<8xf32, strided<[1]>> loc("copy.py":3:5)
  return
}
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in (*dump.VARIABLES, dump.PRINT):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def host():
    return hooks.cores()["host"]


def compile_copy(core, options=None):
    signature = ("*fp32", "*fp32")
    return compile.compile(KERNEL, core, options, name="copy", signature=signature, start="linalg")


@pytest.mark.parametrize("variable", dump.VARIABLES)
def test_every_stage_is_written_also_where_the_kernel_is_in_the_cache(monkeypatch, tmp_path, host, variable):
    quiet = compile_copy(host)
    monkeypatch.setenv(variable, str(tmp_path / "deep" / "dumps"))
    binary = compile_copy(host)
    (folder,) = (tmp_path / "deep" / "dumps").iterdir()
    assert folder.name.startswith("copy-host-")
    expected = {file for stage, file in dump.FILES.items() if stage != "ttir"}
    assert {file.name for file in folder.iterdir()} == {*expected, "passes.txt"}
    assert (folder / "obj.o").read_bytes() == binary.object == quiet.object
    assert '"copy.py":3:5' in (folder / "vector.mlir").read_text()


def test_each_specialisation_has_a_folder(monkeypatch, tmp_path, host):
    monkeypatch.setenv("VERTEBRA_DUMP", str(tmp_path))
    for core in (host, hooks.cores()["spacemit-x60"]):
        for options in (Options(), Options(fast_math=True)):
            compile_copy(core, options)
    assert len(list(tmp_path.glob("copy-*"))) == 4


def test_the_command_in_a_folder_makes_its_assembly_again(monkeypatch, tmp_path, capsys, host):
    monkeypatch.setenv("VERTEBRA_DUMP", str(tmp_path))
    compile_copy(host, Options(fast_math=True))
    (folder,) = tmp_path.glob("copy-*")
    monkeypatch.delenv("VERTEBRA_DUMP")
    monkeypatch.chdir(folder)
    command, *passes = (folder / "passes.txt").read_text().splitlines()
    assert cli.main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out.strip() == (folder / "asm.s").read_text().strip()
    plan = [f"{stage}: {name}" for stage, name in pipeline.plan(host) if stage != "linalg"]
    assert [line.split("  ")[0] for line in passes] == plan


def test_chosen_stages_are_printed_to_standard_error(monkeypatch, capsys, host):
    monkeypatch.setenv("VERTEBRA_PRINT", "vector, asm")
    compile_copy(host)
    out, err = capsys.readouterr()
    assert out == ""
    assert "// copy for host: vector\n" in err and "# copy for host: asm\n" in err
    assert "linalg\n" not in err
    assert "loc(" not in err


def test_an_unknown_stage_is_one_error(monkeypatch, host):
    monkeypatch.setenv("VERTEBRA_PRINT", "linalg,vectr")
    with pytest.raises(
        ConfigError, match=r"VERTEBRA_PRINT names 'vectr', which is no stage\nfix: .*ttir, lin"
    ):
        compile_copy(host)


def test_a_folder_that_cannot_be_written_is_one_error(monkeypatch, tmp_path, host):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VERTEBRA_DUMP", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"VERTEBRA_DUMP is '.*file', where nothing can be written"):
        compile_copy(host)


def broken_target(monkeypatch, raised):
    """A core like the host's, one of whose passes fails on the second kernel that it sees."""

    def fail(module, core, options):
        raise raised

    host = hooks.cores()["host"]
    steps = pipeline.target_of(host).stages
    at = next(i for i, step in enumerate(steps["vector"]) if step.name == "bufferise")
    vector = (*steps["vector"][:at], Pass("fall-over", fail), *steps["vector"][at:])
    target = attrs.evolve(pipeline.target_of(host), name="broken", stages={**steps, "vector": vector})
    core = attrs.evolve(host, name="broken-core", target="broken")
    targets, cores = {**hooks.targets(), "broken": target}, {**hooks.cores(), "broken-core": core}
    monkeypatch.setattr(hooks, "targets", lambda: targets)
    monkeypatch.setattr(hooks, "cores", lambda: cores)
    return core


def test_what_nobody_expected_leaves_a_file_that_fails_again(monkeypatch, tmp_path, capsys):
    core = broken_target(monkeypatch, ZeroDivisionError("no lanes"))
    with pytest.raises(CompileError) as caught:
        compile_copy(core)
    (file,) = (tmp_path / "cache" / "failures").iterdir()
    command = f"vertebra opt {file} --core broken-core --pass fall-over"
    assert caught.value.fix.endswith(f"reproduce it with `{command}`")
    assert caught.value.step == ("vector", "fall-over")
    text = file.read_text()
    assert text.startswith(
        f"// {command}\n// internal error in pass fall-over: ZeroDivisionError: no lanes\n"
    )
    assert "tensor" in text or "vector" in text
    assert cli.main(shlex.split(command)[1:]) == 2
    assert "internal error in pass fall-over: ZeroDivisionError: no lanes" in capsys.readouterr().err


def test_what_the_user_is_told_leaves_a_file_only_where_dumps_are_wanted(monkeypatch, tmp_path):
    core = broken_target(monkeypatch, CompileError("tile 5x5 does not fit", fix="use 4x4"))
    with pytest.raises(CompileError) as caught:
        compile_copy(core)
    assert caught.value.fix == "use 4x4"
    assert not (tmp_path / "cache" / "failures").exists()
    monkeypatch.setenv("VERTEBRA_DUMP", str(tmp_path / "dumps"))
    with pytest.raises(CompileError) as caught:
        compile_copy(core)
    assert len(list((tmp_path / "dumps").glob("copy-broken-core-fall-over-*.mlir"))) == 1
    (log,) = (tmp_path / "dumps").glob("*/passes.txt")
    assert log.read_text().endswith("vector: fall-over")  # where it ended


def test_a_place_that_cannot_be_written_costs_the_file_and_not_the_error(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path / "file"))
    core = broken_target(monkeypatch, ZeroDivisionError("no lanes"))
    with pytest.raises(CompileError, match="no lanes") as caught:
        compile.render(KERNEL, "llir", core, start="linalg")
    assert "reproduce" not in caught.value.fix


def test_the_module_before_a_pass_is_that_before_it(host):
    text = reproducer.module_before(("vector", "linalg-to-vector"), KERNEL, "linalg", host, Options(), "-")
    assert "memref.copy" in text
    assert "vector." not in text
