"""Libraries of kernels for C programs, as the command line or a description file names them.

A description is a TOML file:

    core = "spacemit-x60"            # by default the current core; --core comes first

    [[kernel]]
    source = "softmax.py:softmax_kernel"      # beside the description
    name = "softmax"                          # in C; by default the kernel's own
    signature = "*fp32, *fp32, i32, i32, i32" # as of --signature
    when = "n <= BLOCK"                       # a condition on integer arguments
    specialisations = [{ constexpr = "BLOCK=256" }, { constexpr = "BLOCK=2048" }]

What stands in a specialisation comes before what its kernel says; constants are put together.
"""

import inspect
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from vertebra.core import bounds, select
from vertebra.core import compile as stages
from vertebra.core.command import read_text
from vertebra.core.errors import ConfigError
from vertebra.core.library import Kernel, Library, Specialisation, build
from vertebra.core.library.build import name_of
from vertebra.core.target import Core
from vertebra.plugins.triton import aot
from vertebra.plugins.triton.launcher import slot_names
from vertebra.plugins.triton.signature import bind

_AGAIN = "_again"
_OPTIONS = ("fast_math", "bounds_check", "debug")
# Key -> the type of its value.
_EVERYWHERE: dict[str, type] = {
    "signature": str,
    "constexpr": str,
    "when": str,
    **dict.fromkeys(_OPTIONS, bool),
}
_OF_KERNEL: dict[str, type] = {"source": str, "name": str, "specialisations": list, **_EVERYWHERE}
_OF_FILE: dict[str, type] = {"core": str, "kernel": list}


@attrs.frozen
class Form:
    """One specialisation as a user asks for it; the fields are those of a description."""

    signature: str = ""
    constexpr: str = ""
    when: str = ""
    fast_math: bool = False
    bounds_check: bool = False
    debug: bool = False

    @property
    def options(self) -> dict[str, bool]:
        return {name: getattr(self, name) for name in _OPTIONS}


@attrs.frozen
class Entry:
    """One kernel of a description.  path, kernel: where it is.  name: in C."""

    path: str
    kernel: str
    name: str
    forms: tuple[Form, ...]


@attrs.frozen
class Description:
    """core: a name, or None where the file names none."""

    core: str | None
    entries: tuple[Entry, ...]


def read_description(path: str) -> Description:
    """The description in the TOML file `path`.  Raises ConfigError, which names the key, or OSError."""
    try:
        data = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    _check(data, _OF_FILE, path)
    kernels = [_entry(item, number, Path(path)) for number, item in enumerate(data.get("kernel", []), 1)]
    return Description(data.get("core"), tuple(kernels))


def _check(table, legal: Mapping[str, type], where: str) -> None:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} is not a table", fix=f"its keys are {', '.join(legal)}")
    for key, value in table.items():
        if key not in legal:
            raise ConfigError(f"{where}: there is no key {key!r}", fix=f"the keys are {', '.join(legal)}")
        if not isinstance(value, legal[key]):
            kind = {str: "a text", bool: "true or false", list: "a list of tables"}[legal[key]]
            raise ConfigError(f"{where}: {key} is {value!r}", fix=f"it has to be {kind}")


def _entry(item, number: int, file: Path) -> Entry:
    where = f"{file}: kernel {number}"
    _check(item, _OF_KERNEL, where)
    source, colon, kernel = item.get("source", "").rpartition(":")
    if not colon:
        raise ConfigError(f"{where} names no source", fix='write source = "FILE.py:KERNEL"')
    common = {key: item[key] for key in _EVERYWHERE if key in item}
    forms = []
    for which, own in enumerate(item.get("specialisations", [{}]), 1):
        _check(own, _EVERYWHERE, f"{where}, specialisation {which}")
        constants = [text for text in (common.get("constexpr"), own.get("constexpr")) if text]
        forms.append(Form(**{**common, **own, "constexpr": ",".join(constants)}))
    if not forms:
        raise ConfigError(f"{where} has no specialisations", fix="leave the key out for a single one")
    return Entry(str(file.parent / source), kernel, item.get("name", kernel), tuple(forms))


def make(entries: Sequence[Entry], core: Core, kind: str, output: str, **options) -> Library:
    """The library of `entries`; the name of the file `output` names it too.

    kind, options: as of `vertebra.core.library.build`.  Raises ConfigError, CompileError, ToolError, OSError.
    """
    return build(name_of(output), kind, tuple(kernel_of(entry, core) for entry in entries), core, **options)


def kernel_of(entry: Entry, core: Core) -> Kernel:
    """Every specialisation of `entry`, compiled."""
    fn = aot.load_kernel(entry.path, entry.kernel)
    return kernel_from(fn, entry.name, entry.forms, core)


def kernel_from(fn, name: str, forms: Sequence[Form], core: Core) -> Kernel:
    """The JIT function `fn` in all its `forms`, as kernel `name` of a library."""
    made = tuple(specialise(fn, form, core) for form in forms)
    # Those of a check of bounds have no parameter in the source.
    parameters = dict.fromkeys([p.name for p in fn.params] + [p for s in made for p in s.arguments])
    file = os.path.basename(inspect.getsourcefile(fn.fn) or "-")
    origin = f"{fn.__name__} in {file}, line {inspect.getsourcelines(fn.fn)[1]}"
    return Kernel(name, origin, tuple(parameters), made, inspect.cleandoc(fn.fn.__doc__ or ""))


def specialise(fn, form: Form, core: Core) -> Specialisation:
    """The JIT function `fn` in one form.  Raises ConfigError, CompileError."""
    from vertebra.plugins.triton.compiler import argument_types, text_of

    bound = bind(fn.__name__, aot.parameters_of(fn), form.signature, form.constexpr)
    module, chosen = aot.make_ttir(fn, bound, core, form.options)
    kinds = argument_types(module)
    binary = stages.compile(
        text_of(module), core, chosen.code_options(), name=module.get_entry_func_name(), signature=kinds
    )
    names = {arg: slot_names(arg, kind) for arg, kind in bound.runtime.items()}
    slots = tuple(slot for group in names.values() for slot in group)
    typed = dict(zip(slots, kinds, strict=True))
    arguments = {
        arg: tuple((slot, typed[slot]) for slot in group if not slot.endswith(_AGAIN) or len(group) == 1)
        for arg, group in names.items()
    }
    arguments |= {arg: ((arg, kind),) for arg, kind in bound.ones.items()}
    slots = tuple(slot if slot in names else slot.removesuffix(_AGAIN) for slot in slots)
    if binary.bounds:
        hidden = bounds.hidden_names(kinds, tuple(typed))
        extents = zip(hidden, bounds.hidden_types(kinds), strict=True)
        arguments |= {arg: ((arg, kind),) for arg, kind in extents}
        slots += hidden
    return Specialisation(binary, arguments, slots, bound.constants, bound.multiples, form.when)


def core_of(chosen: str | None, description: Description) -> Core:
    """The core that the command line chooses, else the description, else the current one."""
    name = chosen or description.core
    return select.find_core(name) if name else select.current_core()
