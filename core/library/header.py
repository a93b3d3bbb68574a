"""The header of a library: everything that a C program has to know of it."""

import re
import textwrap
from pathlib import Path

from vertebra.core import toolchain
from vertebra.core.header import NOTES, c_type, field_name
from vertebra.core.library.conditions import SELECTOR, together
from vertebra.core.library.model import Kernel

_WIDTH = 108
_STATUS = Path(toolchain.__file__).parent / "native" / "status.h"


def header(library: str, kernels: tuple[Kernel, ...], core_name: str, target: str) -> str:
    """The text of the header.  library: its name, the prefix of its functions.  target: as the compiler
    calls it, for people.
    """
    guard = f"{library.upper()}_VERTEBRA_H"
    names = ", ".join(kernel.name for kernel in kernels)
    return f"""\
{_comment(f"Kernels {names} for core {core_name} ({target}).")}
#ifndef {guard}
#define {guard}

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{_status()}
/* What the calling thread's last launch that did not return VERTEBRA_OK says: the kernel, and what is wrong
 * with which numbers.  The text is valid until the thread's next such launch. */
const char *{library}_message(void);

/* Where kernels print, a line at a time and from any thread; NULL is standard output, as at first.
 * To be called while no kernel runs. */
void {library}_print_to(void (*sink)(const char *line));

{chr(10).join(_kernel(library, kernel) for kernel in kernels)}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _status() -> str:
    return _STATUS.read_text()


def _comment(*paragraphs: str) -> str:
    """The paragraphs as a comment; their own line breaks stay, long lines get more."""
    lines: list[str] = []
    for number, paragraph in enumerate(paragraphs):
        lines += [""] if number else []
        for line in paragraph.splitlines() or [""]:
            indent = re.match(r" *(?:\d+\. )?", line)
            hanging = " " * len(indent[0] if indent else "")
            lines += textwrap.wrap(line, _WIDTH - 3, subsequent_indent=hanging) or [""]
    safe = [line.replace("*/", "* /").replace("/*", "/ *") for line in lines]
    return "/* " + "\n".join(f" * {line}".rstrip() for line in safe)[3:] + " */"


def _kernel(library: str, kernel: Kernel) -> str:
    name = kernel.name
    paragraphs = [f"{name}: {kernel.origin}."]
    if kernel.doc:
        paragraphs.append(kernel.doc)
    if kernel.fixed:
        paragraphs.append(f"Constants: {_values(kernel.fixed)}.")
    paragraphs.append(_specialisations(kernel))
    comment = _comment(*paragraphs)
    count = len(kernel.specialisations)
    return f"""\
{comment}
struct {name}_args {{
{_members(kernel)}
}};

/* Runs grid_x * grid_y * grid_z programs of {name} and returns when all have ended: VERTEBRA_OK, or what
 * went wrong (see {library}_message).  threads: how many run at once, the calling one included; 0 for as
 * many as there are processors.  Any number of threads may launch at once. */
int {name}_launch(const struct {name}_args *args,
                  int32_t grid_x, int32_t grid_y, int32_t grid_z, int32_t threads);

/* The specialisation that a launch with these arguments takes, 1 to {count}, or 0 where none fits. */
int {name}_choose(const struct {name}_args *args);
"""


def _members(kernel: Kernel) -> str:
    lines = []
    for name, kind in kernel.fields.items():
        spelt = "int64_t" if kind == SELECTOR else c_type(kind)
        note = "; ".join(_notes(kernel, name, kind))
        lines.append(f"  {spelt}{'' if spelt.endswith('*') else ' '}{field_name(name)}; /* {note} */")
    return "\n".join(lines) or "  int32_t none_; /* the kernel takes no arguments */"


def _notes(kernel: Kernel, name: str, kind: str):
    """What is to be known of a field."""
    if kind == SELECTOR:
        values = [f"{s.constants[name]:d}" for s in kernel.specialisations]
        yield f"chooses the specialisation: {' or '.join(dict.fromkeys(values))}"
        return
    yield kind + (f", {NOTES[kind]}" if kind in NOTES else "")
    for words, which in _assumptions(kernel, name).items():
        everywhere = len(which) == len(kernel.specialisations)
        yield words if everywhere else f"{words} in specialisation {', '.join(map(str, which))}"


def _assumptions(kernel: Kernel, name: str) -> dict[str, list[int]]:
    """What specialisations take for granted of one field -> their numbers."""
    found: dict[str, list[int]] = {}
    for number, which in enumerate(kernel.specialisations, 1):
        if name in which.multiples:
            found.setdefault("a multiple of 16", []).append(number)
        if name in which.constants:
            found.setdefault(f"always {which.constants[name]}", []).append(number)
    return found


def _specialisations(kernel: Kernel) -> str:
    lines = []
    for number, which in enumerate(kernel.specialisations, 1):
        own = {k: v for k, v in which.constants.items() if k not in kernel.fixed and k not in kernel.fields}
        wants = f"wants {together(kernel.needs(which))}" if kernel.needs(which) else "fits always"
        lines.append(f"  {number}. {f'{_values(own)}: ' if own else ''}{wants}")
    if len(lines) == 1:
        return lines[0].strip().removeprefix("1. ").capitalize() + "."
    return "A launch takes the first of these specialisations that fits:\n" + "\n".join(lines)


def _values(constants) -> str:
    return ", ".join(f"{name} = {value}" for name, value in constants.items())
