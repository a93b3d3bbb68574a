"""The algebra against CUTLASS: its test cases, and the results that its own implementation prints."""

import json
from pathlib import Path

import pytest

from vertebra.core.layout import algebra, inverse, tiling, tree
from vertebra.core.layout.layout import Layout, row_major
from vertebra.core.layout.notation import parse_layout
from vertebra.core.layout.swizzle import Composed, Xor, swizzled
from vertebra.core.layout.symbol import basis

CASES = json.loads((Path(__file__).parent / "cute_cases.json").read_text())
OPERATIONS = {
    "coalesce": ("", algebra.coalesce),
    "complement": (" ", lambda a, b: algebra.complement(a, b.size)),
    "composition": (" o ", algebra.composition),
    "right_inverse": ("", inverse.right_inverse),
    "left_inverse": ("", inverse.left_inverse),
    "logical_divide": (" / ", tiling.logical_divide),
    "logical_product": (" x ", tiling.logical_product),
    "blocked_product": (" x ", tiling.blocked_product),
    "raked_product": (" x ", tiling.raked_product),
}
ALL = [(name, text, want) for name in OPERATIONS for text, want in CASES[name].items()]


@pytest.mark.parametrize("name, text, want", ALL, ids=[f"{n}-{t}" for n, t, _ in ALL])
def test_result_is_cutlass_own(name, text, want):
    separator, operation = OPERATIONS[name]
    arguments = [parse_layout(part) for part in (text.split(separator) if separator else [text])]
    made, wanted = operation(*arguments), parse_layout(want)
    # Modes of size 1 may be nested otherwise; every mode is the same function.
    assert [m.offsets().tolist() for m in made.modes] == [m.offsets().tolist() for m in wanted.modes]
    if name in ("coalesce", "complement", "right_inverse", "left_inverse", "logical_product"):
        assert str(made) == want


@pytest.mark.parametrize("text", CASES["coalesce"])
def test_coalesce_is_the_same_function_in_one_level(text):
    layout = parse_layout(text)
    made = algebra.coalesce(layout)
    assert tree.depth(made.shape) <= 1 and made.offsets().tolist() == layout.offsets().tolist()


