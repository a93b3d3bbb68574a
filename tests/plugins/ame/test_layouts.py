"""Operands of the unit as layouts, against what its instructions do to bytes."""

import attrs
import numpy as np
import pytest

from vertebra.core.layout import names, planner
from vertebra.core.layout.dtype import bits_of, encode
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout, row_major
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.plan import footprint, write
from vertebra.plugins.ame import layouts, types
from vertebra.plugins.ame.cores import AME_GENERIC
from vertebra.plugins.ame.geometry import WIDEST, Geometry
from vertebra.plugins.ame.instructions import INSTRUCTIONS
from vertebra.plugins.ame.state import State

GEOMETRIES = [Geometry(), Geometry(n=4, u=8), Geometry(n=4, u=16), Geometry(n=8, u=64), Geometry(n=16, u=32)]
IDS = [f"n{g.n}u{g.u}" for g in GEOMETRIES]
TYPES = {"i8": types.INT8, "i32": types.INT32, "f16": types.FP16, "bf16": types.BF16, "f32": types.FP32}
BASE, FIRST = 0x4000, 8  # where memory is, and the first register that is loaded


def named(g: Geometry) -> dict:
    return {family.name: family for family in layouts.families(g, "ame")}


def per_wide(g: Geometry) -> int:
    """Registers of the unit in one of the layouts'."""
    return max(1, WIDEST // g.u)


def held(state: State, first: int, count: int) -> np.ndarray:
    """`count` of the layouts' registers from register `first` on: uint8 (registers, bytes)."""
    per = per_wide(state.geometry)
    return state.m[first : first + count * per].reshape(count, -1)


def numbers(shape, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(len(dtype) + sum(shape))
    return rng.integers(-128, 128, shape) if dtype == "i8" else rng.integers(-99, 99, shape) / 4


def bytes_of(operand: Operand, x: np.ndarray) -> np.ndarray:
    bits = bits_of(operand.dtype)
    memory = np.zeros(footprint(operand, bits), np.uint8)
    write(memory, operand.bit_addresses(bits), encode(x.reshape(-1, order="F"), operand.dtype), bits)
    return memory


@pytest.mark.parametrize("g", GEOMETRIES, ids=IDS)
@pytest.mark.parametrize("dtype", ["i8", "f16", "bf16", "f32"])
def test_forms_of_loads_fill_registers_as_the_plans_say(g, dtype):
    """Every form that is named reads its memory into A as the layouts of both have it."""
    families = named(g)
    found = [name.split(".")[1] for name in families if name.endswith(dtype)]
    for form in set(found) & {"rm", "cm", "st", "tst", "1r"}:
        source, a = (families[f"ame.{what}.{dtype}"].make for what in (form, "A"))
        shape = families[f"ame.A.{dtype}"].shape
        source, a = source(shape), a(shape)
        plans = {plan.method: plan for plan in planner.plans(source, a)}
        plan, x = plans[f"mls.{form}"], numbers(shape, dtype)
        state = State.zeros(g, np.append(bytes_of(source, x), np.zeros(64, np.uint8)), BASE)
        state.md[FIRST] = TYPES[dtype].code
        state.set_x(5, BASE)
        state.set_x(6, plan.body.stride)
        strided = {"rs2": 6} if form in ("st", "tst") else {}
        INSTRUCTIONS[f"mls.{form}"].run(state, md=FIRST, rs1=5, **strided)
        np.testing.assert_array_equal(held(state, FIRST, 1), plan.run(x))
        back = planner.plans(a, source)
        assert f"mss.{form}" in [p.method for p in back]
        for each in back:
            np.testing.assert_array_equal(each.run(x), bytes_of(source, x))


@pytest.mark.parametrize("g", GEOMETRIES, ids=IDS)
@pytest.mark.parametrize("dtype, acc", [("i8", "i32"), ("f16", "f32"), ("bf16", "f32")])
def test_sums_become_a_by_conversion_in_registers(g, dtype, acc):
    """P to A: one mconv.ew, found by the planner, and the unit's own result on the same bytes."""
    families = named(g)
    a = families[f"ame.A.{dtype}"].make(families[f"ame.A.{dtype}"].shape)
    rows, columns = a.shape
    c = families[f"ame.C.{acc}"].make((rows, columns))
    best = planner.plan(c, a)
    assert best.method == "identity after conversion" and best.instructions == 1
    (node,) = best.body.nodes
    x, count = numbers(a.shape, dtype), len(best.body.source.layout.offsets()) * 32 // c.space.bits
    held_c = bytes_of(c, x)
    state = State.zeros(g)
    state.md[FIRST], state.md[0] = TYPES[acc].code, TYPES[dtype].code
    held(state, FIRST, max(count, 1)).reshape(-1)[: len(held_c)] = held_c
    INSTRUCTIONS["mconv.ew"].run(state, md=0, ms1=FIRST)
    assert state.csr["amestatus"] == 0 and node.operation.inputs == max(count, 1)
    used = bits_of(dtype) * rows * columns // 8
    np.testing.assert_array_equal(held(state, 0, 1)[0, :used], best.run(x)[0, :used])
    np.testing.assert_array_equal(best.run(x)[0, :used], bytes_of(a, x))


@pytest.mark.parametrize("g", GEOMETRIES, ids=IDS)
def test_operands_of_products_are_what_the_unit_multiplies(g):
    """C += A @ B, with B's rows along K, from registers that hold what the layouts say."""
    families = named(g)
    for dtype, acc in (("i8", "i32"), ("f16", "f32"), ("f32", "f32")):
        a, b = (families[f"ame.{role}.{dtype}"] for role in "AB")
        a, b = a.make(a.shape), b.make(b.shape)
        x, y = numbers(a.shape, dtype), numbers(b.shape, dtype)
        state = State.zeros(g)
        per = per_wide(g)
        for operand, values, first in ((a, x, 0), (b, y, 2 * per)):
            data = bytes_of(operand, values)
            held(state, first, 2).reshape(-1)[: len(data)] = data
            state.md[first] = TYPES[dtype].code
        state.ad[0] = TYPES[acc].code
        INSTRUCTIONS["mmulbtacc.2d"].run(state, acc=0, ms1=0, ms2=2 * per)
        wide = state.acc[0].astype(np.uint32).view(np.int32 if acc == "i32" else np.float32)
        np.testing.assert_array_equal(wide, x @ y)


def test_rows_in_a_larger_matrix_are_read_where_they_lie():
    """Row by row with any distance: mls.st for A; for B by columns, mls.tst: no copy and no panel."""
    a, b = names.operand("ame.A.i8@16x64"), names.operand("ame.B.i8@64x16")
    rows = Operand("x", (16, 64), "i8", names.MEMORY, Layout((16, 64), (100, 1)))
    plan = planner.plan(rows, a)
    assert plan.method == "mls.st" and plan.body.stride == 100 and plan.instructions == 4
    assert plan.body.bases == (0, 32, 800, 832)
    x = numbers((16, 64), "i8")
    np.testing.assert_array_equal(plan.run(x).reshape(-1), bytes_of(a, x))
    columns = Operand("y", (64, 16), "i8", names.MEMORY, row_major(64, 16))
    assert planner.plan(columns, b).method == "mls.tst"
    with pytest.raises(LayoutError, match=r"brings z to ame.A.i8: tried mls.rm, mls.cm"):
        planner.plan(Operand("z", (16, 64), "i8", names.MEMORY, Layout((16, 64), (200, 2))), a)
    with pytest.raises(LayoutError, match="f32 to i8 between memory and registers: converting"):
        planner.plan(rows._replace(dtype="f32"), a)
    with pytest.raises(LayoutError, match=r"mode 1 has 48 elements.*\nfix: pad mode 1 to 64"):
        names.operand("ame.A.i8@16x48")


def test_parameters_are_those_of_the_core_record():
    assert names.operand("ame.A.i8").shape == (AME_GENERIC.ame.n, AME_GENERIC.ame.n * AME_GENERIC.ame.pack(8))
    wide = attrs.evolve(AME_GENERIC.ame, u=64)
    assert named(wide)["ame.A.i8"].shape == (8, 64)
    assert layouts.space_of(wide, "ame").bits == 2 * layouts.space_of(AME_GENERIC.ame, "ame").bits
