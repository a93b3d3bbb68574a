"""The command line's notation for a kernel's arguments.

    --signature '*fp32, *fp32:16, i32'     types of the run-time arguments, in order
    --constexpr 'BLOCK=1024, NAME="x"'     values of the others

`:16` says that the address or number is a multiple of 16, `:1` that the number is 1.
Imports no Triton: the kernel's parameters are given as data.
"""

import ast
import re
from collections.abc import Sequence

import attrs

from vertebra.core.errors import ConfigError

_SPELLINGS = {"i1": "u1", "bool": "u1", "f16": "fp16", "f32": "fp32", "f64": "fp64"}
_FLOAT8 = ("fp8e4nv", "fp8e4b8", "fp8e4b15", "fp8e5", "fp8e5b16")
_SCALARS = ("u1", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "fp16", "bf16", "fp32", "fp64")
_DESCRIPTOR = re.compile(r"tensordesc<\s*(\w+)\s*\[\s*(\d+(?:\s*,\s*\d+)*)\s*\]\s*>")


@attrs.frozen
class Parameter:
    """One parameter of a kernel, as its source declares it."""

    name: str
    constexpr: bool = False
    default: object = None
    has_default: bool = False


@attrs.frozen
class Bound:
    """Every parameter with its type, or its value.

    types: name -> Triton's type name, "constexpr" where there is a value; in order.
    constants: name -> value.  multiples: names of arguments that are multiples of 16.
    ones: name -> type of those that are always 1; they are among the constants, too.
    """

    types: dict[str, str]
    constants: dict[str, object]
    multiples: frozenset[str]
    ones: dict[str, str] = attrs.field(factory=dict)

    @property
    def runtime(self) -> dict[str, str]:
        """name -> type of what is passed at run time."""
        return {name: kind for name, kind in self.types.items() if kind != "constexpr"}


def split(text: str) -> list[str]:
    """The parts between the commas that are outside of brackets and quotes."""
    parts, start, depth, quote = [], 0, 0, ""
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{<":
            depth += 1
        elif char in ")]}>":
            depth -= 1
        elif char == "," and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    parts.append(text[start:].strip())
    return [] if parts == [""] else parts


def parse_type(text: str) -> tuple[str, int | None]:
    """('*fp32', 16) for '*fp32:16'.  Raises ConfigError for what is no type."""
    kind, _, hint = (part.strip() for part in text.partition(":"))
    if hint not in ("", "1", "16"):
        raise ConfigError(f"{text!r}: a type may end in :16 or :1, not :{hint}")
    descriptor = _DESCRIPTOR.fullmatch(kind)
    if descriptor:
        shape = ", ".join(size.strip() for size in descriptor[2].split(","))
        return f"tensordesc<{_scalar(descriptor[1], text, memory=True)}[{shape}]>", None
    stars = kind[: len(kind) - len(kind.lstrip("*"))]
    return stars + _scalar(kind.lstrip("*"), text, memory=bool(stars)), int(hint) if hint else None


def _scalar(name: str, text: str, *, memory: bool) -> str:
    name = _SPELLINGS.get(name, name)
    legal = _SCALARS + _FLOAT8 if memory else _SCALARS
    if name not in legal:
        raise ConfigError(
            f"{text!r} is not a type", fix=f"use * for a pointer, and one of {', '.join(legal)}"
        )
    return name


def parse_constants(text: str) -> dict[str, object]:
    """{'BLOCK': 1024} for 'BLOCK=1024'; values are Python literals.  Raises ConfigError."""
    constants = {}
    for part in split(text):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name.isidentifier():
            raise ConfigError(
                f"--constexpr: {part!r} is not NAME=VALUE", fix="write for instance 'BLOCK=1024,EVEN=True'"
            )
        if name in constants:
            raise ConfigError(f"--constexpr gives {name} twice")
        try:
            constants[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise ConfigError(
                f"--constexpr: the value of {name}, {value or 'nothing'}, is not a Python literal",
                fix=f'use a number, True, False, None, a tuple of these, or a type: {name}="tl.int8"',
            ) from None
    return constants


def bind(kernel: str, parameters: Sequence[Parameter], signature: str, constexpr: str) -> Bound:
    """What the two texts say about `parameters`.  Raises ConfigError, which lists the parameters."""
    constants = parse_constants(constexpr)
    names = {p.name for p in parameters}
    unknown = [name for name in constants if name not in names]
    if unknown:
        raise ConfigError(f"kernel {kernel} has no parameter {', '.join(unknown)}", fix=_listing(parameters))
    for p in parameters:
        if p.constexpr and p.has_default:
            constants.setdefault(p.name, p.default)
    missing = [p.name for p in parameters if p.constexpr and p.name not in constants]
    if missing:
        raise ConfigError(
            f"kernel {kernel} needs values for {', '.join(missing)}",
            fix=f"add --constexpr '{','.join(f'{name}=...' for name in missing)}'; {_listing(parameters)}",
        )
    typed = [p.name for p in parameters if p.name not in constants]
    kinds = [parse_type(part) for part in split(signature)]
    if len(kinds) < len(typed):
        raise ConfigError(
            f"the signature has {_count(kinds)} and kernel {kernel} takes {len(typed)} at run time: "
            f"no type for {', '.join(typed[len(kinds) :])}",
            fix=f"give a type for each of {', '.join(typed)}; {_listing(parameters)}",
        )
    if len(kinds) > len(typed):
        raise ConfigError(
            f"the signature has {_count(kinds)} and kernel {kernel} takes {len(typed)} at run time: "
            f"{', '.join(typed) or 'none'}",
            fix=f"leave out constants, which --constexpr gives; {_listing(parameters)}",
        )
    hinted = dict(zip(typed, kinds, strict=True))
    ones = {name: kind for name, (kind, hint) in hinted.items() if hint == 1}
    constants |= dict.fromkeys(ones, 1)
    types = {p.name: "constexpr" if p.name in constants else hinted[p.name][0] for p in parameters}
    multiples = frozenset(name for name, (_, hint) in hinted.items() if hint == 16)
    return Bound(types, constants, multiples, ones)


def _count(kinds) -> str:
    return f"{len(kinds)} type{'' if len(kinds) == 1 else 's'}"


def _listing(parameters: Sequence[Parameter]) -> str:
    words = []
    for p in parameters:
        word = f"{p.name}: constexpr" if p.constexpr else p.name
        words.append(f"{word}={p.default!r}" if p.has_default else word)
    return f"its parameters are ({', '.join(words)})"
