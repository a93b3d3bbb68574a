"""`vertebra profile FILE`: a profile that `triton.profiler` has written, as a table."""

from vertebra.core.command import Command


def _configure(parser) -> None:
    parser.add_argument("file", metavar="FILE.hatchet", help="what proton.finalize() has written")


def _run(args) -> None:
    from vertebra.core.profile import formats, table

    table.show(*formats.read_profile(args.file))


COMMAND = Command("profile", "show a profile as a table", _configure, _run)
