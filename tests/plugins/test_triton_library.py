"""Libraries of Triton kernels, and C programs that link them: no Python, no abort."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vertebra.core import cli, hooks, select, toolchain
from vertebra.core.errors import ConfigError
from vertebra.plugins.triton import library

from .line_table import rows

KERNELS = Path(__file__).with_name("library_kernels.py")
SCALE = "signature = '*fp32, *fp32, i32, fp32, i32'"
DESCRIPTION = f"""
[[kernel]]
source = "{KERNELS}:scale"
constexpr = "BLOCK=16"
specialisations = [
  {{ signature = "*fp32:16, *fp32:16, i32, fp32, i32:1" }},
  {{ {SCALE} }},
]

[[kernel]]
source = "{KERNELS}:scale"
name = "scale_half"
signature = "*fp16, *fp16, i32, fp32, i32"
constexpr = "BLOCK=16, KIND='tl.float16'"

[[kernel]]
source = "{KERNELS}:talk"
signature = "*i32, i32"
constexpr = "BLOCK=2"
debug = true

[[kernel]]
source = "{KERNELS}:meet"
signature = "*i32"
specialisations = [{{ constexpr = "EXPECTED=3" }}, {{ constexpr = "EXPECTED=4" }}]

[[kernel]]
source = "{KERNELS}:scale"
name = "checked"
{SCALE}
constexpr = "BLOCK=16"
bounds_check = true
"""
MAIN = """
#include "libtold.h"
#include <stdio.h>
#include <string.h>

static void told(int status) {
  printf("%d%s%s\\n", status, status ? " " : "", status ? told_message() : "");
}

int main(void) {
  _Alignas(16) float x[64], out[33] = {0};
  for (int i = 0; i < 64; i++) x[i] = (float)i;
  struct scale_args scale = {.x = x, .out = out, .n = 19, .factor = 0.5f, .step = 1};
  printf("%d ", scale_choose(&scale));
  told(scale_launch(&scale, 2, 1, 1, 0));
  scale.step = 3; scale.out++;
  printf("%d ", scale_choose(&scale));
  told(scale_launch(&scale, 2, 1, 1, 2));
  for (int i = 0; i < 21; i++) printf("%g ", out[i]);
  uint16_t half[4] = {0x3c00, 0x4000, 0xbc00, 0x7c00}, halves[4] = {0};
  struct scale_half_args both = {.x = half, .out = halves, .n = 3, .factor = 2.0f, .step = 1};
  told(scale_half_launch(&both, 1, 1, 1, 1));
  for (int i = 0; i < 4; i++) printf("%04x ", halves[i]);
  printf("\\n");
  int32_t numbers[4] = {1, -2, 3, 40};
  struct talk_args talk = {.x = numbers, .limit = 100};
  told(talk_launch(&talk, 1, 2, 1, 1));
  talk.limit = 30;
  told(talk_launch(&talk, 1, 2, 1, 1));
  int32_t met[3] = {0};
  struct meet_args meet = {.out = met, .EXPECTED = 3};
  told(meet_launch(&meet, 1, 1, 1, 2));
  printf("%d %d %d\\n", met[0], met[1], met[2]);
  meet.EXPECTED = 4;
  told(meet_launch(&meet, 1, 1, 1, 2));
  struct checked_args checked = {.x = x, .out = out, .n = 19, .factor = 1.0f, .step = 4};
  checked.x_bytes_behind = sizeof x;
  checked.out_bytes_behind = sizeof out;
  told(checked_launch(&checked, 2, 1, 1, 1));
  checked.step = 2;
  told(checked_launch(&checked, 2, 1, 1, 1));
  return 0;
}
"""


def cores():
    """This machine's core, and one of each target that can be run here by another way."""
    found = {core.target: core.name for core in reversed(hooks.cores().values()) if core.arch == "riscv64"}
    return ["host", *found.values()]


