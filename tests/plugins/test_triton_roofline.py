"""`vertebra roofline` on kernels whose figures are known."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from vertebra.core import cli, select
from vertebra.core.errors import ConfigError
from vertebra.plugins.triton.roofline import roofline_of_file
from vertebra.plugins.triton.roofline_command import parse_grid, parse_values

ROOT = Path(__file__).parents[2]
MATMUL = ("examples/matmul.py", "matmul_kernel")
STRIDES = ",".join(["i32:16", "i32:1"] * 3)
SOFTMAX = ("examples/softmax.py", "softmax_kernel", "*fp32:16,*fp32:16,i32:16,i32:16,i32:16", "BLOCK=1024")
SOFTMAX_VALUES = {"x_stride": 1024, "out_stride": 1024, "n": 1024}
ADD = ("examples/vector_add.py", "add_kernel", "*fp32:16,*fp32:16,*fp32:16,i32", "BLOCK=1024")


def roofline(core, file, kernel, signature, constexpr, grid, values, **options):
    found, measurement = roofline_of_file(
        str(ROOT / file),
        kernel,
        signature=signature,
        constexpr=constexpr,
        core=select.find_core(core),
        values=values,
        grid=grid,
        **options,
    )
    return (found, measurement) if options else found


def matmul(core, element, total, acc, size, block, **options):
    signature = f"*{element}:16,*{element}:16,*{total}:16,i32:16,i32:16,i32:16,{STRIDES}"
    constexpr = f'BLOCK_M={block},BLOCK_N={block},BLOCK_K={block},GROUP_M=8,ACC="tl.{acc}"'
    names = ("m", "n", "k", "stride_am", "stride_bk", "stride_cm")
    grid = ((-(-size // block)) ** 2, 1, 1)
    return roofline(core, *MATMUL, signature, constexpr, grid, dict.fromkeys(names, size), **options)


def test_int8_product_on_a60():
    found = matmul("spacemit-a60", "i8", "i32", "int32", 512, 256)
    assert found.work.operations == 2 * 512**3
    assert (found.peak, found.bound in ("compute", "instruction issue")) == (512e9, True)
    assert found.bytes == 2 * 512**2 + 4 * 512**2
    assert found.work.moved == 2 * 2 * 512**2 + 4 * 512**2
    (part,) = found.parts
    assert part.loop.unit == "smt.vmadot.i8" and part.loop.done >= 12
    assert part.loop.per_instruction <= 2.0
    assert found.fraction > 0.9


@pytest.mark.parametrize(
    "core, element, total, acc, unit, peak",
    [
        ("spacemit-a100", "i8", "i32", "int32", "smt.vmadot.i8", 4.096e12),
        ("spacemit-a100", "fp16", "fp32", "float32", "smt.vfwmadot", 2.048e12),
        ("spacemit-a100", "bf16", "fp32", "float32", "smt.vfwmadot", 2.048e12),
        ("spacemit-x60", "fp32", "fp32", "float32", "vfmacc.vf", 25.6e9),
        ("spacemit-a60", "fp32", "fp32", "float32", "vfmacc.vf", 32e9),
    ],
)
def test_products_and_the_instructions_that_make_them(core, element, total, acc, unit, peak):
    found = matmul(core, element, total, acc, 128, 128)
    assert found.work.operations == 2 * 128**3
    assert found.parts[0].loop.unit == unit
    assert found.peak == pytest.approx(peak)


def test_softmax_is_bound_by_memory_where_cores_share_it():
    found = roofline("spacemit-x60", *SOFTMAX, (4096, 1, 1), SOFTMAX_VALUES)
    assert found.work.operations == 0
    assert found.bytes == found.work.moved == 2 * 4 * 4096 * 1024
    assert found.on(4).bound == "memory"
    assert 15 < found.work.vector_operations / (4096 * 1024) < 60


@pytest.mark.parametrize("core", ["host", "spacemit-x100", "spacemit-a100"])
def test_addition_is_bound_by_memory_everywhere(core):
    found = roofline(core, *ADD, (1000, 1, 1), {"n": 1_000_000})
    assert found.bound == "memory"
    assert found.work.vector_operations == pytest.approx(1000 * 1024)
    assert found.bytes == 12_000_000


def test_a_matrix_vector_product_is_bound_by_memory():
    gemv = ("benchmarks/matrix_kernels.py", "gemv", "*i8:16,*i8:16,*i32:16,i32:16,i32:16")
    found = roofline("spacemit-a60", *gemv, "BLOCK_N=256,BLOCK_K=1024", (4, 1, 1), {"n": 1024, "k": 1024})
    assert found.work.operations == 2 * 1024**2
    assert found.bound == "memory"
    assert found.parts[0].loop.unit == "smt.vmadot.i8"


def test_attention_has_products_and_other_arithmetic():
    attention = ("examples/attention.py", "attention_kernel")
    signature = "*fp32:16,*fp32:16,*fp32:16,*fp32:16,i32:16,i32:16,i32,fp32"
    values = {"stride_head": 128 * 64, "stride_row": 64, "length": 128}
    grid, constexpr = (2, 3, 1), "HEAD=64,BLOCK_M=64,BLOCK_N=64,CAUSAL={}"
    full = roofline("spacemit-x60", *attention, signature, constexpr.format(False), grid, values)
    causal = roofline("spacemit-x60", *attention, signature, constexpr.format(True), grid, values)
    assert full.work.operations == 3 * 2 * (2 * 128 * 128 * 64)
    assert causal.work.operations == full.work.operations * 3 / 4
    assert [part.kind for part in full.parts] == ["products", "other arithmetic"]
    assert full.work.traffic["k_ptr"].touched == 3 * 128 * 64 * 4


def test_measured_on_this_machine():
    _, measurement = roofline("host", *ADD, (10, 1, 1), {"n": 10_000}, measured=True)
    assert 0 < measurement.seconds < 1 and not measurement.counts


def test_measured_under_the_emulator():
    found, measurement = matmul("spacemit-a60", "i8", "i32", "int32", 64, 64, measured=True)
    tiles = found.work.operations / (2 * 4 * 4 * 8)
    assert measurement.engine == tiles
    assert measurement.counts["all"] > measurement.engine


DESCRIPTORS = """\
import triton
import triton.language as tl


