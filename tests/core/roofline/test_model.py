"""core/roofline/model.py and what shows its predictions, on made-up cores."""

import xml.etree.ElementTree as ElementTree

import attrs
import pytest

from vertebra.core import hooks, select
from vertebra.core.errors import ConfigError
from vertebra.core.instruction import Instruction, Operand
from vertebra.core.roofline import model, picture, report
from vertebra.core.roofline.machine_code import Kind, Loop, Step
from vertebra.core.roofline.measure import Measurement
from vertebra.core.roofline.peaks import bits_of
from vertebra.core.roofline.values import Product, Traffic, Work
from vertebra.core.target import Throughput
from vertebra.core.tiles import MatrixTile

RATES = Throughput(issue=2, vector_bits=256, load_bits=256, memory=10, cores=4, source="made up", clock=1.0)
CORE = select.find_core("spacemit-x60")
DOT = Instruction(
    "dot", "dot", "0" * 27 + "ddddd", (Operand("d", "d"),), frozenset(), lambda instruction, state: None
)
TILE = MatrixTile("dot", "i8", "i8", "i32", 4, 4, 8, 1, 1, 2, grid=(3, 4))
FMA = Step("fma", "", Kind.VECTOR | Kind.MULTIPLY_ADD, 256)
ADD = Step("add", "", Kind.VECTOR, 256)
LOAD = Step("load", "", Kind.LOAD, 256)
WORD = Step("lw", "", Kind.LOAD, 0)
OTHER = Step("addi", "", Kind.OTHER, 0)
ENGINE = Step("dot", "", Kind.OTHER, 0, DOT)
GEMM = Product("i8", "i8", "i32", 2 * 64 * 64 * 64, (64, 64, 64))


def work(*products, operations=0, moved=0, programs=4):
    traffic = {"x": Traffic(read=moved, touched=moved)} if moved else {}
    return Work(programs, programs, products, operations, operations, 32 * operations, traffic)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """Gives the core matrix instructions; a list that tests may change."""
    tiles = [TILE]
    monkeypatch.setattr(hooks, "matrix_tiles", lambda core: tuple(tiles))
    return tiles


def predict(done, *steps, rates=RATES):
    loops = [Loop(".L1", tuple(steps))] if steps else []
    return model.predict("k", CORE, (done.programs, 1, 1), done, loops, rates)


@pytest.mark.parametrize(
    "steps, bound, fraction, each",
    [
        ([ENGINE] * 10 + [OTHER] * 10, "compute", 1.0, 2.0),
        ([ENGINE] * 10 + [OTHER] * 20, "instruction issue", 10 / 15, 3.0),
        ([ENGINE] * 10 + [LOAD] * 20, "load issue", 0.5, 3.0),
        ([ENGINE] * 10 + [WORD] * 20, "load issue", 0.5, 3.0),
        ([ENGINE] * 10 + [ADD] * 20, "compute", 0.5, 3.0),
    ],
)
def test_the_scarcest_resource_of_the_hot_loop_bounds(steps, bound, fraction, each):
    found = predict(work(GEMM), *steps)
    assert found.bound == bound
    assert found.fraction == pytest.approx(fraction)
    assert found.peak == 256e9
    (part,) = found.parts
    assert part.loop.per_instruction == each


def test_seconds_are_operations_over_the_peak():
    assert predict(work(GEMM), ENGINE).seconds == pytest.approx(GEMM.operations / 256e9)


def test_memory_bounds_what_moves_much():
    found = predict(work(GEMM, moved=10**6), ENGINE)
    assert (found.bound, found.seconds) == ("memory", pytest.approx(1e-4))
    assert found.intensity == pytest.approx(GEMM.operations / 10**6)


def test_products_without_the_engine_are_held_against_it():
    found = predict(work(GEMM), *[FMA] * 4)
    assert found.peak == 256e9
    assert found.rate == pytest.approx(16e9)  # 8 multiply-adds of 32 bits
    assert "run on vector registers, and the core has an engine" in found.notes[0]


def test_products_of_types_that_the_engine_lacks():
    found = predict(work(Product("f32", "f32", "f32", 1e6, (64, 64, 64))), FMA)
    assert (found.peak, found.fraction, found.notes) == (16e9, pytest.approx(1), ())


def test_a_product_with_one_row_fills_a_quarter_of_the_tiles():
    found = predict(work(Product("i8", "i8", "i32", 2 * 64 * 64, (1, 64, 64))), ENGINE)
    assert found.fraction == pytest.approx(0.25)


def test_instructions_for_narrower_integers_raise_the_peak(engine):
    engine.append(attrs.evolve(TILE, instruction="dot", a="i4", b="i4", k=16))
    engine.pop(0)
    found = predict(work(GEMM), ENGINE)
    assert (found.peak, found.fraction) == (512e9, pytest.approx(1))


def test_sparse_instructions_are_no_peak_of_dense_products(engine):
    engine.append(attrs.evolve(TILE, instruction="dot.sp", k=16, other_registers=1))
    assert predict(work(GEMM), ENGINE).peak == 256e9


def test_other_arithmetic_is_added_to_products():
    found = predict(work(GEMM, operations=10**6), ENGINE)
    alone = predict(work(GEMM), ENGINE)
    assert found.seconds == pytest.approx(alone.seconds + 1e6 * 32 / 256 / 1e9)
    assert found.peak == alone.peak