def program(
    folder: Path, core: str, kind: str, description: str = DESCRIPTION, main: str = MAIN
) -> list[str]:
    """The command that runs `main`, linked with the library of `description`."""
    chosen = select.find_core(core)
    host = core == "host"
    (folder / "told.toml").write_text(description)
    (folder / "main.c").write_text(main)
    out = folder / ("libtold.so" if kind == "so" else "libtold.a")
    words = ["compile", str(folder / "told.toml"), "--core", core, "--emit", kind, "-o", str(out)]
    assert cli.main([*words, *([] if host else ["--libc", "musl", "--emulate"])]) == 0
    target = toolchain.host_triple() if host else "riscv64-linux-musl"
    options = [f"-Wl,-rpath,{folder}"] if host else ["-static"]
    options += ["-Wall", "-Wextra", "-Werror", "-g", str(folder / "main.c"), str(out), "-lpthread"]
    toolchain.run_compiler(["-target", target, *options, "-o", str(folder / "main")])
    if host:
        return [str(folder / "main")]
    qemu = pytest.importorskip("vertebra.plugins.qemu.runtime")
    if reason := qemu.QemuRuntime().supports(chosen):
        pytest.skip(reason)
    return [qemu.process.emulator_program(), "-cpu", qemu.cpu_option(chosen), str(folder / "main")]


@pytest.mark.parametrize("core, kind", [("host", "so"), *((core, "archive") for core in cores())])
def test_a_c_program_launches_kernels(core, kind, tmp_path):
    command = program(tmp_path, core, kind)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done
    lines = iter(done.stdout.splitlines())
    assert next(lines) == "1 0"
    assert next(lines) == "2 0"
    *scaled, status = next(lines).split()
    assert status == "0"
    x = np.arange(64) * 0.5
    np.testing.assert_array_equal(np.array(scaled, float), [0, *x[: 3 * 19 : 3], 0])
    assert next(lines).split() == ["4000", "4400", "c000", "0000"]
    printed = ["pid (0, 0, 0) idx (0) x: 1", "pid (0, 0, 0) idx (1) x: -2"]
    printed += ["pid (0, 1, 0) idx (0) x: 3", "pid (0, 1, 0) idx (1) x: 40"]
    assert [next(lines) for _ in range(4)] == printed
    assert next(lines) == "0"
    assert [next(lines) for _ in range(4)] == printed
    line = next(lines)
    at = line_of("tl.device_assert")
    assert line.startswith(f"-1 talk on grid (1, 2, 1): program (0, 1, 0): {KERNELS}:{at}:")
    assert line.endswith("too large") or "too large" in line
    assert next(lines) == "0"
    assert next(lines) == "1 2 3"
    waits = [next(lines) for _ in range(2)]
    assert waits[0] == "-1 meet on grid (1, 1, 1): programs or iterations wait at barriers forever:"
    assert "has seen 3 of 4 arrivals" in waits[1] and f"{KERNELS}:{line_of('barrier_wait')}:" in waits[1]
    out_of_bounds = next(lines)
    assert out_of_bounds.startswith("-1 checked on grid (2, 1, 1): program (1, 0, 0): ")
    assert "x out of bounds" in out_of_bounds and "its tensor has elements 0 to 63" in out_of_bounds
    assert list(lines) == ["0"]


@pytest.mark.parametrize("core", cores())
def test_linked_programs_know_the_kernels_lines(core, tmp_path):
    """As gdb, which is told for this machine in test_debugger.py, and other debuggers see them."""
    main = '#include "libtold.h"\nint main(void) { return scale_launch(0, 1, 1, 1, 1) == 0; }'
    *_, path = program(tmp_path, core, "archive", main=main)
    found = {line for _, file, line in rows(Path(path).read_bytes()) if file == KERNELS.name}
    wanted = ("tl.store(out + i, (tl.load", "tl.device_print", "barrier_wait")
    assert set(map(line_of, wanted)) <= found


