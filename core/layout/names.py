"""Operands by name, from the plugins, or from a layout's notation."""

import difflib
import re

from vertebra.core.layout import tree
from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.notation import parse_layout, parse_sizes
from vertebra.core.layout.operand import Family, Instruction, Operand, Space
from vertebra.core.layout.owners import Owners
from vertebra.core.layout.swizzle import Composed, Xor

_WIDTHS = tuple(Instruction(f"{n}-byte access", n) for n in (16, 8, 4, 2, 1))

# What a layout without a name lies in: plain memory that any access reaches, and threads in groups of 32.
MEMORY = Space("memory", "memory", _WIDTHS, _WIDTHS)
THREADS = Space("registers", "registers")


def operand(text: str, *, dtype: str = "f32") -> Operand:
    """An operand from text.

    `NAME` or `NAME@128x64`: a plugin's, in its own or another tile size.  A layout in its
    notation: memory of elements of `dtype`.  `tv:LAYOUT@64x16`: registers, (thread, value) to the
    index m + M * n.  Both of these take ` as DTYPE` and ` in SPACE` at the end.  An XOR in front of
    a layout acts on bytes.
    Raises LayoutError for names that are not known, with the nearest ones.
    """
    text = text.strip()
    text, dtype, space = _suffixes(text, dtype)
    if text.startswith("tv:"):
        body, _, size = text[3:].rpartition("@")
        if not body:
            raise LayoutError(f"{text!r} does not say the size of its tile", fix=f"write {text}@64x16")
        owners = Owners(parse_layout(body), parse_sizes(size, "tile"))
        return Operand(text, owners.shape, dtype, space or THREADS, owners=owners)
    if re.match(r"[(\d]|S<|pack\b", text):
        return _from_layout(
            text, parse_layout(re.sub(r"^S<[^>]*>\s*o\s*(0\s*o\s*)?", "", text)), dtype, space
        )
    name, _, size = text.partition("@")
    families = known()
    if name not in families:
        near = difflib.get_close_matches(name, families, n=3, cutoff=0.4)
        raise LayoutError(
            f"no layout is called {name!r}",
            fix=f"did you mean {' or '.join(near)}?" if near else "`vertebra layout --list` names them all",
        )
    family = families[name]
    shape = parse_sizes(size, "tile") if size else family.shape
    if len(shape) != len(family.shape):
        raise LayoutError(f"tiles of {name} have {len(family.shape)} sizes, and {size} has {len(shape)}")
    return family.make(shape)


def _suffixes(text: str, dtype: str):
    space = None
    while (found := re.search(r"\s+(as|in)\s+(\S+)$", text)) is not None:
        if found[1] == "as":
            dtype = found[2]
            bits_of(dtype)
        else:
            space = spaces().get(found[2])
            if space is None:
                raise LayoutError(f"no space is called {found[2]!r}", fix=f"there are {', '.join(spaces())}")
        text = text[: found.start()]
    return text, dtype, space


def _from_layout(text: str, layout, dtype: str, space) -> Operand:
    swizzle = None
    if text.startswith("S<"):
        swizzle = Xor(*map(int, re.findall(r"-?\d+", text[: text.index(">")])))
    if isinstance(layout, Composed):
        raise LayoutError(f"{text!r} has two swizzles", fix="join them into one")
    if not isinstance(layout.shape, tuple):
        layout = Layout((layout.shape,), (layout.stride,))
    shape = tuple(tree.size(m.shape) for m in layout.modes)
    return Operand(text, shape, dtype, space or MEMORY, layout, swizzle=swizzle)


def known() -> dict[str, Family]:
    """Every named layout of the installed plugins."""
    from vertebra.core import hooks

    return {name: item for name, item in hooks.layouts().items() if isinstance(item, Family)}


def spaces() -> dict[str, Space]:
    """Every named space of the installed plugins, and the two without a plugin."""
    from vertebra.core import hooks

    named = {name: item for name, item in hooks.layouts().items() if isinstance(item, Space)}
    return {MEMORY.name: MEMORY, THREADS.name: THREADS, **named}
