"""`vertebra explain`: a kernel at every stage, as a page for a browser."""

import contextlib
import gc

from vertebra.core.command import Command, write_output
from vertebra.plugins.triton.command import add_kernel_options, kernel_of
from vertebra.plugins.triton.roofline_command import parse_grid, parse_values


def _configure(parser) -> None:
    add_kernel_options(parser)
    parser.add_argument("--args", default="", help="integer arguments of a launch: 'n=1000,k=512'")
    parser.add_argument("--grid", help="its programs along x, y and z, '64,8': then its roofline is shown")
    parser.add_argument(
        "-o", dest="output", metavar="FILE.html", help="write here instead of standard output"
    )


def _run(args) -> None:
    path, name = kernel_of(args)
    grid, values = parse_grid(args.grid) if args.grid else None, parse_values(args.args)
    import triton  # noqa: F401 - before the modules that Triton loads itself

    from vertebra.core.explain.page import render
    from vertebra.plugins.triton.explain import explain_file

    with _keeping_garbage():
        report = explain_file(
            path,
            name,
            signature=args.signature,
            constexpr=args.constexpr,
            core=args.core,
            values=values,
            grid=grid,
            fast_math=args.fast_math,
            bounds_check=args.bounds_check,
            debug=args.debug,
        )
        page = render(report)
    write_output(page, args.output)


@contextlib.contextmanager
def _keeping_garbage():
    """Looking for it is a tenth of the work, and little is found before the program ends."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


COMMAND = Command("explain", "show a kernel at every stage, as a page for a browser", _configure, _run)