def line_of(text: str) -> int:
    return next(i for i, line in enumerate(KERNELS.read_text().splitlines(), 1) if text in line)


def test_without_emulation_another_processor_is_refused(tmp_path):
    """The program says so, and goes on."""
    qemu = pytest.importorskip("vertebra.plugins.qemu.runtime")
    if reason := qemu.QemuRuntime().supports(select.find_core("spacemit-x60")):
        pytest.skip(reason)
    command = program(tmp_path, "spacemit-x60", "archive")
    for cpu, said in {
        "rv64,v=true,vlen=128,elen=64,vext_spec=v1.0": "this processor's have 128",
        "rv64,v=false": "this processor has none",
    }.items():
        command[2] = cpu
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        assert (
            f"-5 scale on grid (2, 1, 1): it is made for vector registers of 256 bits, {said}" in done.stdout
        )


def test_a_descriptor_is_one_argument_in_c(tmp_path):
    kernel = library.kernel_of(
        library.Entry(
            str(KERNELS),
            "through_descriptor",
            "copy",
            (library.Form("tensordesc<fp32[16,16]>,*fp32", "N=16"),),
        ),
        select.find_core("host"),
    )
    assert list(kernel.fields) == [
        "source", "source_size0", "source_size1", "source_stride0", "source_stride1",
        "source_pads_with_nan", "source_rounds_to_tf32", "out",
    ]  # fmt: skip
    (only,) = kernel.specialisations
    assert len(only.slots) == len(only.binary.signature) == 12
    assert only.slots[1:5] == only.slots[7:11]


HEADER = """
/* scale: scale in library_kernels.py, line 8.
 *
 * out[i] = x[i * step] * factor for i < n.
 *
 * Constants: BLOCK = 16, KIND = fp32.
 *
 * A launch takes the first of these specialisations that fits:
 *   1. wants x, out to be a multiple of 16; step to be 1
 *   2. fits always */
struct scale_args {
  float *x; /* *fp32; a multiple of 16 in specialisation 1 */
  float *out; /* *fp32; a multiple of 16 in specialisation 1 */
  int32_t n; /* i32 */
  float factor; /* fp32 */
  int32_t step; /* i32; always 1 in specialisation 1 */
};
"""


def test_the_header_documents_the_arguments(tmp_path):
    (tmp_path / "k.toml").write_text(DESCRIPTION)
    description = library.read_description(str(tmp_path / "k.toml"))
    host = select.find_core("host")
    made = library.make(description.entries[:1], host, "archive", "libk.a")
    assert HEADER in made.header


# --- Wrong descriptions ----------------------------------------------------------------------

GOOD = f"[[kernel]]\nsource = '{KERNELS}:scale'\n{SCALE}\nconstexpr = 'BLOCK=16'\n"


