"""Pictures in files: SVG as it is, and as PNG where `resvg_py` is installed."""

import functools
from pathlib import Path

from vertebra.core.errors import ConfigError

# Families for "sans-serif", the first one that the machine has; a renderer without one leaves out all text.
_FAMILIES = ("DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica", "Verdana")
_PROBE = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text y="9">{}</text></svg>'
_ZOOM = 2  # pixels of a PNG for one of SVG's


def add_picture_options(parser) -> None:
    """`--svg FILE` and `--png FILE`, for `write_pictures`."""
    parser.add_argument("--svg", metavar="FILE", help="write a picture")
    parser.add_argument("--png", metavar="FILE", help="write it as PNG (needs vertebra[png])")


def check_picture_options(args) -> None:
    """Raises ConfigError, before any work is done, for pictures that could not be written."""
    for kind in ("svg", "png"):
        path = getattr(args, kind)
        if path and not path.endswith(f".{kind}"):
            raise ConfigError(
                f"--{kind}: {path} is no name of {'an SVG' if kind == 'svg' else 'a PNG'} file",
                fix=f"let it end in .{kind}",
            )
    if args.png:
        _family()


def write_pictures(args, svg: str) -> None:
    """Writes the picture to the files that the options name.  Raises ConfigError, see `png`."""
    if args.svg:
        Path(args.svg).write_text(svg)
    if args.png:
        Path(args.png).write_bytes(png(svg))


def png(svg: str) -> bytes:
    """A picture as PNG.  Raises ConfigError without `resvg_py`, and without a font for its text."""
    return _renderer()(svg_string=svg, sans_serif_family=_family(), zoom=_ZOOM)


def _renderer():
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise ConfigError(
            "PNG files need the package resvg-py", fix="pip install 'vertebra[png]', or write an SVG file"
        ) from None
    return svg_to_bytes


@functools.cache
def _family() -> str:
    """The first family by which text shows."""
    render = _renderer()
    empty = render(svg_string=_PROBE.format(""))
    for family in _FAMILIES:
        if render(svg_string=_PROBE.format("M"), font_family=family) != empty:
            return family
    raise ConfigError(
        f"PNG files need a font, and none of {', '.join(_FAMILIES)} is installed",
        fix="install one (Debian: fonts-dejavu-core), or write an SVG file",
    )
