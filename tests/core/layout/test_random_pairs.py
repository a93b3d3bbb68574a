"""Random pairs of layouts: the tree form, the matrix form, trying every element, and CUTLASS.

VERTEBRA_LAYOUT_PAIRS sets how many pairs there are.  VERTEBRA_CUTLASS_PYTHON names an interpreter
that has the nvidia-cutlass-dsl wheel, for the comparison with it.
"""

import json
import os
import random
import subprocess
from pathlib import Path

import pytest

from vertebra.core.layout import algebra, inverse
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.linear import linear
from vertebra.core.layout.notation import parse_layout
from vertebra.core.layout.swizzle import Composed, Xor
from vertebra.core.layout.tiling import repack

PAIRS = int(os.environ.get("VERTEBRA_LAYOUT_PAIRS", "2000"))
CUTLASS = os.environ.get("VERTEBRA_CUTLASS_PYTHON", "")


def nested(leaves, rng):
    """The leaves in a random tree of depth two."""
    tree, i = [], 0
    while i < len(leaves):
        take = rng.randint(1, 3)
        part = tuple(leaves[i : i + take])
        tree.append(part if take > 1 and len(part) > 1 else part[0])
        i += take
    return tuple(tree)


def random_layout(bits: int, rng, *, padded: bool) -> Layout:
    """A bijection onto 2**bits offsets, or with gaps an injection."""
    widths = []
    while sum(widths) < bits:
        widths.append(rng.randint(1, min(3, bits - sum(widths))))
    order = list(range(len(widths)))
    rng.shuffle(order)
    strides, at = [0] * len(widths), rng.randint(0, 1) if padded else 0
    for i in order:
        strides[i] = 1 << at
        at += widths[i] + (rng.randint(0, 1) if padded else 0)
    shape = nested([1 << w for w in widths], rng)
    leaves = iter(strides)
    stride = tuple(
        tuple(next(leaves) for _ in part) if isinstance(part, tuple) else next(leaves) for part in shape
    )
    return Layout(shape, stride)


def random_pair(rng):
    bits = rng.randint(1, 8)
    source = random_layout(bits, rng, padded=False)
    target = random_layout(bits, rng, padded=True)
    if rng.random() < 0.5 and bits > 1:
        width = rng.randint(1, max(1, bits // 2))
        xor = Xor(width, rng.randint(0, 2), rng.choice([1, -1]) * rng.randint(width, width + 2))
        return source, Composed(xor, 0, target)
    return source, target


def test_tree_matrix_and_trying_agree():
    rng = random.Random(20260413)
    for _ in range(PAIRS):
        source, target = random_pair(rng)
        tried = [0] * source.size
        for at, to in zip(source.offsets().tolist(), target.offsets().tolist(), strict=True):
            tried[at] = to
        if isinstance(target, Composed):
            by_tree = Composed(target.outer, 0, repack(source, target.layout))
        else:
            by_tree = repack(source, target)
        from_matrix = linear(target).after(linear(source).inverse())
        assert by_tree.offsets().tolist() == tried == from_matrix.offsets().tolist(), (source, target)
        assert linear(target).is_injective
        back = linear(target).inverse()
        assert [back(x) for x in target.offsets().tolist()] == list(range(source.size)), target


def test_vector_width_is_the_number_of_unit_columns():
    rng = random.Random(7)
    for _ in range(300):
        source, target = random_pair(rng)
        if isinstance(target, Composed):
            continue
        matrix = linear(target).after(linear(source).inverse())
        run = 1
        values = matrix.offsets().tolist()
        while run < len(values) and values[: 2 * run] == list(range(2 * run)):
            run *= 2
        assert 1 << matrix.unit_columns >= run
        assert inverse.max_common_vector(source, target) == run, (source, target)


def test_odd_sizes_compose_as_functions():
    rng = random.Random(11)
    done = 0
    while done < 500:
        sizes = [rng.choice([1, 2, 3, 4, 5, 6]) for _ in range(rng.randint(1, 3))]
        order = rng.sample(range(len(sizes)), len(sizes))
        strides, at = [0] * len(sizes), 1
        for i in order:
            strides[i], at = at, at * sizes[i]
        a = Layout(tuple(sizes), tuple(strides))
        b = Layout(
            tuple(rng.choice([1, 2, 3, 4]) for _ in range(2)),
            tuple(rng.choice([0, 1, 2, 3, 4, 6, 12]) for _ in range(2)),
        )
        if b.cosize > a.size:
            continue
        try:
            made = algebra.composition(a, b)
        except LayoutError:
            continue  # no layout has these values, or none by modes
        done += 1
        assert made.offsets().tolist() == [a(b(i)) for i in range(b.size)], (a, b)


def test_odd_sizes_invert():
    rng = random.Random(13)
    for _ in range(300):
        sizes = [rng.choice([1, 2, 3, 5, 6, 7]) for _ in range(rng.randint(1, 4))]
        strides, at = [0] * len(sizes), rng.choice([1, 2, 3])
        for i in rng.sample(range(len(sizes)), len(sizes)):
            strides[i], at = at, at * sizes[i] * rng.choice([1, 1, 2, 3])
        layout = Layout(tuple(sizes), tuple(strides))
        back = inverse.left_inverse(layout)
        assert [back(x) for x in layout.offsets().tolist()] == list(range(layout.size)), layout


def agree(pairs, answers):
    """CUTLASS's right inverse of the source, its map from source to target, and the coalesced target."""
    for (source, target), (back, mapped, joined) in zip(pairs, answers, strict=True):
        assert parse_layout(back).offsets().tolist() == inverse.right_inverse(source).offsets().tolist()
        assert parse_layout(mapped).offsets().tolist() == repack(source, target).offsets().tolist()
        assert joined == str(algebra.coalesce(target))


def test_kept_answers_of_cutlass():
    kept = json.loads((Path(__file__).parent / "cute_cases.json").read_text())["pairs"]
    assert len(kept) == 100
    agree([tuple(map(parse_layout, pair)) for pair, _ in kept], [answer for _, answer in kept])


@pytest.mark.skipif(
    not CUTLASS, reason="VERTEBRA_CUTLASS_PYTHON names no interpreter with nvidia-cutlass-dsl"
)
def test_a_thousand_pairs_agree_with_cutlass(tmp_path):
    rng = random.Random(17)
    pairs = []
    while len(pairs) < 1000:
        source, target = random_pair(rng)
        if not isinstance(target, Composed):
            pairs.append((source, target))
    (tmp_path / "pairs.json").write_text(json.dumps([[str(a), str(b)] for a, b in pairs]))
    script = Path(__file__).parent / "cutlass_pairs.py"
    subprocess.run([CUTLASS, script, tmp_path / "pairs.json", tmp_path / "out.json"], check=True, timeout=280)
    answers = json.loads((tmp_path / "out.json").read_text())
    assert len(answers) == 1000
    agree(pairs, answers)
