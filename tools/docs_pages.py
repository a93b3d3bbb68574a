"""Pages of the documentation that are made of the code: the references of hooks and of commands.

mkdocs calls `on_files` (see `hooks` in mkdocs.yml); the pages are never files of the checkout.
"""

import argparse
import importlib
import inspect
import itertools
import re
import types
import typing
from collections.abc import Iterable, Iterator

WIDTH = 84  # of usage texts
_LABEL = re.compile(r"^(\w+):", re.MULTILINE)
_CLASS = re.compile(r"`(vertebra(?:\.\w+)+\.[A-Z]\w+)`")


def on_files(files, config):
    """Adds the generated pages to those of the folder."""
    from mkdocs.structure.files import File

    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    return files


def pages() -> dict[str, str]:
    """File name -> text."""
    return {"hooks.md": hook_reference(), "commands.md": command_reference()}


# --- hooks ----------------------------------------------------------------------------------------

_HOOKS = """# Hook reference

A plugin is a module that is named under the entry-point group `{group}` and has some of the functions
below, each decorated with `vertebra.core.hooks.hookimpl`. Importing it only declares: hooks import what is
slow when they are called. A module that states `VERTEBRA_API = {api}` is refused by any vertebra whose hooks
have another version. {rule} A function takes those of the arguments that it needs.

This page is made of `vertebra.core.hooks` and of the records that it names.
"""


def hook_reference() -> str:
    from vertebra.core import hooks

    rule = inspect.cleandoc(hooks.Hooks.__doc__ or "")
    parts = [_HOOKS.format(group=hooks.GROUP, api=hooks.API, rule=rule), "## Hooks"]
    named: list[type] = []
    for name, hook in inspect.getmembers(hooks.Hooks, inspect.isfunction):
        doc = _text(hook)
        named += [_find(path) for path in _CLASS.findall(doc)]
        arguments = ", ".join(list(inspect.signature(hook).parameters)[1:])
        caller = getattr(hooks.plugins().manager.hook, name)
        here = sorted(impl.plugin_name for impl in caller.get_hookimpls())
        parts += [
            f"### `{name}({arguments})`",
            _linked(doc),
            f"In this repository: {', '.join(here) or 'none'}.",
        ]
    parts.append("## Records")
    for kind in sorted(_with_fields(named), key=lambda kind: (kind.__module__, kind.__name__)):
        parts += [f"### {kind.__name__} {{#{_path(kind)}}}", f"`{_path(kind)}`", *_record(kind)]
    return "\n\n".join(parts) + "\n"


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__name__}"


