"""From text to text and to binaries: every stage as start and stop, the cache, and bad input."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
import pytest

from vertebra.core import cache, elf, llvm
from vertebra.core.compile import compile, render
from vertebra.core.errors import BackendError, CompileError, ConfigError, ParseError
from vertebra.core.hooks import cores
from vertebra.core.pipeline import STAGES, Options
from vertebra.core.select import runtime_for

GRID = "%gx: i32, %gy: i32, %gz: i32, %px: i32, %py: i32, %pz: i32"
SIGNATURE = ("*fp32", "fp32")


def text_of(name: str = "k", extent: int = 4) -> str:
    """x[:] = a, and a buffer of 8 KiB times `extent` / 4 that makes it need scratch memory."""
    scratch = 2048 * extent // 4
    return f"""func.func @{name}(%x: memref<?xf32>, %a: f32, {GRID}) attributes {{vertebra.kernel}} {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %n = arith.constant {extent} : index
      %b = memref.alloc() : memref<{scratch}xf32>
      scf.for %i = %c0 to %n step %c1 {{
        memref.store %a, %b[%i] : memref<{scratch}xf32>
        %v = memref.load %b[%i] : memref<{scratch}xf32>
        memref.store %v, %x[%i] : memref<?xf32>
      }}
      return
    }}
    """


@pytest.fixture
def host():
    return cores()["host"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache without kernels; what the tools keep there takes seconds to make."""
    for name in ("native", "targets", "zig"):
        kept = cache.cache_dir() / name
        kept.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(kept)
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path))
    return tmp_path


def entries(folder):
    return sorted(folder.glob("kernels/*/*.bin"))


def run(binary, extent: int = 4) -> np.ndarray:
    x = np.zeros(extent, np.float32)
    runtime_for(binary.core).load(binary).launch((1, 1, 1), (x, 2.5))
    return x


# -- stages

START = {"ttir": 0, "linalg": 1, "vector": 2, "llir": 3}


@pytest.mark.parametrize("start", START)
@pytest.mark.parametrize("stop", STAGES)
def test_every_stage_to_every_later_one(start, stop, host):
    text = text_of() if start == "ttir" else render(text_of(), start, host)
    if STAGES.index(stop) < STAGES.index(start):
        with pytest.raises(ConfigError, match=f"stage {stop} comes before {start}"):
            render(text, stop, host, start=start)
        return
    made = render(text, stop, host, start=start)
    assert isinstance(made, bytes if stop in ("obj", "so") else str)
    if stop in ("obj", "so"):
        assert made.startswith(b"\x7fELF")
        assert b"\0k_scratch_bytes\0" in made
    else:
        assert "k" in made


@pytest.mark.parametrize("start", START)
def test_a_kernel_gives_the_same_numbers_from_every_start(start, host):
    text = text_of() if start == "ttir" else render(text_of(), start, host)
    binary = compile(text, host, name="k", signature=SIGNATURE, start=start)
    np.testing.assert_array_equal(run(binary), np.full(4, 2.5))


@pytest.mark.parametrize("stage", ["asm", "obj", "so"])
def test_machine_code_starts_no_run(stage, host):
    with pytest.raises(ConfigError, match=f"cannot start at {stage}"):
        render("", "so", host, start=stage)


@pytest.mark.parametrize("stages", [{"start": "ttgir", "stop": "asm"}, {"stop": "ptx"}])
def test_an_unknown_stage_says_which_there_are(stages, host):
    with pytest.raises(ConfigError, match=r"no stage '(ttgir|ptx)'\nfix: the stages are ttir, linalg, .*so"):
        render(text_of(), core=host, **stages)


# -- bad input


@pytest.mark.parametrize(
    "text, line, column, said",
    [
        ("func.func @k() {\n  %c = arith.constnat 1 : i32\n  return\n}", 2, 8, "arith.constnat"),
        ("func.func @k() {\n  return\n", 2, 9, "expected"),
        ("func.func @k() {\n  return %x : i32\n}", 2, 10, "undeclared SSA value"),
        ("\n\n$", 3, 1, "expected|unexpected"),
    ],
    ids=["operation", "end-of-file", "value", "character"],
)
@pytest.mark.parametrize("start", ["ttir", "linalg", "vector"])
def test_unreadable_mlir_is_shown_with_line_and_column(text, line, column, said, start, host):
    with pytest.raises(ParseError) as caught:
        render(text, "llir", host, start=start, filename="bad.mlir")
    place = re.match(r"bad\.mlir:(\d+):(\d+): (.*)", str(caught.value))
    assert (int(place[1]), int(place[2])) == (line, column)
    assert re.search(said, place[3])


@pytest.mark.parametrize("text", ["", "define void @k() {", "garbage", "define void @k() { ret i32 0 }"])
def test_unreadable_llvm_ir_is_an_error(text, host):
    with pytest.raises((BackendError, ConfigError)):
        compile(text, host, name="k", signature=(), start="llir")


