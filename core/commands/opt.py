"""`vertebra opt`: any part of the pipeline, or single passes, on a file of IR."""

import difflib
import sys

from vertebra.core.command import Command, read_text, write_output
from vertebra.core.errors import ConfigError


def _configure(parser) -> None:
    parser.add_argument("file", help="a .mlir file (.ll for stage llir), or - for standard input")
    parser.add_argument("--from", dest="start", metavar="STAGE", default="ttir", help="stage of FILE (ttir)")
    parser.add_argument(
        "--to", dest="stop", metavar="STAGE", default="linalg", help="stage to print (linalg)"
    )
    parser.add_argument("--core", help="name or arch id; by default the current core")
    parser.add_argument(
        "--pass",
        dest="passes",
        metavar="NAME",
        nargs="+",
        action="extend",
        help="run these passes only, in this order: names that `vertebra passes` lists, or MLIR's own",
    )
    parser.add_argument("--time", action="store_true", help="print what each pass took, to standard error")
    parser.add_argument("--fast-math", action="store_true", help="looser bounds for math functions")
    parser.add_argument("--bounds-check", action="store_true", help="check every load and store at run time")
    parser.add_argument("-o", dest="output", metavar="FILE", help="write here instead of standard output")


def _run(args) -> None:
    from vertebra.core import compile, pipeline, select

    if args.file in (args.passes or ()):
        raise ConfigError("the file comes before --pass, or after --")
    core = select.find_core(args.core) if args.core else select.current_core()
    options = pipeline.Options(fast_math=args.fast_math, bounds_check=args.bounds_check)
    observe = _report if args.time else None
    text = read_text(args.file)
    if args.passes:
        write_output(
            run_passes(text, args.passes, core, options, name=args.file, observe=observe), args.output
        )
        return
    if args.stop in ("obj", "so") and args.output in (None, "-"):
        raise ConfigError(f"stage {args.stop} is machine code", fix="add -o FILE")
    result = compile.render(
        text, args.stop, core, options, start=args.start, observe=observe, filename=args.file
    )
    write_output(result, args.output)


def _report(stage: str, name: str, seconds: float) -> None:
    print(f"{seconds * 1e3:9.2f} ms  {stage}: {name}", file=sys.stderr)


def run_passes(text: str, names, core, options, *, name: str = "-", observe=None) -> str:
    """`text` (a module at any stage) after the passes `names`, in the textual form of its dialects.

    names: as `vertebra passes` lists them for `core`, or MLIR's own.  Raises ConfigError for a
    name that is neither, ParseError and CompileError.
    """
    import time

    from vertebra.core import assembly, pipeline
    from vertebra.core.context import context

    with context():
        steps = [find_pass(name, core) for name in names]
        module = assembly.parse(text, context(), name=name)
        for step in steps:
            began = time.perf_counter()
            pipeline.run_pass(step, module, core, options)
            if observe:
                observe("opt", step.name, time.perf_counter() - began)
        return assembly.print_module(module)


def find_pass(name: str, core):
    """The pass of this name on the way to `core`, or MLIR's own; within a current context."""
    from vertebra.core import pipeline
    from vertebra.core.mlir import passmanager
    from vertebra.core.target import Pass

    known = {p.name: p for stage in pipeline.MODULE_STAGES[1:] for p in pipeline.passes_to(stage, core)}
    if name in known:
        return known[name]
    try:
        passmanager.PassManager.parse(f"builtin.module({name})")
    except ValueError:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(
            f"there is no pass {name!r} on the way to core {core.name}, and none of MLIR's",
            fix=f"{hint}`vertebra passes --core {core.name}` lists them",
        ) from None
    return Pass(name, name)


COMMAND = Command("opt", "run any part of the pipeline, or single passes, on a file of IR", _configure, _run)
