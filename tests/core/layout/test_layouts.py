"""Layouts as values: notation, symbols, slices, tiles, packs, thread-value layouts, and their errors."""

import pickle

import numpy as np
import pytest

from vertebra.core.layout import algebra, inverse, owners, tiling
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout, identity, join, row_major
from vertebra.core.layout.linear import Linear, linear, to_layout
from vertebra.core.layout.notation import formula, owner_formula, parse_layout
from vertebra.core.layout.planner import explain
from vertebra.core.layout.swizzle import Composed, Xor, downcast, recast, swizzled, upcast
from vertebra.core.layout.symbol import Sym, basis
from vertebra.core.layout.tree import coordinate


@pytest.mark.parametrize(
    "text",
    [
        "8:1",
        "(4,2):(1,16)",
        "(128,(64,2)):(64,(1,8192))",
        "(M,8):(8,1)",
        "(4,(2,3)):(1@0,(1@0@1,1@1@1))",
        "4:-1",
    ],
)
def test_notation_goes_both_ways(text):
    layout = parse_layout(text)
    assert str(layout) == text and parse_layout(str(layout)) == layout
    assert hash(parse_layout(text)) == hash(layout) and pickle.loads(
        pickle.dumps(parse_layout("(4,2):(1,16)"))
    )


def test_notation_without_strides_and_with_swizzles_and_packs():
    assert parse_layout("(4,(2,3))") == Layout((4, (2, 3)), (1, (4, 8)))
    assert parse_layout("S<3,3,3> o (8,64):(64,1)") == swizzled(Xor(3, 3, 3), row_major(8, 64))
    assert parse_layout("pack 128x128 by 8x64 outer 1,0") == tiling.as_pack((128, 128), (8, 64), outer=(1, 0))
    assert parse_layout("pack 30x20 by 4 inner 1") == tiling.as_pack((30, 20), (4,), inner=(1,))


@pytest.mark.parametrize(
    "text, message",
    [
        ("(4,2", "',' or '\\)' is due at the end"),
        ("(4,2):(1,x@y)", "the number of a mode is due at 'y' at column 12"),
        ("(4,2):(1)", "different profiles at the top|different profiles at mode"),
        ("(4,2):(1,2))", "the end of the layout is due at '\\)' at column 12"),
        ("(4,,2)", "a size is due at ',' at column 4"),
        ("(4,0)", "leaf 1 of shape \\(4,0\\) is 0; sizes are at least 1"),
        ("(4,(2,3)):(1,(4,2,2))", "different profiles at mode 1"),
        ("S<3,4,1> o (8,64)", "3 bits moved by 1 overlap"),
        ("S<3,4,3> o (8,8)", "reads 10 bits of an offset, and .* spans 64"),
    ],
)
def test_notation_errors_say_where(text, message):
    with pytest.raises(LayoutError, match=message):
        parse_layout(text)


