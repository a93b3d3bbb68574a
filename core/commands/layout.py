"""`vertebra layout SRC DST`: how a tile gets from one layout into another."""

from vertebra.core.command import Command, print_table, write_output
from vertebra.core.drawing import add_picture_options, check_picture_options, write_pictures
from vertebra.core.errors import ConfigError


def _configure(parser) -> None:
    parser.add_argument("source", nargs="?", metavar="SRC", help="a name, NAME@128x64, or shape:stride")
    parser.add_argument("destination", nargs="?", metavar="DST", help="the same")
    parser.add_argument("--dtype", default="f32", help="element type of layouts that do not say (f32)")
    parser.add_argument("--width", type=int, metavar="BYTES", help="accesses of this many bytes only")
    parser.add_argument("--swizzle", action="store_true", help="choose the destination's swizzle")
    add_picture_options(parser)
    parser.add_argument("--list", action="store_true", help="list the layouts that have names")


def _run(args) -> None:
    if args.list:
        _list()
        return
    if not args.source or not args.destination:
        raise ConfigError("a source and a destination are due", fix="`vertebra layout --list` names layouts")
    check_picture_options(args)
    from vertebra.core.layout import names, planner, report

    source = names.operand(args.source, dtype=args.dtype)
    destination = names.operand(args.destination, dtype=args.dtype)
    if args.swizzle:
        xor, _ = planner.choose_swizzle(source, destination)
        print(f"swizzle chosen: {xor or 'none'}")
        destination = destination._replace(swizzle=xor)
    found = planner.plans(source, destination, width=args.width)
    write_output(report.text(found), None)
    if args.svg or args.png:
        from vertebra.core.layout import picture

        write_pictures(args, picture.svg(found[0]))


def _list() -> None:
    from vertebra.core.layout import names

    rows = [
        (name, "x".join(map(str, family.shape)), family.description)
        for name, family in sorted(names.known().items())
    ]
    print_table(("name", "tile", "what"), rows)


COMMAND = Command("layout", "show how a tile gets from one layout into another", _configure, _run)
