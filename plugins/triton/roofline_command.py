"""`vertebra roofline`: what bounds a kernel on a core."""

import ast

from vertebra.core.command import Command, write_output
from vertebra.core.drawing import add_picture_options, check_picture_options, write_pictures
from vertebra.core.errors import ConfigError
from vertebra.plugins.triton.command import add_kernel_options, kernel_of
from vertebra.plugins.triton.signature import split

_EXAMPLE = """\
example:
  vertebra roofline examples/softmax.py:softmax_kernel --core spacemit-x60,host \\
      --signature '*fp32:16,*fp32:16,i32:16,i32:16,i32:16' --constexpr 'BLOCK=1024' \\
      --args 'x_stride=1024,out_stride=1024,n=1000' --grid 4096 --svg softmax.svg
docs/roofline.md says how it is computed."""


def _configure(parser) -> None:
    import argparse

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLE
    add_kernel_options(parser)
    parser.add_argument("--args", default="", help="values of integer arguments at run time: 'n=1000,k=512'")
    parser.add_argument("--grid", default="1", help="programs along x, y and z: '64,8' (1: a single program)")
    add_picture_options(parser)
    parser.add_argument("--measure", action="store_true", help="run the launch too, with made-up data")
    parser.add_argument("-o", dest="output", metavar="FILE", help="write here instead of standard output")


def parse_grid(text: str) -> tuple[int, int, int]:
    """(64, 8, 1) for '64,8'.  Raises ConfigError."""
    parts = [part.strip() for part in text.split(",")]
    if not 1 <= len(parts) <= 3 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--grid: {text!r} is no grid", fix="write one to three numbers: '64,8'")
    x, y, z, *_ = [*map(int, parts), 1, 1]
    return x, y, z


def parse_values(text: str) -> dict[str, int]:
    """{'n': 1000} for 'n=1000'.  Raises ConfigError."""
    values = {}
    for part in split(text):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            number = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            number = None
        if not name or not isinstance(number, int):
            raise ConfigError(
                f"--args: {part!r} is not NAME=INTEGER", fix="write for instance 'n=1000,k=512'"
            )
        values[name] = int(number)
    return values


def _run(args) -> None:
    path, name = kernel_of(args)
    grid, values = parse_grid(args.grid), parse_values(args.args)
    check_picture_options(args)
    from vertebra.core import select

    cores = (
        [select.find_core(core) for core in args.core.split(",")] if args.core else [select.current_core()]
    )
    import triton  # noqa: F401 - before the modules that Triton loads itself

    from vertebra.core.roofline import picture, report
    from vertebra.plugins.triton.roofline import roofline_of_file

    found = [
        roofline_of_file(
            path,
            name,
            signature=args.signature,
            constexpr=args.constexpr,
            core=core,
            values=values,
            grid=grid,
            measured=args.measure,
            fast_math=args.fast_math,
            debug=args.debug,
        )
        for core in cores
    ]
    write_output("\n\n\n".join(report.text(*pair) for pair in found), args.output)
    if args.svg or args.png:
        write_pictures(args, picture.svg(found))


COMMAND = Command(
    "roofline", "show what bounds a kernel on a core, and how near to its peak", _configure, _run
)
