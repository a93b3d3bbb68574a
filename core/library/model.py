"""What a library holds: kernels, each in one or more specialisations, and which of them fits a launch.

Every run-time argument is a field of the kernel's struct.  A specialisation may assume something of a
field; a launch takes the first specialisation whose assumptions hold.
"""

import functools
import re
from collections.abc import Mapping, Sequence

import attrs

from vertebra.core.errors import ConfigError
from vertebra.core.header import field_name
from vertebra.core.library import conditions
from vertebra.core.library.conditions import Need
from vertebra.core.runtime import Binary


@attrs.frozen
class Specialisation:
    """One compiled form of a kernel.

    arguments: parameter -> its fields, (name, Triton's type name) each, of every parameter that has a type.
    slots: the fields that fill the slots of the binary, in order.  constants: parameter -> value; one that
    has a type, too, is a field that must have this value.  multiples: parameters that are multiples of 16.
    when: a condition as `conditions.parse` takes it, or "".
    """

    binary: Binary
    arguments: Mapping[str, tuple[tuple[str, str], ...]]
    slots: tuple[str, ...]
    constants: Mapping[str, object]
    multiples: frozenset[str] = frozenset()
    when: str = ""


@attrs.frozen
class Kernel:
    """name: in C.  origin: where its source is, and its name there.  parameters: their names, in order.
    doc: what it does, in the author's words.  Raises ConfigError where its specialisations contradict each
    other.
    """

    name: str
    origin: str
    parameters: tuple[str, ...]
    specialisations: tuple[Specialisation, ...]
    doc: str = ""

    def __attrs_post_init__(self):
        if field_name(self.name) != self.name or not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]*", self.name):
            raise ConfigError(
                f"kernel {self.name!r} ({self.origin}) has a name that C does not take",
                fix='give it another: name = "..."',
            )
        self._check_order()

    @functools.cached_property
    def fields(self) -> dict[str, str]:
        """Field -> Triton's type name, or "selector" for a constant that the caller chooses; in order."""
        found: dict[str, str] = {}
        for parameter in self.parameters:
            for name, kind in self._fields_of(parameter):
                if field_name(name) in map(field_name, found):
                    raise ConfigError(f"kernel {self.name}: two arguments are called {name} in C")
                found[name] = kind
        return found

    def _fields_of(self, parameter: str) -> tuple[tuple[str, str], ...]:
        kinds = list(dict.fromkeys(s.arguments[parameter] for s in self._with_type(parameter)))
        if len(kinds) > 1:
            spelt = " and ".join(kind for parts in kinds for _, kind in parts[:1])
            raise ConfigError(
                f"kernel {self.name}: argument {parameter} is {spelt} in different specialisations, "
                "and a C struct has one type for it",
                fix='make them kernels of their own, with another name = "..." for each type',
            )
        if kinds:
            return kinds[0]
        return ((parameter, conditions.SELECTOR),) if parameter in self.selectors else ()

    def _with_type(self, parameter: str) -> list[Specialisation]:
        return [s for s in self.specialisations if parameter in s.arguments]

    @functools.cached_property
    def selectors(self) -> tuple[str, ...]:
        """Constants that the caller chooses a specialisation by: those in which these differ, unless
        conditions (`when`) choose."""
        if any(s.when for s in self.specialisations):
            return ()
        differing = [
            p
            for p in self.parameters
            if not self._with_type(p) and len({repr(s.constants[p]) for s in self.specialisations}) > 1
        ]
        for parameter in differing:
            for s in self.specialisations:
                if not isinstance(s.constants[parameter], int):
                    raise ConfigError(
                        f"kernel {self.name}: its specialisations differ in {parameter}, which is "
                        f"{s.constants[parameter]!r} in one, and C chooses by integers only",
                        fix='say when each fits (when = "n <= 256"), or make them kernels of their own',
                    )
        return tuple(differing)

    @functools.cached_property
    def fixed(self) -> dict[str, object]:
        """The constants that are the same in all specialisations, and no field."""
        first, *others = self.specialisations
        return {
            name: value
            for name, value in first.constants.items()
            if name not in self.fields and all(repr(s.constants[name]) == repr(value) for s in others)
        }

    def needs(self, which: Specialisation) -> list[Need]:
        """What a launch must fulfil, so that `which` fits."""
        found = [
            conditions.multiple(p, which.arguments[p][0][1]) for p in self.parameters if p in which.multiples
        ]
        for parameter, value in which.constants.items():
            if parameter in self.fields:
                found.append(conditions.equal(parameter, self.fields[parameter], value, self.name))
        if which.when:
            integers = {p: k for p, k in self.fields.items() if conditions.is_integer(k)}
            found.append(conditions.parse(which.when, integers, which.constants, self.name))
        return found

    def _check_order(self) -> None:
        """Raises ConfigError for a specialisation that no launch can reach."""
        tests = [frozenset(need.test for need in self.needs(s)) for s in self.specialisations]
        for later, wanted in enumerate(tests):
            for earlier in range(later):
                if tests[earlier] == wanted:
                    raise ConfigError(
                        f"kernel {self.name}: specialisations {earlier + 1} and {later + 1} fit the same "
                        "launches",
                        fix="leave one out, or let them differ in a hint (:16, :1), in an integer constant, "
                        'or in when = "..."',
                    )
                if tests[earlier] < wanted:
                    raise ConfigError(
                        f"kernel {self.name}: specialisation {later + 1} is never chosen, as {earlier + 1}, "
                        "which assumes less, comes before it",
                        fix=f"put {later + 1} first",
                    )


def check_names(kernels: Sequence[Kernel]) -> None:
    """Raises ConfigError where two kernels have one name, or there is none."""
    if not kernels:
        raise ConfigError("a library without kernels", fix="name some: [[kernel]] source = 'FILE.py:KERNEL'")
    seen: dict[str, Kernel] = {}
    for kernel in kernels:
        if kernel.name in seen:
            raise ConfigError(
                f"two kernels are called {kernel.name}: {seen[kernel.name].origin} and {kernel.origin}",
                fix='give one another name: name = "..."',
            )
        seen[kernel.name] = kernel