def test_multiplications_with_additions_are_half_as_fast():
    found = predict(work(Product("f32", "f32", "f32", 1e6, (64, 64, 64))), ADD, ADD)
    assert found.fraction == pytest.approx(0.5)


def test_the_loop_with_most_multiply_adds_is_that_of_products():
    function = Loop(".exp", (*[FMA] * 9, *[ADD] * 30))
    products = Loop(".mm", (*[FMA] * 6, LOAD))
    done = work(Product("f32", "f32", "f32", 1e6, (64, 64, 64)), operations=1000)
    found = model.predict("k", CORE, (1, 1, 1), done, [function, products], RATES)
    assert [part.loop.label for part in found.parts] == [".mm", ".exp"]


def test_cores_share_memory_and_the_last_one_decides():
    alone = predict(work(GEMM, programs=6, moved=1000), ENGINE)
    four = alone.on(4)
    assert four.core_seconds == pytest.approx(alone.core_seconds * 2 / 6)
    assert four.memory_seconds == alone.memory_seconds
    assert four.peak == 4 * alone.peak


def test_cores_that_share_an_engine():
    rates = attrs.evolve(RATES, engines=2)
    found = predict(work(GEMM), *[ENGINE] * 2, *[OTHER] * 5, rates=rates).on(4)
    assert found.peak == 512e9
    assert (found.bound, found.fraction) == ("compute", pytest.approx(1))


def test_a_launch_without_work():
    found = predict(work(programs=0))
    assert found.bound == model.NOTHING
    assert (found.seconds, found.rate, found.fraction) == (0, 0, 0)
    assert "nothing" in report.text(found)
    assert ElementTree.fromstring(picture.svg([(found, None)])) is not None


def test_a_core_that_does_not_say_how_fast_it_is():
    with pytest.raises(ConfigError, match="core slow does not say how fast it is"):
        model.rates_of(attrs.evolve(CORE, name="slow", throughput=None))


def test_rates_change_neither_equality_nor_keys():
    from vertebra.core import cache

    other = attrs.evolve(CORE, throughput=lambda: RATES)
    assert other == CORE and cache.key(other) == cache.key(CORE)
    assert model.rates_of(other) is RATES


def test_every_installed_core_has_rates_and_a_reader():
    for core in hooks.cores().values():
        assert model.reader_of(core).read("ret", "") == (Kind.LEAVE, 0), core.name
        if core.name != "host":  # whose rates are measured
            rates = model.rates_of(core)
            assert min(rates.issue, rates.vector_bits, rates.load_bits, rates.memory, rates.cores) > 0


def test_the_report_names_the_figures():
    text = report.text(predict(work(GEMM, moved=4096), *[ENGINE] * 10, *[OTHER] * 7))
    assert "matrix operations         524,288, i8 x i8 -> i32 in blocks of 64x64x64" in text
    assert "per matrix instruction    1.70 instructions" in text
    assert "arithmetic intensity      128 operations per byte" in text
    assert "bound: compute" in text and "on all 4 cores: " in text and "made up" in text


def test_the_report_of_a_measurement():
    found = predict(work(GEMM), *[ENGINE] * 10)
    counted = report.text(found, Measurement("counted", counts={"all": 4096}, engine=2048))
    assert "2,048, one in 2.00" in counted and "not above 100% of peak" in counted
    timed = report.text(found, Measurement("timed", seconds=found.seconds * 2, threads=1))
    assert "50%, that of one core" in timed


def test_the_picture_has_a_roof_and_a_mark_for_one_core_and_for_all():
    found = predict(work(GEMM, moved=4096), ENGINE)
    drawn = ElementTree.fromstring(picture.svg([(found, Measurement("timed", seconds=1e-5))]))
    space = "{http://www.w3.org/2000/svg}"
    lines = [line for line in drawn.iter(f"{space}line") if line.get("stroke-width")]
    assert len(lines) == 4 and sum(line.get("stroke-dasharray") is not None for line in lines) == 2
    dots = [c for c in drawn.iter(f"{space}circle") if c.get("fill") != "none"]
    rings = [c for c in drawn.iter(f"{space}circle") if c.get("fill") == "none"]
    assert (len(dots), len(rings)) == (2, 1)  # the second dot is in the legend
    top = min(float(line.get("y2")) for line in lines if line.get("stroke-dasharray") is None)
    assert float(dots[0].get("cy")) == pytest.approx(top, abs=0.2)  # on the roof: 100 % of peak


@pytest.mark.parametrize("kind, bits", [("i8", 8), ("ui4", 4), ("bf16", 16), ("f8E5M2", 8), ("f32", 32)])
def test_bits_of_a_type(kind, bits):
    assert bits_of(kind) == bits


@pytest.mark.parametrize(
    "number, shown",
    [(0, "0 op"), (999.4, "999 op"), (999.6, "1 kop"), (1.536e12, "1.54 Top"), (5e16, "5e+04 Top")],
)
def test_quantities(number, shown):
    assert report.quantity(number, "op") == shown


@pytest.mark.parametrize(
    "seconds, shown", [(0, "0 ns"), (3e-9, "3 ns"), (1.5e-6, "1.5 us"), (0.25, "250 ms"), (90, "90 s")]
)
def test_durations(seconds, shown):
    assert report.duration(seconds) == shown