@pytest.mark.parametrize("text", CASES["complement"])
def test_complement_is_ordered_disjoint_and_completes(text):
    name, target = text.split()
    layout, target = parse_layout(name), int(target)
    rest = algebra.complement(layout, target)
    offsets = rest.offsets().tolist()
    assert offsets == sorted(set(offsets))
    assert not set(offsets[1:]) & set(layout.offsets().tolist())
    assert Layout((layout.shape, rest.shape), (layout.stride, rest.stride)).cosize >= target
    assert rest.cosize <= -(-target // layout.cosize) * layout.cosize
    assert algebra.strip(rest).size >= target // algebra.strip(layout).size


@pytest.mark.parametrize("text", CASES["composition"])
def test_composition_is_one_after_the_other(text):
    a, b = map(parse_layout, text.split(" o "))
    made = algebra.composition(a, b)
    assert tree.compatible(b.shape, made.shape)
    assert [made(i) for i in range(b.size)] == [a(b(i)) for i in range(b.size)]


@pytest.mark.parametrize("text", [*CASES["right_inverse"], "4:-1"])
def test_right_inverse(text):
    layout = parse_layout(text)
    made = inverse.right_inverse(layout)
    assert [layout(made(i)) for i in range(made.size)] == list(range(made.size))


@pytest.mark.parametrize("text", [*CASES["left_inverse"], "4:-1"])
def test_left_inverse(text):
    layout = parse_layout(text)
    made = inverse.left_inverse(layout)
    assert [made(layout(i)) for i in range(layout.size)] == list(range(layout.size))


SWIZZLED = [
    swizzled(Xor(1, 0, 2), Layout((4, 4), (1, 4))),
    swizzled(Xor(1, 0, 2), Layout((4, 4), (4, 1))),
]


@pytest.mark.parametrize("layout", SWIZZLED, ids=str)
def test_inverses_of_swizzled_layouts(layout):
    left, right = inverse.left_inverse(layout), inverse.right_inverse(layout)
    assert [left(layout(i)) for i in range(layout.size)] == list(range(layout.size))
    assert [layout(right(i)) for i in range(right.size)] == list(range(right.size))
    assert right.size == layout.size


def test_left_inverse_of_a_swizzled_layout_with_gaps():
    layout = Composed(Xor(1, 0, 1), 0, Layout((4, 4), (8, 1)))
    left = inverse.left_inverse(layout)
    assert [left(layout(i)) for i in range(16)] == list(range(16))


@pytest.mark.parametrize("text", CASES["logical_divide"])
def test_divide_has_two_modes_and_the_tile_first(text):
    a, b = map(parse_layout, text.split(" / "))
    made = tiling.logical_divide(a, b)
    assert made.rank == 2 and tree.compatible(b.shape, made.mode(0).shape)
    assert made.mode(0).size == b.size


@pytest.mark.parametrize("text", CASES["logical_product"])
def test_product_keeps_the_block(text):
    a, b = map(parse_layout, text.split(" x "))
    made = tiling.logical_product(a, b)
    assert made.rank == 2 and made.mode(0) == a and tree.compatible(b.shape, made.mode(1).shape)


def test_products_with_other_tilers():
    a = Layout((2, 5), (5, 1))
    assert tiling.logical_product(a, 4) == Layout(((2, 5), 4), ((5, 1), 10))
    assert tiling.logical_product(a, None) is a
    by_mode = tiling.logical_product(a, (4, 2))
    assert by_mode == tiling.logical_product(a, (Layout(4), Layout(2))) and by_mode.size == 80
    assert tiling.zipped_product(a, 4).size == tiling.tiled_product(a, (4, 2)).size // 2 == 40


NULLSPACE = [((2, 2, 2), (0, 0, 0)), ((7, 5, 16), (0, 0, 0)), ((2, 2, 2), (1, 0, 2)), ((7, 5, 16), (3, 1, 0))]


@pytest.mark.parametrize("shape, stride", NULLSPACE)
def test_nullspace(shape, stride):
    layout = Layout(shape, stride)
    kernel = algebra.nullspace(layout)
    assert kernel.size == layout.size // algebra.strip(layout).size
    assert {layout(kernel(i)) for i in range(kernel.size)} == {0}
    assert len({kernel(i) for i in range(kernel.size)}) == kernel.size


COMPACT = [
    (8, 1, 1),
    ((4, 8), (1, 4), (8, 1)),
    ((4, 8, 2), (1, 4, 32), (16, 2, 1)),
    ((4, 8, 1, 2), (1, 4, 32, 32), (16, 2, 2, 1)),
    (((4, 8), 1, 2), ((1, 4), 32, 32), ((16, 2), 2, 1)),
    ((4, (8, 1, 2)), (1, (4, 32, 32)), (16, (2, 2, 1))),
    ((4, (8, 1, (2, 3))), (1, (4, 32, (32, 64))), (48, (6, 6, (3, 1)))),
]


@pytest.mark.parametrize("shape, left, right", COMPACT)
def test_compact_strides(shape, left, right):
    assert tree.prefix_products(shape) == left and tree.suffix_products(shape) == right
    assert tree.prefix_products(shape, 3) == tree.map_leaves(lambda x: 3 * x, left)


def test_integer_trees():
    assert tree.size(2) == 2 and tree.size((3, 2)) == 6 and tree.size(((2, 3), 4)) == 24
    assert tree.inner_product(2, 3) == 6 and tree.inner_product(((2, 3), 4), ((2, 1), 2)) == 15
    divisions = {((3, 4), 6): (1, 2), ((3, 4), 12): (1, 1), ((3, 4), 36): (1, 1)}
    divisions |= {(((3, 4), 6), 36): ((1, 1), 2), ((6, (3, 4)), 36): (1, (1, 2))}
    for (shape, divisor), want in divisions.items():
        assert tree.shape_div(shape, divisor) == want
    shape = ((2, 3), (2, 1, 2), (5, 2, 1))
    assert tree.prefix_products(shape) == ((1, 2), (6, 12, 12), (24, 120, 240))


PROBES = [0, 1, 2, 7, 8, 9, 15, 16, 63, 64, 255, 256]
PATTERNS = [
    ((0, 4, 0), PROBES),
    ((2, 3, -3), [0, 1, 2, 7, 72, 73, 79, 144, 255, 64, 63, 256]),
    ((1, 0, 1), [0, 1, 3, 6, 8, 9, 14, 16, 62, 64, 254, 256]),
    ((3, 2, 3), [0, 1, 2, 7, 8, 9, 15, 16, 59, 72, 227, 256]),
    ((2, 1, -2), [0, 1, 10, 31, 8, 9, 23, 16, 39, 64, 231, 256]),
]


@pytest.mark.parametrize("fields, want", PATTERNS)
def test_swizzle_patterns(fields, want):
    xor = Xor(*fields)
    assert [xor(x) for x in PROBES] == want
    assert all(xor(xor(x)) == x for x in range(1 << xor.base + xor.bits + abs(xor.shift)))


SWIZZLE_LAYOUTS = [
    Composed(Xor(3, 0, 3), 0, row_major(8, 8)),
    Composed(Xor(3, 0, -3), 0, row_major(8, 8)),
    Composed(Xor(2, 1, 3), 0, Layout(((2, 2, 2), (2, 2, 2)), ((32, 2, 8), (4, 1, 16)))),
]


@pytest.mark.parametrize("layout", SWIZZLE_LAYOUTS, ids=str)
def test_slices_of_swizzled_layouts(layout):
    for i in range(8):
        row, offset = layout.slice((i, None))
        column, more = layout.slice((None, i))
        assert offset == more == 0
        for j in range(8):
            assert row(j) == layout(i, j) and column(j) == layout(j, i)


@pytest.mark.parametrize("first", [row_major(8, 8), Composed(Xor(2, 0, 3), 0, row_major(8, 8))], ids=str)
def test_composition_with_a_swizzled_layout(first):
    second = Composed(Xor(2, 0, -3), 0, row_major(8, 8))
    made = algebra.composition(first, second)
    assert made.offsets().tolist() == [first(second(i)) for i in range(64)]
    assert [made(i) for i in range(64)] == [first(second(i)) for i in range(64)]


def test_strides_that_are_coordinates():
    a = Layout((4, 4), (4, 1))
    b = Layout((4, 4), (basis(1), basis(0)))
    made = algebra.composition(a, b)
    assert all(made(i, j) == a(j, i) for i in range(4) for j in range(4))
    a = Layout((4, (2, 3)), (6, (3, 1)))
    b = Layout((2, 4), (basis(1, 1), basis(0)))
    made = algebra.composition(a, b)
    assert all(made(i, j) == a(j, (0, i)) for i in range(2) for j in range(4))
