"""`vertebra profile FILE`: a profile that `triton.profiler` has written, as a table."""

from vertebra.core.command import Command, print_table


def _configure(parser) -> None:
    parser.add_argument("file", metavar="FILE.hatchet", help="what proton.finalize() has written")


def _run(args) -> None:
    from vertebra.core.profile import formats

    print_table(*formats.table(formats.read_tree(args.file)))


COMMAND = Command("profile", "show a profile as a table", _configure, _run)
