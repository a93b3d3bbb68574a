"""`vertebra compile`: a kernel in a Python file, to any stage."""

from pathlib import Path

from vertebra.core.command import Command, check_readable, write_output
from vertebra.core.errors import ConfigError

_EXAMPLE = """\
examples:
  vertebra compile add.py:add_kernel --core spacemit-x60 \\
      --signature '*fp32:16,*fp32:16,*fp32:16,i32' --constexpr 'BLOCK=1024' --emit so -o libadd.so
  vertebra compile kernels.toml --emit archive -o libkernels.a
write a library and its header (libadd.h, libkernels.h), with which C programs launch the kernels; obj
writes one kernel without a runtime, and a header."""
_LIBRARIES = ("so", "archive")


def add_kernel_options(parser, what: str = "the kernel; the file is run to find it") -> None:
    """The arguments that say which kernel, and which specialisation of it.  what: the help of the first."""
    parser.add_argument("kernel", metavar="FILE.py:KERNEL", help=what)
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
    """(file, kernel) that the arguments name.  Raises ConfigError, OSError."""
    path, colon, name = args.kernel.rpartition(":")
    if not colon:
        raise ConfigError(f"{args.kernel!r} names no kernel", fix=f"write {args.kernel}:KERNEL")
    check_readable(path)
    return path, name


def _configure(parser) -> None:
    import argparse

    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLE
    add_kernel_options(
        parser, "the kernel, or a description (.toml) of several; files are run to find kernels"
    )
    parser.add_argument(
        "--emit", metavar="STAGE", default="ttir", help="ttir, linalg, vector, llir, asm, obj, so or archive"
    )
    parser.add_argument("--libc", help="of programs that link the library: gnu or musl")
    parser.add_argument(
        "--emulate", action="store_true", help="let the library run under QEMU: emulate what that lacks"
    )
    parser.add_argument("-o", dest="output", metavar="FILE", help="write here instead of standard output")


def _run(args) -> None:
    from vertebra.core.pipeline import STAGES

    described = args.kernel.endswith(".toml")
    if not described:
        kernel_of(args)
    emitted = tuple(dict.fromkeys((*STAGES, *_LIBRARIES)))
    if args.emit not in emitted:
        raise ConfigError(f"there is no stage {args.emit!r}", fix=f"the stages are {', '.join(emitted)}")
    if args.emit in ("obj", *_LIBRARIES) and args.output in (None, "-"):
        raise ConfigError(f"stage {args.emit} is machine code", fix="add -o FILE")
    if args.emit in ("obj", *_LIBRARIES) and args.output.endswith(".h"):
        raise ConfigError(f"{args.output} is where the header goes", fix="name the library: -o libkernels.so")
    if described and args.emit not in _LIBRARIES:
        raise ConfigError(
            f"{args.kernel} describes a library, which has no stage {args.emit}",
            fix=f"add --emit {' or --emit '.join(_LIBRARIES)}",
        )
    made = _library(args) if args.emit in _LIBRARIES else _artifact(args)
    write_output(made.data, args.output)
    if made.header is not None:
        write_output(made.header, str(Path(args.output).with_suffix(".h")))


def _artifact(args):
    import triton  # noqa: F401 - before the modules that Triton loads itself

    from vertebra.plugins.triton import aot

    path, name = kernel_of(args)
    return aot.compile_file(
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


def _library(args):
    import triton  # noqa: F401 - before the modules that Triton loads itself

    from vertebra.plugins.triton import library

    if args.kernel.endswith(".toml"):
        given = [name for name in ("signature", "constexpr") if getattr(args, name)]
        given += [name for name in ("fast_math", "bounds_check", "debug") if getattr(args, name)]
        if given:
            option = given[0].replace("_", "-")
            raise ConfigError(f"--{option} is for one kernel", fix=f"say {given[0]} in {args.kernel}")
        description = library.read_description(args.kernel)
    else:
        path, name = kernel_of(args)
        form = library.Form(
            args.signature,
            args.constexpr,
            fast_math=args.fast_math,
            bounds_check=args.bounds_check,
            debug=args.debug,
        )
        description = library.Description(None, (library.Entry(path, name, name, (form,)),))
    core = library.core_of(args.core, description)
    return library.make(
        description.entries, core, args.emit, args.output, libc=args.libc, emulate=args.emulate
    )


COMMAND = Command(
    "compile", "compile kernels in Python files: to any stage, to a library for C", _configure, _run
)
