"""Pictures in files."""

import argparse
import struct
import sys

import pytest

from vertebra.core import drawing
from vertebra.core.errors import ConfigError

TEXT = '<text x="2" y="30" font-family="sans-serif">{}</text>'
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><rect width="60" height="20"/>{}</svg>'


def options(*arguments: str):
    parser = argparse.ArgumentParser()
    drawing.add_picture_options(parser)
    return parser.parse_args(arguments)


def has_font() -> bool:
    try:
        return bool(drawing._family())
    except ConfigError as error:
        assert "fonts-dejavu-core" in error.fix
        return False


def test_both_kinds_are_written(tmp_path):
    """A machine without any font says so before it writes a picture without text."""
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    args = options("--svg", str(svg), *(("--png", str(png)) if has_font() else ()))
    drawing.check_picture_options(args)
    drawing.write_pictures(args, SVG.format(TEXT.format("M")))
    assert svg.read_text() == SVG.format(TEXT.format("M"))
    if has_font():
        data = png.read_bytes()
        assert data.startswith(b"\x89PNG\r\n\x1a\n") and struct.unpack(">II", data[16:24]) == (120, 80)
        assert data != drawing.png(SVG.format("")) and data != drawing.png(SVG.format(TEXT.format("W")))


def test_without_a_font_there_is_no_picture_without_text(monkeypatch):
    monkeypatch.setattr(drawing, "_FAMILIES", ("no such family",))
    drawing._family.cache_clear()
    with pytest.raises(ConfigError, match="none of no such family is installed\nfix: install one"):
        drawing.check_picture_options(options("--png", "a.png"))
    drawing._family.cache_clear()


def test_without_the_package_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ConfigError, match=r"PNG files need the package resvg-py\nfix: pip install"):
        drawing.png(SVG)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--svg", "a.png"), "a.png is no name of an SVG file\nfix: let it end in .svg"),
        (("--png", "a.jpg"), "a.jpg is no name of a PNG file\nfix: let it end in .png"),
    ],
)
def test_names_say_the_kind(arguments, message):
    with pytest.raises(ConfigError, match=message):
        drawing.check_picture_options(options(*arguments))