@triton.jit
def twice(x, y, B: tl.constexpr):
    row = tl.program_id(0) * B
    y.store([row, 0], x.load([row, 0]) * 2)


@triton.jit
def gather(x, places, y, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    j = tl.load(places + i, i < n, other=0)
    tl.store(y + i, tl.load(x + j, i < n), i < n)


@triton.jit
def of_address(address, B: tl.constexpr):
    p = address.to(tl.pointer_type(tl.float32)) + tl.arange(0, B)
    tl.store(p, tl.load(p) + 1)
"""


@pytest.fixture
def other_kernels(tmp_path):
    path = tmp_path / "kernels.py"
    path.write_text(DESCRIPTORS)
    return str(path)


def test_descriptors_ask_for_their_sizes_only(other_kernels):
    kernel = (other_kernels, "twice", "tensordesc<fp32[16,64]>,tensordesc<fp32[16,64]>", "B=16")
    with pytest.raises(ConfigError) as raised:
        roofline("spacemit-x60", *kernel, (4, 1, 1), {})
    assert raised.value.fix == "add --args 'x_size0=...,x_size1=...,y_size0=...,y_size1=...'"
    sizes = {"x_size0": 64, "x_size1": 64, "y_size0": 60, "y_size1": 64}
    found = roofline("spacemit-x60", *kernel, (4, 1, 1), sizes)
    assert (found.work.traffic["x"].read, found.work.traffic["y"].written) == (64 * 64 * 4, 60 * 64 * 4)


def test_places_that_depend_on_data(other_kernels):
    kernel = (other_kernels, "gather", "*fp32,*i32,*fp32,i32", "B=64")
    found = roofline("spacemit-x60", *kernel, (2, 1, 1), {"n": 100})
    assert found.work.traffic["places"].read == found.work.traffic["y"].written == 400
    assert found.work.traffic["x"].end is None
    assert any("the places in x that are used depend on data" in note for note in found.notes)


def test_memory_that_is_no_argument(other_kernels):
    found = roofline("spacemit-x60", other_kernels, "of_address", "i64", "B=64", (1, 1, 1), {"address": 4096})
    assert found.work.traffic["computed addresses"].read == 256


# --- The command --------------------------------------------------------------------------------


def run(capsys, *more):
    file, kernel, signature, constexpr = ADD
    code = cli.main(
        ["roofline", f"{ROOT / file}:{kernel}", "--signature", signature, "--constexpr", constexpr, *more]
    )
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_command_prints_and_draws(capsys, tmp_path):
    path = tmp_path / "add.svg"
    code, out, _ = run(capsys, "--core", "x60,a60", "--args", "n=4096", "--grid", "4", "--svg", str(path))
    assert code == 0
    assert out.count("bound: memory") == 2 and "spacemit-a60" in out
    assert "add_kernel" in path.read_text()
    ElementTree.parse(path)


@pytest.mark.parametrize(
    "more, said",
    [
        (("--core", "x61"), "there is no core 'x61'"),
        (("--core", "x60"), "depends on n, which has no value\nfix: add --args 'n=...'"),
        (("--args", "n=1,m=2"), "m: the kernel takes no such argument"),
        (("--args", "n=1.5"), "'n=1.5' is not NAME=INTEGER"),
        (("--grid", "1,x"), "'1,x' is no grid"),
        (("--svg", "a.png"), "let it end in .svg"),
        (("--png", "a.svg"), "let it end in .png"),
    ],
)
def test_bad_input(capsys, more, said):
    code, _, err = run(capsys, *more)
    assert code == 2 and said in err


def test_an_unknown_kernel(capsys):
    assert cli.main(["roofline", f"{ROOT / ADD[0]}:nope", "--core", "x60"]) == 2
    assert "there is no kernel 'nope'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, grid", [("5", (5, 1, 1)), ("5,6", (5, 6, 1)), (" 5 , 6, 7", (5, 6, 7)), ("0", (0, 1, 1))]
)
def test_grids(text, grid):
    assert parse_grid(text) == grid


@pytest.mark.parametrize("text", ["", "1,2,3,4", "-1", "1.5", "a"])
def test_what_is_no_grid(text):
    with pytest.raises(ConfigError):
        parse_grid(text)


@pytest.mark.parametrize(
    "text, values", [("", {}), ("n=3", {"n": 3}), ("n=-3, k = 0x10", {"n": -3, "k": 16})]
)
def test_values(text, values):
    assert parse_values(text) == values
