"""What tables, rooflines and reports tell of the unit."""

import html
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from vertebra.core import cli
from vertebra.core.explain.layouts import Product, pictures
from vertebra.plugins.ame.cores import AME_GENERIC

ROOT = Path(__file__).parents[3]
KERNEL = f"{ROOT}/examples/matmul.py:matmul_kernel"
TYPES = "*i8:16,*i8:16,*i32:16,i32:16,i32:16,i32:16" + ",i32:16,i32:1" * 3
CONSTANTS = 'BLOCK_M=64,BLOCK_N=64,BLOCK_K=64,GROUP_M=8,ACC="tl.int32"'
OPTIONS = ["--core", AME_GENERIC.name, "--signature", TYPES, "--constexpr", CONSTANTS]
LAUNCH = ["--args", "m=256,n=256,k=256,stride_am=256,stride_bk=256,stride_cm=256", "--grid", "16"]


def test_the_table_of_tiles(capsys):
    assert cli.main(["tiles", "--core", "ame-generic"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("mmulbtacc.2d") == 7
    assert re.search(r"mmulbtacc.2d +i8 x i8 -> i32 +8x8x32 .* 2x2 +16x16x32 .* 4096", shown)
    assert re.search(r"mmulbtacc.2d +f16 x f16 -> f32 +8x8x16 .* 2048", shown)


def test_a_roofline_as_text_and_as_a_picture(capsys, tmp_path):
    path = tmp_path / "product.svg"
    assert cli.main(["roofline", KERNEL, *OPTIONS, *LAUNCH, "--svg", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "matrix operations         33,554,432, i8 x i8 -> i32" in shown
    assert re.search(r"matrix instructions +\d+ mmulbtacc.2d", shown)
    assert "peak                      8.19 Top/s (4096 per cycle)" in shown
    per_product = re.search(r"per matrix instruction +([\d.]+) instructions", shown)
    assert 1 < float(per_product[1]) < 4
    texts = [node.text for node in ElementTree.parse(path).iter() if node.text]
    assert any("ame-generic" in text and "of 8.19 Top/s" in text for text in texts)


def test_a_report_of_a_kernel(tmp_path):
    path = tmp_path / "product.html"
    assert cli.main(["explain", KERNEL, *OPTIONS, *LAUNCH, "-o", str(path)]) == 0
    page = path.read_text()
    assert "<title>matmul_kernel on ame-generic</title>" in page
    (text,) = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    data = json.loads(html.unescape(text))
    assert data["hot"]["mnemonics"]["mmulbtacc.2d"] >= 4
    assert "8.19 Top/s" in data["roofline"]
    assert ["target", "ame", "ame"] in data["answers"]


@pytest.mark.parametrize(
    "types, shapes",
    [(("i8", "i8", "i32"), ("8 x 32", "32 x 8", "8 x 8")), (("f32", "f32", "f32"), ("8 x 8",) * 3)],
)
def test_pictures_show_operands_in_one_register_each(types, shapes):
    found = pictures([], [Product(*types)], AME_GENERIC)
    titles = [picture.title.split(": ")[1] for picture in found]
    assert titles == [f"{what}, {kind}" for what, kind in zip(("A", "B", "sums"), types, strict=True)]
    for picture, shape in zip(found, shapes, strict=True):
        assert picture.text.startswith(f"{shape} elements") and " in 1 register;" in picture.text