def test_calls_take_any_form_of_a_coordinate():
    layout = Layout((4, (2, 3)), (6, (3, 1)))
    for i in range(24):
        c = coordinate(i, layout.shape)
        assert layout(i) == layout(c) == layout(c[0], c[1]) == layout(i % 4, i // 4) == layout.offsets()[i]
    with pytest.raises(LayoutError, match=r"coordinate \(1,2,3\) does not index shape \(4,\(2,3\)\)"):
        layout(1, 2, 3)
    with pytest.raises(AttributeError, match="does not change"):
        layout.shape = 4


def test_slices_keep_their_offset():
    layout = Layout((4, (2, 3)), (6, (3, 1)))
    part, offset = layout.slice((2, None))
    assert [part(i) + offset for i in range(6)] == [layout(2, i) for i in range(6)]
    part, offset = layout.slice((None, (1, None)))
    assert [part(i, j) + offset for i in range(4) for j in range(3)] == [
        layout(i, (1, j)) for i in range(4) for j in range(3)
    ]
    part, offset = layout.slice((3, 5))
    assert part.size == 1 and offset == layout(3, 5)
    with pytest.raises(LayoutError, match="does not index"):
        layout.slice((None, None, 1))


def test_symbolic_sizes():
    m, n = Sym("M"), Sym("N")
    assert str(m * n * 8 + 3) == "3+8*M*N" and (m + n) - m == n and m * 0 == 0
    assert (6 * m * n).divided_by(2 * m) == 3 * n and (6 * m).divided_by(4) is None
    layout = row_major(m, 8)
    assert layout(3, 2) == 26 and layout.size == 8 * m and layout.cosize == 8 * m
    assert layout.bind(M=4) == row_major(4, 8)
    assert algebra.coalesce(Layout((8, m), (1, 8))) == Layout(8 * m, 1)
    packed = tiling.as_pack((8 * m, 64), (8, 16))
    assert packed.bind(M=3) == tiling.as_pack((24, 64), (8, 16))
    tiled = tiling.logical_divide(Layout((8 * m, 16), (16, 1)), (8, None))
    assert tiled.bind(M=2) == tiling.logical_divide(row_major(16, 16), (8, None))
    with pytest.raises(LayoutError, match="M, which is not known yet"):
        layout.offsets()
    with pytest.raises(LayoutError, match="dimension 0: M is not known to be a multiple of tile 8"):
        tiling.as_pack((m, 64), (8, 16))


def test_identity_gives_coordinates():
    layout = identity((4, (2, 3)))
    assert layout(3, (1, 2)) == basis(0) * 3 + basis(1, 0) + basis(1, 1) * 2
    assert layout(3, (1, 2)).at((1, 1)) == 2


def test_composition_errors_name_the_mode_and_the_sizes():
    with pytest.raises(
        LayoutError, match="4 steps of 4 do not divide mode 0 of the coalesced first layout, whose size is 6"
    ):
        algebra.composition(Layout((6, 4), (1, 100)), Layout(4, 4))
    with pytest.raises(LayoutError, match="carry into one another"):
        algebra.composition(Layout((2, 2), (2, 1)), Layout((2, 2), (1, 1)))
    with pytest.raises(LayoutError, match="3 tilers for the 2 modes"):
        algebra.composition(Layout((4, 4)), (Layout(2), Layout(2), Layout(2)))


def test_complement_and_inverse_errors():
    with pytest.raises(LayoutError, match="not injective: mode 2:3 starts below 4"):
        algebra.complement(Layout((2, 2), (2, 3)))
    with pytest.raises(LayoutError, match="no left inverse: mode 2:2 reaches past the next stride 3"):
        inverse.left_inverse(Layout((2, 2), (2, 3)))
    with pytest.raises(LayoutError, match="a mode of size 4 has stride 0"):
        inverse.left_inverse(Layout((2, 4), (1, 0)))


def test_injective_surjective_and_collisions():
    assert inverse.is_injective(Layout((4, 2), (2, 1))) and not inverse.is_injective(Layout((4, 2), (1, 1)))
    assert inverse.is_surjective(Layout((4, 2), (1, 1))) and not inverse.is_surjective(Layout(4, 2))
    assert inverse.first_collision(Layout((4, 2), (1, 1))) == (1, 4, 1)
    assert inverse.first_collision(Layout(4)) is None


def test_group_flatten_and_divides():
    layout = Layout((4, 6, 8), (1, 4, 24))
    assert algebra.group(layout, 0, 2) == Layout(((4, 6), 8), ((1, 4), 24))
    assert algebra.flatten(algebra.group(layout, 0, 2)) == layout
    with pytest.raises(LayoutError, match="its rank is 3"):
        algebra.group(layout, 1, 4)
    matrix = Layout((12, 8), (1, 12))
    tiles = (4, 2)
    assert tiling.logical_divide(matrix, tiles).shape == ((4, 3), (2, 4))
    assert tiling.zipped_divide(matrix, tiles).shape == ((4, 2), (3, 4))
    assert tiling.tiled_divide(matrix, tiles).shape == ((4, 2), 3, 4)
    assert tiling.flat_divide(matrix, tiles).shape == (4, 2, 3, 4)
    assert sorted(tiling.zipped_divide(matrix, tiles).offsets().tolist()) == list(range(96))


def test_tile_to_shape_names_the_mode():
    atom = row_major(8, 64)
    assert tiling.tile_to_shape(atom, (128, 128)) == Layout((128, (64, 2)), (64, (1, 8192)))
    assert tiling.tile_to_shape(atom, (16, 128), order=(1, 0)) == Layout(
        ((8, 2), (64, 2)), ((64, 1024), (1, 512))
    )
    with pytest.raises(LayoutError, match="mode 1: a block of 64 does not divide 100"):
        tiling.tile_to_shape(atom, (128, 100))


@pytest.mark.parametrize(
    "shape, tiles, inner, outer",
    [
        ((32, 48), (8, 16), None, None),
        ((32, 48), (16, 8), (1, 0), (1, 0)),
        ((30, 45), (8, 16), None, (1, 0)),
        ((6, 10, 14), (5, 7), (1, 2), (2, 0, 1)),
        ((7, 9), (4,), (1,), None),
    ],
)
def test_pack_is_what_numpy_packs(shape, tiles, inner, outer):
    inner = tuple(range(len(tiles))) if inner is None else inner
    outer = tuple(range(len(shape))) if outer is None else outer
    layout = tiling.as_pack(shape, tiles, inner=inner, outer=outer)
    counts = [-(-n // dict(zip(inner, tiles, strict=True)).get(d, 1)) for d, n in enumerate(shape)]
    padded = np.zeros([m.size for m in layout.modes], np.int64)
    padded[tuple(map(slice, shape))] = 1 + np.arange(np.prod(shape)).reshape(shape)
    axes = []
    for d in range(len(shape)):
        axes.append((counts[d], dict(zip(inner, tiles, strict=True)).get(d, 1)))
    split = padded.reshape([n for pair in axes for n in pair])
    order = [2 * d for d in outer] + [2 * d + 1 for d in inner]
    order += [a for a in range(split.ndim) if a not in order]
    packed = split.transpose(order).reshape(-1)
    offsets = layout.offsets()
    np.testing.assert_array_equal(packed[offsets], padded.reshape(-1, order="F"))
    inside = tiling.within(layout, shape)
    assert inside.sum() == np.prod(shape) and (packed[offsets[~inside]] == 0).all()
    again = tiling.from_pack(layout)
    assert (
        tiling.as_pack(again[0], again[1], inner=again[2], outer=again[3]).offsets().tolist()
        == offsets.tolist()
    )


def test_pack_errors():
    with pytest.raises(LayoutError, match="do not name 2 different ones of 2"):
        tiling.as_pack((8, 8), (2, 2), inner=(0, 0))
    with pytest.raises(LayoutError, match="outer permutation"):
        tiling.as_pack((8, 8), (2, 2), outer=(0, 0))
    with pytest.raises(LayoutError, match=r"is no packed tensor|a pack has two"):
        tiling.from_pack(Layout((8, 8), (1, 9)))
    with pytest.raises(LayoutError, match=r"mode 1 has 4 elements in .* and 8 in"):
        tiling.repack(Layout((8, 4)), Layout((8, 8)))


def test_subviews_of_packs():
    layout = tiling.as_pack((32, 48), (8, 16))
    part, offset = tiling.subview(layout, (8, 16), (16, 16))
    assert all(part(i, j) + offset == layout(8 + i, 16 + j) for i in range(16) for j in range(16))
    part, offset = tiling.subview(layout, (4, 0), (4, 16))
    assert part(3, 15) + offset == layout(7, 15)
    with pytest.raises(LayoutError, match="mode 0: 8 elements from 4 on cross the tiles"):
        tiling.subview(layout, (4, 0), (8, 16))
    with pytest.raises(LayoutError, match="mode 1: 17 from 32 on leaves its 48 elements"):
        tiling.subview(layout, (0, 32), (8, 17))


def test_casts():
    layout = Layout((128, (64, 2)), (64, (1, 8192)))
    assert recast(layout, 16, 32) == upcast(layout, 2) == Layout((128, (32, 2)), (32, (1, 4096)))
    assert downcast(upcast(layout, 2), 2) == layout and recast(layout, 16, 16) is layout
    assert recast(Layout((8, 3), (1, 8)), 24, 16) == Layout((12, 3), (1, 12))
    composed = Composed(Xor(3, 4, 3), 0, layout)
    assert upcast(composed, 2).outer == (Xor(3, 3, 3),) and downcast(composed, 2).outer == (Xor(3, 5, 3),)
    with pytest.raises(LayoutError, match="leaf 0 of 3:1, 3:1, does not fall into groups of 2"):
        upcast(Layout(3, 1), 2)


@pytest.mark.parametrize(
    "threads, values, tile, made",
    [  # as nvidia-cutlass-dsl 4.8.1 prints them
        ("(32,8):(1,32)", "(4,1):(1,1)", (128, 8), "(256,4):(4,1)"),
        ("(4,32):(32,1)", "(4,4):(4,1)", (16, 128), "((32,4),(4,4)):((64,4),(16,1))"),
        ("(16,8):(8,1)", "(1,8):(0,1)", (16, 64), "((8,16),8):((128,1),16)"),
        ("(2,2):(2,1)", "(2,3):(3,1)", (4, 6), "((2,2),(3,2)):((12,2),(4,1))"),
    ],
)
def test_tiled_copies(threads, values, tile, made):
    copy = owners.make_tiled_copy(parse_layout(threads), parse_layout(values))
    assert copy.shape == tile and str(copy.layout) == made
    copy.check()


def test_partition_and_retile():
    place = Layout((128, (64, 2)), (64, (1, 8192)))
    rows = owners.Owners(Layout(((32, 4), 128), ((1, 32), 128)), (128, 128))
    parts = owners.partition(rows, place)
    assert parts(5, 70) == place(5, 70) and parts.mode(1).size == 128
    assert owners.retile(Layout((32, 4), (1, 32)), 8) == Layout((8, 16), (1, 8))
    with pytest.raises(LayoutError, match="12 values do not fall into vectors of 8"):
        owners.retile(Layout(12), 8)
    with pytest.raises(LayoutError, match="mode 1 has 128 elements in the source and 64 in the destination"):
        owners.partition(rows, row_major(128, 64))
    with pytest.raises(LayoutError, match="group the modes by meaning"):
        owners.partition(rows, Layout(((128, 16), 1, (4, 2), 1), ((64, 1), 0, (16, 8192), 0)))


def test_owners_errors_name_the_element():
    with pytest.raises(
        LayoutError, match=r"element \(0, 0\) is held twice: by thread 0 value 0 and by thread 1 value 0"
    ):
        owners.Owners(Layout((2, 4), (0, 1)), (4, 1)).check()
    owners.Owners(Layout((2, 4), (0, 1)), (4, 1), broadcast=True).check()
    with pytest.raises(LayoutError, match=r"nobody holds element \(1, 0\)"):
        owners.Owners(Layout((2, 2), (2, 4)), (4, 2)).check()
    with pytest.raises(LayoutError, match="reach element 7, and a tile of 2x2 has 4"):
        owners.Owners(Layout((2, 4), (1, 2)), (2, 2)).check()
    with pytest.raises(LayoutError, match="has 3"):
        owners.Owners(Layout((2, 2, 2)), (8, 1)).check()


def test_matrices():
    xor = Xor(2, 0, 3)
    layout = row_major(8, 8)
    made = linear(Composed(xor, 0, layout))
    assert made.offsets().tolist() == [xor(layout(i)) for i in range(64)]
    assert made.is_injective and made.is_surjective and made.rank == 6
    assert made.inverse().after(made) == Linear([1, 2, 4, 8, 16, 32])
    assert to_layout(linear(layout)).offsets().tolist() == layout.offsets().tolist()
    assert linear(xor, 6).columns == tuple(xor(1 << i) for i in range(6))
    with pytest.raises(LayoutError, match="this is a swizzle"):
        to_layout(made)
    with pytest.raises(LayoutError, match=r"leaf 1 of \(4,3\):\(1,4\) has size 3, which is no power of two"):
        linear(Layout((4, 3)))
    with pytest.raises(LayoutError, match=r"leaf 1 of .* stride 1 carries"):
        linear(Layout((4, 2), (1, 1)))
    with pytest.raises(LayoutError, match="inputs 0 and 3 both give 0"):
        Linear([5, 5]).inverse()
    with pytest.raises(LayoutError, match="7 bits of values do not index 6"):
        made.after(Linear([64]))


def test_formulas():
    layout = Layout((128, (64, 2)), (64, (1, 8192)))
    text = formula(layout, ("m", "n"))
    assert text == "64*m + n%64 + 8192*(n/64)"
    for m, n in ((0, 0), (5, 63), (127, 64), (77, 127)):
        assert eval(text.replace("/", "//")) == layout(m, n)
    wgmma = Layout(((4, 8, 4), (2, 2, 16)), ((128, 1, 16), (64, 8, 512)))
    rows, columns = owner_formula(wgmma, (64, 128))
    for t, v in ((0, 0), (5, 3), (127, 63), (70, 22)):
        m, n = (eval(x.replace("/", "//"), {"t": t, "v": v}) for x in (rows, columns))
        assert m + 64 * n == wgmma(t, v)


def test_explain_says_in_which_mode():
    a = row_major(8, 8)
    assert explain(a, row_major(8, 16)) == f"mode 1 has 8 elements in {a} and 16 in {row_major(8, 16)}"
    assert "same function" in explain(a, join(Layout(8, 8), Layout((2, 4), (1, 2))))
    text = explain(a, Layout((8, 8), (8, 2)))
    assert text == "mode 1: at (0, 1) the first gives 1 and the second 2; 56 of 64 differ"
