"""`vertebra passes`: the way of a kernel to one core, pass by pass."""

from vertebra.core.command import Command, print_table


def _configure(parser) -> None:
    parser.add_argument("--core", help="name or arch id; by default the current core")


def _run(args) -> None:
    from vertebra.core import pipeline, select

    core = select.find_core(args.core) if args.core else select.current_core()
    rows = list(pipeline.plan(core))
    print_table(("stage", "pass"), rows)


COMMAND = Command("passes", "list the passes on the way of a kernel to a core", _configure, _run)
