"""`vertebra layout`: the open case, answered on one page."""

import xml.etree.ElementTree as ElementTree

import pytest

from vertebra.core import cli
from vertebra.core.layout import names, picture, planner

SOURCE, DESTINATION = "sm100.tmem.C", "sm100.smem.A.bf16.sw128"


def run(capsys, *arguments):
    code = cli.main(["layout", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_open_case_is_answered(capsys):
    code, out, _ = run(capsys, SOURCE, DESTINATION)
    assert code == 0
    for line in (
        "thread t, value v holds m = t, n = v",
        "offset = 64*m + n%64 + 8192*(n/64)",
        "byte = 2*offset; byte ^= ((byte >> 7) & 7) << 4",
        "16 x st.shared.v4.b32 per thread, 16 bytes (8 values) each",
        "64 wavefronts per group of threads, ideal 64: no conflicts",
        "fence.proxy.async.shared::cta (each of the 128 threads)",
        "arrive at P full: 128 arrivals",
        "512, 128        640 no",
        "1. P := 1: O must be the column sums of V exactly",
    ):
        assert line in out, line


def test_other_pairs_say_what_moves(capsys):
    _, out, _ = run(capsys, "sm90.wgmma.C", "sm90.wgmma.A.bf16")
    assert "no instruction moves anything" in out
    _, out, _ = run(capsys, "sm90.wgmma.C", "sm90.wgmma.A.f8e4m3")
    assert "k takes source index 0, 1, 8, 9, 2, 3, 10, 11" in out and "shuffle" in out
    _, out, _ = run(capsys, "ime.a100.C.i32", "ime.a100.A.i8")
    assert "smt.vnpack.vv t2, t0, t1, 1" in out and "3 instructions for the tile" in out
    _, out, _ = run(capsys, "(8,16):(16,1) as i8", "pack 8x16 by 4x4 as i8")
    assert "best: block copy" in out and "offset = " in out


def test_a_free_destination_gets_its_swizzle(capsys):
    text = "(128,(64,2)):(64,(1,8192)) as bf16 in sm100.smem"
    code, out, _ = run(capsys, SOURCE, text, "--swizzle")
    assert code == 0 and out.startswith("swizzle chosen: S<3,4,3>") and "no conflicts" in out
    _, out, _ = run(capsys, SOURCE, text)
    assert "512 wavefronts per group of threads, ideal 64: 8-way conflicts" in out


def test_list_names_every_layout(capsys):
    code, out, _ = run(capsys, "--list")
    assert code == 0 and all(name in out for name in names.known())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("sm100.tmem.D", DESTINATION), "no layout is called 'sm100.tmem.D'"),
        ((SOURCE, "sm100.smem.A.bf16.sw128@128x64"), "mode 1 has 128 elements in the source and 64"),
        ((SOURCE, DESTINATION, "--width", "3"), "no access of 3 bytes"),
        ((SOURCE,), "a source and a destination are due"),
        ((SOURCE, DESTINATION, "--png", "a.jpg"), "a.jpg is no name of a PNG file"),
        ((SOURCE, "(128,128):(1,1) as bf16"), "is not injective: (1, 0) and (0, 1) both lie at offset 1"),
        ((SOURCE, "sm100.smem.A.bf16.sw128@128x100"), "pad it to 128x128"),
    ],
)
def test_bad_input_is_one_clear_error(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and message in err and not out and "Traceback" not in err


@pytest.mark.parametrize(
    "source, destination",
    [
        (SOURCE, DESTINATION),
        (SOURCE, "sm100.tmem.A.bf16"),
        ("sm90.wgmma.C", "sm90.wgmma.A.f8e4m3"),
        ("ime.a60.C.i32", "ime.a60.A.i8"),
    ],
)
def test_pictures_show_every_element(source, destination, tmp_path, capsys):
    path = tmp_path / "layout.svg"
    code, _, _ = run(capsys, source, destination, "--svg", str(path))
    assert code == 0
    root = ElementTree.fromstring(path.read_text())
    space = "{http://www.w3.org/2000/svg}"
    covered = 0
    for rect in root.iter(f"{space}rect"):
        title = rect.find(f"{space}title")
        if title is not None and not title.text.startswith("free"):
            *_, first, _, last = title.text.split()
            covered += int(last) - int(first) + 1
            assert float(rect.get("width")) > 0
    tile = names.operand(source).shape
    assert covered == 2 * tile[0] * tile[1]


def test_hues_are_owners_and_shades_are_accesses():
    plan = planner.plan(names.operand(SOURCE), names.operand(DESTINATION))
    text = picture.svg(plan)
    # Thread 77's chunk 3 is one rectangle in the tile and one in memory.
    assert text.count("<title>T77.3,") == 2 and picture.colour(77, 3) in text
    assert len({picture.colour(t, a) for t in range(32) for a in range(8)}) == 256
    assert picture.owners_of(plan.source)[3 + 128 * 9] == 3
    assert picture.accesses_of(plan)[3 + 128 * 9] == 1
