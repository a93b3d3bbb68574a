"""From Triton's bound arguments to a runtime's launch.

For each compiled kernel one function is written and compiled, which hands over the
run-time arguments in slot order: constants are left out, tuples and tensor descriptors
taken apart.
"""

import re

_DESCRIPTOR = re.compile(r"tensordesc<[^\[]*\[([^\]]*)\]")


def make_launcher(src, metadata):
    """What Triton calls to launch the kernel of `src`; Triton's `launcher_cls`.

    Its arguments: the grid's three sizes, stream, the loaded kernel (`LoadedKernel`), packed
    metadata, launch metadata, the enter and exit hooks, and all of the kernel's arguments.
    """
    names, values = [], []
    for number, kind in enumerate(src.signature.values()):
        names.append(f"a{number}")
        values += _slots(f"a{number}", kind)
    parameters = ["x", "y", "z", "stream", "kernel", "packed", "info", "enter", "leave", *names]
    lines = [
        f"def launch({', '.join(parameters)}):",
        "    if enter is not None and getattr(enter, 'calls', True): enter(info)",
        f"    kernel.launch((x, y, z), ({''.join(value + ', ' for value in values)}))",
        "    if leave is not None and getattr(leave, 'calls', True): leave(info)",
    ]
    namespace: dict = {}
    exec("\n".join(lines), namespace)
    return namespace["launch"]


def _slots(arg: str, kind) -> list[str]:
    """Python expressions for the slots of the argument in variable `arg`."""
    if isinstance(kind, tuple):
        return [slot for i, part in enumerate(kind) for slot in _slots(f"{arg}[{i}]", part)]
    if kind == "constexpr":
        return []
    found = _DESCRIPTOR.match(kind)
    if not found:
        return [arg]
    axes = range(found[1].count(",") + 1)
    shape = [f"{arg}.shape[{i}]" for i in axes]
    strides = [f"{arg}.strides[{i}]" for i in axes]
    # Triton's rewriting of descriptors gives the kernel sizes and strides twice.
    flags = [f"{arg}.padding == 'nan'", f"{arg}.round_f32_to_tf32"]
    return [f"{arg}.base", *shape, *strides, *flags, *shape, *strides]


def slot_names(arg: str, kind) -> list[str]:
    """A C name for each slot of the argument `arg`, in the order of `_slots`."""
    if isinstance(kind, tuple):
        return [slot for i, part in enumerate(kind) for slot in slot_names(f"{arg}_{i}", part)]
    if kind == "constexpr":
        return []
    found = _DESCRIPTOR.match(kind)
    if not found:
        return [arg]
    axes = range(found[1].count(",") + 1)
    sizes, strides = ([f"{arg}_{word}{i}" for i in axes] for word in ("size", "stride"))
    again = [f"{name}_again" for name in (*sizes, *strides)]
    return [arg, *sizes, *strides, f"{arg}_pads_with_nan", f"{arg}_rounds_to_tf32", *again]