@pytest.mark.parametrize(
    "text, said",
    [
        ("", ("a library without kernels",)),
        ("[[kernel]", ("told.toml is not TOML", "line 1")),
        ("kernel = 3", ("told.toml: kernel is 3", "a list of tables")),
        ("kernel = [3]", ("told.toml: kernel 1 is not a table",)),
        ("cores = 'host'", ("told.toml: there is no key 'cores'", "core, kernel")),
        ("core = 'hots'\n" + GOOD, ("there is no core 'hots'", "did you mean host")),
        (GOOD + "size = 3", ("kernel 1: there is no key 'size'", "source, name, specialisations")),
        (GOOD + "debug = 'yes'", ("kernel 1: debug is 'yes'", "true or false")),
        (
            GOOD + "specialisations = [{ block = 3 }]",
            ("kernel 1, specialisation 1: there is no key 'block'",),
        ),
        (GOOD + "specialisations = []", ("kernel 1 has no specialisations",)),
        ("[[kernel]]\nname = 'k'", ("kernel 1 names no source", "FILE.py:KERNEL")),
        (GOOD.replace(":scale", ":scal"), ("there is no kernel 'scal'", "did you mean scale?")),
        (GOOD.replace("library_kernels", "nowhere"), ("nowhere.py: No such file or directory",)),
        (GOOD + GOOD, ("two kernels are called scale",)),
        (GOOD + "name = 'for'", ("kernel 'for'", "a name that C does not take")),
        (GOOD + "when = 'n << 2'", ("when = 'n << 2'", "cannot be used here", "known are n, step, BLOCK")),
        (GOOD + "specialisations = [{}, {}]", ("specialisations 1 and 2 fit the same launches",)),
        (
            GOOD + "specialisations = [{}, {signature = '*fp32:16,*fp32,i32,fp32,i32'}]",
            ("specialisation 2 is never chosen", "put 2 first"),
        ),
        (
            GOOD + "specialisations = [{}, {signature = '*fp64,*fp32,i32,fp32,i32'}]",
            ("argument x is *fp32 and *fp64 in different specialisations", "kernels of their own"),
        ),
        (
            GOOD + "specialisations = [{}, {constexpr = 'KIND=\"tl.float16\"'}]",
            ("differ in KIND, which is", "chooses by integers only"),
        ),
        (GOOD + "specialisations = [{constexpr = 'BLOCK=32'}]", ("gives BLOCK twice",)),
    ],
)
def test_wrong_descriptions(text, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VERTEBRA_CORE", "host")
    path = tmp_path / "told.toml"
    path.write_text(text)
    assert cli.main(["compile", str(path), "--emit", "so", "-o", str(tmp_path / "libtold.so")]) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in said), error
    assert not (tmp_path / "libtold.so").exists() and not (tmp_path / "libtold.h").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        ((), ("describes a library, which has no stage ttir", "--emit so or --emit archive")),
        (("--emit", "so"), ("machine code", "-o FILE")),
        (("--emit", "so", "-o", "2.so"), ("no function called 2_message", "-o libkernels.so")),
        (("--emit", "so", "-o", "libk.h"), ("libk.h is where the header goes",)),
        (("--emit", "so", "-o", "lib.so"), ("no function called _message",)),
        (("--emit", "so", "-o", "k.so", "--libc", "bionic"), ("no C library 'bionic'", "gnu or musl")),
        (("--emit", "so", "-o", "k.so", "--constexpr", "A=1"), ("--constexpr is for one kernel",)),
        (("--emit", "so", "-o", "k.so", "--debug"), ("--debug is for one kernel",)),
        (("--emit", "so", "-o", "k.so", "--emulate"), ("nothing here emulates core host",)),
        (("--emit", "so", "-o", "k.so", "--core", "nox"), ("there is no core 'nox'",)),
        (("--emit", "so", "-o", "/no/such/k.so"), ("/no/such/k.so: No such file or directory",)),
    ],
)
def test_wrong_commands(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "told.toml"
    path.write_text(f"core = 'host'\n{GOOD}")
    assert cli.main(["compile", str(path), *words]) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in said), error


def test_a_description_that_is_not_there(capsys, tmp_path):
    path = str(tmp_path / "none.toml")
    assert cli.main(["compile", path, "--emit", "so", "-o", "k.so"]) == 2
    assert capsys.readouterr().err == f"vertebra: {path}: No such file or directory\n"


def test_a_description_that_is_no_text(tmp_path):
    path = tmp_path / "k.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not text"):
        library.read_description(str(path))


def test_the_example_runs():
    """What `examples/c/run.sh` does; main.c compares with plain loops."""
    script = Path(__file__).parents[2] / "examples" / "c" / "run.py"
    done = subprocess.run(
        [sys.executable, script, "--core", "host", "--core", "spacemit-a60"],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done
    assert done.stdout.count("passed") == 10 and "FAILED" not in done.stdout
    assert done.stdout.count("softmax 1x5000           status -2: softmax: no specialisation fits; ") == 2
