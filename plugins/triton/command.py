"""`vertebra compile`: a kernel in a Python file, to any stage."""

from pathlib import Path

from vertebra.core.command import Command, write_output
from vertebra.core.errors import ConfigError

_EXAMPLE = """\
example:
  vertebra compile add.py:add_kernel --core spacemit-x60 \\
      --signature '*fp32:16,*fp32:16,*fp32:16,i32' --constexpr 'BLOCK=1024' --emit so -o libadd.so
writes libadd.so and libadd.h, with which a C program calls the kernel (and so for obj)."""


def add_kernel_options(parser) -> None:
    """The arguments that say which kernel, and which specialisation of it."""
    parser.add_argument("kernel", metavar="FILE.py:KERNEL", help="the kernel; the file is run to find it")
    parser.add_argument(
        "--signature", default="", help="types of the run-time arguments, in order: '*fp32:16,i32'"
    )
    parser.add_argument("--constexpr", default="", help="values of the others: 'BLOCK=1024,EVEN=True'")
    parser.add_argument("--core", help="name or arch id; by default the current core")
    parser.add_argument("--fast-math", action="store_true", help="looser bounds for math functions")
    parser.add_argument("--debug", action="store_true", help="compile device assertions, keep source lines")
    parser.add_argument("--bounds-check", action="store_true", help="check every load and store at run time")
    for name in ("warps", "stages", "ctas"):
        parser.add_argument(f"--num-{name}", type=int, help="for GPUs; accepted and ignored")


def kernel_of(args) -> tuple[str, str]:
    """(file, kernel) that the arguments name.  Raises ConfigError, FileNotFoundError."""
    path, colon, name = args.kernel.rpartition(":")
    if not colon:
        raise ConfigError(f"{args.kernel!r} names no kernel", fix=f"write {args.kernel}:KERNEL")
    if not Path(path).is_file():
        raise FileNotFoundError(2, "no such file", path)
    return path, name


def _configure(parser) -> None:
    import argparse

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLE
    add_kernel_options(parser)
    parser.add_argument(
        "--emit", metavar="STAGE", default="ttir", help="ttir, linalg, vector, llir, asm, obj or so"
    )
    parser.add_argument("-o", dest="output", metavar="FILE", help="write here instead of standard output")


def _run(args) -> None:
    path, name = kernel_of(args)
    if args.emit in ("obj", "so") and args.output in (None, "-"):
        raise ConfigError(f"stage {args.emit} is machine code", fix="add -o FILE")
    import triton  # noqa: F401 - before the modules that Triton loads itself

    from vertebra.plugins.triton import aot

    artifact = aot.compile_file(
        path,
        name,
        signature=args.signature,
        constexpr=args.constexpr,
        core=args.core,
        emit=args.emit,
        fast_math=args.fast_math,
        bounds_check=args.bounds_check,
        debug=args.debug,
    )
    write_output(artifact.data, args.output)
    if artifact.header is not None:
        write_output(artifact.header, str(Path(args.output).with_suffix(".h")))


COMMAND = Command("compile", "compile a kernel in a Python file to any stage", _configure, _run)