def _find(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _with_fields(kinds: Iterable[type]) -> set[type]:
    """`kinds` and the classes of vertebra that their fields hold, over and over."""
    found: set[type] = set()
    todo = list(kinds)
    while todo:
        kind = todo.pop()
        if kind not in found:
            found.add(kind)
            todo += [k for _, hint, _ in _fields(kind) for k in _classes(hint)]
    return found


def _classes(hint: object) -> Iterator[type]:
    if inspect.isclass(hint) and hint.__module__.startswith("vertebra."):
        yield hint
    for part in typing.get_args(hint):
        yield from _classes(part)


def _fields(kind: type) -> list[tuple[str, object, str]]:
    """(name, type, default) of a record's fields, as texts but for the type; none of another class."""
    import attrs

    hints = _hints(kind)
    if attrs.has(kind):
        return [
            (field.name.lstrip("_"), hints.get(field.name, ""), _default(field.default))
            for field in attrs.fields(kind)
            if field.init
        ]
    if hasattr(kind, "_field_defaults"):
        defaults = kind._field_defaults
        return [
            (name, hints.get(name, ""), _default(defaults.get(name, attrs.NOTHING))) for name in kind._fields
        ]
    return []


def _hints(kind: type) -> dict[str, object]:
    try:
        return typing.get_type_hints(kind)
    except NameError:  # a name that only type checkers see
        return dict(getattr(kind, "__annotations__", {}))


def _default(value: object) -> str:
    import attrs

    if value is attrs.NOTHING:
        return ""
    factory = getattr(value, "factory", None)
    return f"{factory.__name__}()" if factory else repr(value)


def _record(kind: type) -> list[str]:
    """The paragraphs of a record's docstring, with its fields in a table."""
    fields = _fields(kind)
    names = "|".join(name for name, _, _ in fields) or "(?!)"
    meaning: dict[str, str] = {}
    rest = []
    for paragraph in _text(kind).split("\n\n"):
        # "name: text.  other, third: text", where all names are fields.
        starts = list(re.finditer(rf"(?:^|(?<=\s))((?:(?:{names}), )*(?:{names})): ", paragraph))
        head = paragraph[: starts[0].start()] if starts else paragraph
        if head.strip():
            rest.append(_linked(head.rstrip() if fields else _LABEL.sub(r"- `\1`:", head)))
        for start, end in itertools.pairwise([*starts, None]):
            text = paragraph[start.end() : end.start() if end else None]
            for name in start[1].split(", "):
                meaning[name] = " ".join(text.split())
    if fields:
        rows = [
            f"| `{name}` | {_code(_type(hint))} | {_code(default)} | {_cell(meaning.get(name, ''))} |"
            for name, hint, default in fields
        ]
        rest.append("\n".join(["| field | type | default | what |", "|---|---|---|---|", *rows]))
    methods = [
        f"- `{name}{_signature(method)}`: {_plain(' '.join(_text(method).split()))}"
        for name, method in vars(kind).items()
        if isinstance(method, types.FunctionType) and not name.startswith("_") and method.__doc__
    ]
    return [*rest, *(["\n".join(methods)] if methods else [])]


def _signature(method: types.FunctionType) -> str:
    names = list(inspect.signature(method).parameters)[1:]
    return f"({', '.join(names)})"


def _type(hint: object) -> str:
    text = hint.__name__ if inspect.isclass(hint) and not typing.get_args(hint) else str(hint)
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", text)


def _text(documented) -> str:
    return inspect.cleandoc(documented.__doc__ or "")


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """What Markdown would take for its own marks is text, but for code between backticks."""
    return re.sub(r"(`[^`]*`)|([][*_<>\\])", lambda found: found[1] or f"\\{found[2]}", text)


def _linked(text: str) -> str:
    """Full names of records as links to them."""
    return _CLASS.sub(lambda found: f"[`{found[1]}`](#{found[1]})", _plain(text))


# --- commands -------------------------------------------------------------------------------------

_COMMANDS = """# Command reference

The program is `vertebra`; `python -m vertebra.core.cli` is the same. It ends with 0, or with 2 for what the
user has to change, which standard error tells. Commands of plugins come first.

This page is made of the parsers of the installed commands.
"""


def command_reference() -> str:
    from vertebra.core import cli

    program = cli.parser()
    parts = [_COMMANDS]
    for action in program._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, parser in action.choices.items():
                parts += [f"## vertebra {name}", *_command(parser)]
    return "\n\n".join(parts) + "\n"


def _command(parser: argparse.ArgumentParser) -> list[str]:
    parser.formatter_class = lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=WIDTH)
    description = (parser.description or "").strip()
    parts = [description[:1].upper() + description[1:] + ("" if description.endswith(".") else ".")]
    usage = parser.format_usage().removeprefix("usage: ").rstrip().replace("\n       ", "\n")
    parts.append(f"```text\n{usage}\n```")
    rows = []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        what = (action.help or "") % {**vars(action), "prog": parser.prog}  # help may name the default
        rows.append(f"| {_code(_argument(action))} | {_cell(what)} |")
    if rows:
        parts.append("\n".join(["| argument | what |", "|---|---|", *rows]))
    if parser.epilog:
        parts.append(f"```text\n{inspect.cleandoc(parser.epilog)}\n```")
    return parts


def _argument(action: argparse.Action) -> str:
    value = action.metavar or action.dest.upper()
    value = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        return value
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {value}"