@pytest.mark.parametrize("op", ["tensor.empty()", "bufferization.alloc_tensor()"])
def test_an_operation_without_a_form_in_llvm_ir_is_an_error_not_a_crash(op, host):
    text = (
        f'func.func @k({GRID}) attributes {{vertebra.kernel}} {{ %t = {op} : tensor<4xf32> loc("k.py":7:3)\n'
    )
    text += "func.call @use(%t) : (tensor<4xf32>) -> () return }\nfunc.func private @use(tensor<4xf32>)"
    with pytest.raises(CompileError) as caught:
        render(text, "llir", host, start="vector")
    assert caught.value.kernel == "k" or caught.value.place is not None
    assert "internal error" not in str(caught.value)


def test_an_unregistered_operation_is_an_error_not_a_crash(host):
    with pytest.raises(ParseError, match="no installed plugin has the dialect nope"):
        render('func.func @k() { "nope.op"() : () -> () return }', "llir", host, start="vector")


def test_a_name_that_is_not_in_the_text_says_which_are(host):
    with pytest.raises(ConfigError, match=r"no kernel 'softmax' in the text\nfix: it has k"):
        compile(text_of(), host, name="softmax", signature=SIGNATURE)


@pytest.mark.parametrize("start, kind", [("ttir", CompileError), ("linalg", BackendError)])
def test_a_call_that_nobody_answers_is_an_error(start, kind, host):
    text = f"""func.func private @launch_missiles()
    func.func @k({GRID}) attributes {{vertebra.kernel}} {{
      func.call @launch_missiles() : () -> ()
      return }}"""
    with pytest.raises(kind, match="launch_missiles"):
        compile(text, host, name="k", signature=(), start=start)


def test_features_that_llvm_does_not_know_are_an_error(host):
    with pytest.raises(BackendError, match="\\+warp-drive"):
        compile(text_of(), attrs.evolve(host, features=("+warp-drive",)), name="k", signature=SIGNATURE)


# -- the cache


def test_a_second_compilation_comes_from_the_cache(host, folder, monkeypatch):
    first = compile(text_of(), host, name="k", signature=SIGNATURE)
    assert len(entries(folder)) == 1

    def refuse(*args, **kwargs):
        raise AssertionError("compiled again")

    monkeypatch.setattr(llvm, "optimize", refuse)
    assert compile(text_of(), host, name="k", signature=SIGNATURE) == first


@pytest.mark.parametrize(
    "change",
    [
        {"text": text_of(extent=8)},
        {"core": lambda core: attrs.evolve(core, clock=9.9)},
        {"options": Options(fast_math=True)},
        {"fingerprint": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_decides_the_code_makes_an_entry_of_its_own(change, host, folder, monkeypatch):
    compile(text_of(), host, name="k", signature=SIGNATURE)
    if "fingerprint" in change:
        from vertebra.core import hooks

        monkeypatch.setattr(hooks, "fingerprint", lambda: change["fingerprint"])
    core = change.get("core", lambda core: core)(host)
    compile(change.get("text", text_of()), core, change.get("options"), name="k", signature=SIGNATURE)
    assert len(entries(folder)) == 2


def test_the_signature_is_the_callers_not_the_entrys(host):
    compile(text_of(), host, name="k", signature=SIGNATURE)
    assert compile(text_of(), host, name="k", signature=("*fp32", "f32")).signature == ("*fp32", "f32")


def test_kernels_of_one_text_keep_their_own_scratch_sizes(host):
    text = text_of("small") + text_of("large", extent=64)
    made = [compile(text, host, name=n, signature=SIGNATURE) for n in ("small", "large", "small")]
    assert [binary.scratch_bytes for binary in made] == [8192, 131072, 8192]


def test_a_damaged_entry_is_built_again(host, folder):
    first = compile(text_of(), host, name="k", signature=SIGNATURE)
    (path,) = entries(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    again = compile(text_of(), host, name="k", signature=SIGNATURE)
    assert elf.undefined_symbols(again.object) == elf.undefined_symbols(first.object)
    np.testing.assert_array_equal(run(again), np.full(4, 2.5))
    assert cache.load(path.stem)["object"] == again.object


def test_a_cache_that_cannot_be_written_costs_only_speed(host, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(blocked))
    binary = compile(text_of(), host, name="k", signature=SIGNATURE)
    assert binary.object.startswith(b"\x7fELF")


# -- many at once


def test_threads_compile_at_once(host):
    def compiled(extent: int):
        return compile(text_of(extent=extent), host, name="k", signature=SIGNATURE)

    sizes = range(4, 20)
    with ThreadPoolExecutor(4) as pool:
        binaries = list(pool.map(compiled, sizes))
    for n, binary in zip(sizes, binaries, strict=True):
        np.testing.assert_array_equal(run(binary, n), np.full(n, 2.5))


def test_compiling_many_kernels_does_not_fill_the_memory(host):
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for n in range(4, 9):
        render(text_of(extent=n), "obj", host, start="linalg")
    before = resident()
    for n in range(9, 59):
        render(text_of(extent=n), "obj", host, start="linalg")
    assert resident() - before < 50 << 20
