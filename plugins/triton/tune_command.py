"""`vertebra tune`: choosing configurations ahead of time, and what has been chosen."""

import argparse
from pathlib import Path

from vertebra.core.command import Command, print_table, write_output
from vertebra.core.errors import ConfigError
from vertebra.plugins.triton.command import add_kernel_options, kernel_of
from vertebra.plugins.triton.roofline_command import parse_values

_EXAMPLE = """\
example:
  vertebra tune run examples/matmul.py:matmul_kernel --core spacemit-a60 \\
      --signature '*i8,*i8,*i32,i32,i32,i32,i32,i32:1,i32,i32:1,i32,i32:1' \\
      --constexpr 'GROUP_M=8,ACC="tl.int32"' --config BLOCK_M=64,BLOCK_N=64,BLOCK_K=64 \\
      --config BLOCK_M=128,BLOCK_N=128,BLOCK_K=64 --grid 'cdiv(m,BLOCK_M)*cdiv(n,BLOCK_N)' \\
      --args m=256,n=256,k=256,stride_am=256,stride_bk=256,stride_cm=256
docs/tuning.md says how configurations are chosen."""


def _configure(parser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, text, configure, run in (
        ("run", "tune a kernel in a Python file, and show what was found", _configure_run, _tune),
        ("show", "list results, or the configurations of a kernel", _configure_show, _show),
        ("export", "write results to a file that can be shared", _configure_export, _export),
        ("merge", "add the results of files to one's own", _configure_merge, _merge),
    ):
        action = actions.add_parser(name, help=text, description=text)
        configure(action)
        action.set_defaults(act=run)


def _configure_run(parser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLE
    add_kernel_options(parser)
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="NAME=VALUE,...",
        help="a configuration (repeatable); by default those of the kernel's triton.autotune",
    )
    parser.add_argument(
        "--args", default="", help="integer arguments: 'n=1000'; of pointers, how many elements they point to"
    )
    parser.add_argument("--grid", default="1", help="programs, of arguments and constants: 'cdiv(n, BLOCK)'")
    parser.add_argument(
        "--keep", type=float, metavar="SHARE", help="share of configurations that is measured"
    )
    parser.add_argument("--again", action="store_true", help="measure even where there is a result")
    parser.add_argument("--timeout", type=float, default=60, metavar="S", help="seconds for a configuration")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="measure on the workers of this Dask scheduler"
    )


def _add_selection(parser) -> None:
    parser.add_argument("--kernel", help="of this kernel only")
    parser.add_argument("--core", help="for this core only")


def _configure_show(parser) -> None:
    parser.add_argument("file", nargs="?", help="by default the one in which results are kept")
    _add_selection(parser)


def _configure_export(parser) -> None:
    _add_selection(parser)
    parser.add_argument("-o", dest="output", metavar="FILE", help="write here instead of standard output")


def _configure_merge(parser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="of two results for the same, the newer stays"
    )
    parser.add_argument("-o", dest="output", metavar="FILE", help="by default where results are kept")


def _own_file() -> Path:
    from triton import knobs

    from vertebra.core.tuning import store

    path = store.chosen(knobs.cache.dir)
    if path is None:
        raise ConfigError(f"{store.VARIABLE} is 0, so that no results are kept", fix="name a file in it")
    return path


def _show_one(result) -> None:
    from vertebra.core.tuning import table

    print(table.head(result))
    print_table(table.HEAD, table.rows(result))
    for line in filter(None, (table.order(result), *(f"note: {note}" for note in result.notes))):
        print(line)


def _tune(args) -> None:
    path, name = kernel_of(args)
    values = parse_values(args.args)
    from vertebra.core import select
    from vertebra.core.tuning import pruning

    core = select.find_core(args.core) if args.core else select.current_core()
    share = None if args.keep is None else pruning.checked(args.keep)
    if not args.timeout > 0:
        raise ConfigError(f"--timeout is {args.timeout:g}", fix="give seconds above 0")
    import triton  # noqa: F401 - before the modules that Triton loads itself

    from vertebra.core.tuning.bench import Here
    from vertebra.plugins.triton.tune_file import tune_file

    def tuned(measurer):
        return tune_file(
            path,
            name,
            signature=args.signature,
            constexpr=args.constexpr,
            configs=args.config,
            core=core,
            values=values,
            grid=args.grid,
            measurer=measurer,
            share=share,
            again=args.again,
            fast_math=args.fast_math,
            bounds_check=args.bounds_check or None,
            debug=args.debug,
        )

    if not args.scheduler:
        return _show_one(tuned(Here(args.timeout)))
    from vertebra.core.tuning import fleet

    with fleet.connected(args.scheduler, seconds=args.timeout) as there:
        _show_one(tuned(there))


def _show(args) -> None:
    from vertebra.core.tuning import store, table

    path = Path(args.file) if args.file else _own_file()
    if args.file and not path.exists():
        raise FileNotFoundError(2, "no such file", args.file)
    found = store.select(store.read(path), args.kernel, args.core)
    if not found:
        print(f"no such results in {path}")
    elif args.kernel:
        for number, result in enumerate(found):
            print(end="\n" if number else "")
            _show_one(result)
    else:
        print_table(table.SUMMARY, table.summary(found))


def _export(args) -> None:
    from vertebra.core.tuning import store

    found = store.select(store.read(_own_file()), args.kernel, args.core)
    if not found:
        raise ConfigError(f"no such results in {_own_file()}", fix="`vertebra tune show` lists what there is")
    write_output(store.text(found), args.output)


def _merge(args) -> None:
    from vertebra.core.tuning import store

    path = Path(args.output) if args.output else _own_file()
    known = store.read(path)
    found: dict = {}
    for file in args.files:
        if not Path(file).exists():
            raise FileNotFoundError(2, "no such file", file)
        for identity, result in store.read(Path(file)).items():
            other = found.get(identity) or known.get(identity)
            if other is None or other.date < result.date:
                found[identity] = result
    store.add(path, found.values())
    print(f"{len(found)} results added to {path}, which has {len(known | found)}")


COMMAND = Command(
    "tune",
    "choose the fastest configuration of a kernel, and show and share what was found",
    _configure,
    lambda args: args.act(args),
)
