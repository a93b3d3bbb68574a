"""Loads and stores with offsets and masks of every kind, always inside their array."""

from math import prod

from .program import FLOATS, Builder, Variable, spelt


def along(builder: Builder, shape, d: int) -> str:
    """arange along dimension `d`, shaped so that it broadcasts to `shape`."""
    key = ", ".join(":" if k == d else "None" for k in range(len(shape)))
    text = f"tl.arange(0, {shape[d]})"
    return text if len(shape) == 1 else f"{text}[{key}]"


def constant(builder: Builder, dtype: str) -> str:
    """A number that the type holds exactly."""
    if dtype in FLOATS:
        return str(builder.number(-8, 8) / 2)
    if dtype == "i1":
        return builder.choose(["False", "True"])
    return str(builder.number(0 if dtype[0] == "u" else -9, 100))


def _term(at: str, stride: str) -> str:
    return at if stride == "1" else f"{at} * {stride}"


def affine(builder: Builder, shape, room: int, distinct: bool) -> tuple[str, int, list[str]]:
    """(text, largest value, guards): offsets that are a sum over dimensions, none negative.

    distinct: no two elements at the same place.  guards: conditions under which it is < room,
    or an empty list where it always is.
    """
    strides = []
    span = 1
    order = list(range(len(shape)))
    if builder.chance(30):
        order.reverse()
    for d in reversed(order):
        gap = builder.choose([0, 0, 0, 1, 3])
        stride = span + gap
        if not distinct and builder.chance(10):
            stride = 0
        strides.append((d, stride))
        span = max(span, stride * (shape[d] - 1) + span)
    terms, high = [], 0
    for d, stride in sorted(strides):
        reach = stride * (shape[d] - 1)
        high += reach
        if stride and builder.chance(12):
            terms.append(_term(f"({shape[d] - 1} - {along(builder, shape, d)})", builder.scalar(stride, 20)))
        elif stride and builder.chance(10):
            at = along(builder, shape, d)
            terms.append(f"{reach} + {at} * {builder.scalar(-stride, 40)}")
        elif stride:
            terms.append(_term(along(builder, shape, d), builder.scalar(stride, 20)))
        else:
            terms.append(f"{along(builder, shape, d)} * {builder.scalar(0, 30)}")
    if builder.chance(25):
        base = builder.number(1, 9)
        terms.append(builder.scalar(base, 50))
        high += base
    for counter, last in builder.counters.items():
        if builder.chance(40):
            step = builder.choose([1, 2, shape[-1]])
            terms.append(f"{counter} * {builder.scalar(step, 20)}")
            high += step * last
    return " + ".join(terms), high


def irregular(builder: Builder, shape, room: int) -> tuple[str, str] | None:
    """Offsets in [0, room) that no formula gives, and their type."""
    index = builder.pick(lambda v: v.shape == shape and v.dtype in ("i32", "i64", "u8", "i16"))
    if index is None:
        return None
    n = builder.scalar(room)
    wide = index.name if index.dtype in ("i32", "i64") else f"{index.name}.to(tl.int32)"
    dtype = "i64" if index.dtype == "i64" else "i32"
    if index.dtype[0] == "u":
        return f"{wide} % {n}", dtype
    return f"({wide} % {n} + {n}) % {n}", dtype


def mask_text(builder: Builder, offsets: str, shape, room: int, needed: bool) -> str | None:
    """A condition of some kind on `offsets`; where `needed`, it implies offsets < room."""
    parts = []
    if needed or builder.chance(35):
        limit = room if needed and not builder.chance(50) else builder.number(max(1, room // 2), room)
        parts.append(f"({offsets} < {builder.scalar(limit, 60)})")
    if builder.chance(12):
        parts.append(f"({offsets} >= {builder.scalar(builder.number(0, max(1, room // 3)), 50)})")
    if len(shape) > 0 and builder.chance(15):
        d = builder.number(0, len(shape) - 1)
        at = along(builder, shape, d)
        low = builder.number(0, shape[d])
        parts.append(f"({at} {builder.choose(['<', '>=', '!=', '<='])} {builder.scalar(low, 50)})")
    if builder.chance(10):
        condition = builder.pick(lambda v: v.dtype == "i1" and v.shape in (shape, ()))
        if condition is not None:
            parts.append(condition.name if not builder.chance(30) else f"(~{condition.name})")
    if builder.chance(5):
        parts.append(f"({offsets} % 3 != 1)")
    if len(parts) > 1 and not needed and builder.chance(15):
        return " | ".join(parts)
    return " & ".join(parts) or None


def offsets_for(builder: Builder, array: str, shape, distinct: bool) -> tuple[str, str | None]:
    """(text of offsets, text of the mask or None) of an access inside the array."""
    room = builder.room(array)
    if shape == ():
        at = builder.number(0, min(room - 1, 20))
        return builder.scalar(at, 40), None
    kind = builder.number(0, 99)
    if kind >= 92 and not distinct:
        found = irregular(builder, shape, room)
        if found is not None:
            text, dtype = found
            name = builder.let(text, dtype, shape, "o").name
            return name, mask_text(builder, name, shape, room, False)
    text, high = affine(builder, shape, room, distinct)
    if 84 <= kind < 92:
        if not distinct or high < room:
            by = room if high >= room or not distinct else max(high + 1, room)
            if by <= room:
                text, high = f"({text}) % {builder.scalar(by, 50)}", min(high, by - 1)
    elif 78 <= kind < 84 and not distinct:
        by = builder.choose([2, 4, 3])
        text = f"({text}) // {by}" if builder.chance(50) else f"({text}) // {by} * {by}"
    elif 74 <= kind < 78:
        by = builder.choose([1, 2, 4])
        text, high = f"({text}) ^ {by}", high + by
    offsets = builder.let(text, "i32", shape, "o").name
    return offsets, mask_text(builder, offsets, shape, room, high >= room)


def other_text(builder: Builder, dtype: str, shape) -> str:
    kind = builder.number(0, 3)
    if kind == 0:
        return ""
    if kind == 3:
        replacement = builder.pick(lambda v: v.dtype == dtype and v.shape == shape)
        if replacement is not None:
            return f", other={replacement.name}"
    return f", other={constant(builder, dtype)}"


def load(builder: Builder, array: str, shape) -> Variable:
    dtype = builder.dtype_of(array)
    if shape and builder.chance(12):
        return block_load(builder, array, shape)
    offsets, mask = offsets_for(builder, array, shape, False)
    rest = "" if mask is None else f", mask={mask}{other_text(builder, dtype, shape)}"
    pointer = f"{array} + {offsets}"
    if shape and builder.chance(10):
        pointer = builder.let(pointer, "pointer", shape, "p").name
    return builder.let(f"tl.load({pointer}{rest})", dtype, shape)


def store(builder: Builder, array: str, value: Variable) -> None:
    dtype = builder.dtype_of(array)
    text = value.name if value.dtype == dtype else f"{value.name}.to({spelt(dtype)})"
    if value.shape and builder.chance(12):
        pointer, checked = block_pointer(builder, array, value.shape)
        builder.write(f"tl.store({pointer}, {text}{_boundary(checked)})")
        return
    offsets, mask = offsets_for(builder, array, value.shape, not builder.chance(5))
    rest = "" if mask is None else f", mask={mask}"
    builder.write(f"tl.store({array} + {offsets}, {text}{rest})")


def atomic(builder: Builder, array: str, value: Variable) -> None:
    """Changes each place at most once, so that the result is known."""
    dtype = builder.dtype_of(array)
    kinds = {"i32": ("add", "max", "min", "xor", "xchg"), "i64": ("add", "xor"), "u32": ("max", "add")}
    kind = builder.choose(kinds.get(dtype, ("add",)))
    offsets, mask = offsets_for(builder, array, value.shape, True)
    rest = "" if mask is None else f", mask={mask}"
    text = value.name if value.dtype == dtype else f"{value.name}.to({spelt(dtype)})"
    builder.let(f"tl.atomic_{kind}({array} + {offsets}, {text}{rest})", dtype, value.shape)


def _boundary(checked) -> str:
    return f", boundary_check=({''.join(f'{d}, ' for d in checked)})" if checked else ""


def block_pointer(builder: Builder, array: str, shape) -> tuple[str, list[int]]:
    """(name, dimensions to check) of a block pointer that stays inside the array when checked."""
    room = builder.room(array)
    rank = len(shape)
    extents = [builder.number(max(1, n // 2), n + n // 2) for n in shape]
    while prod(extents) > room:
        largest = max(range(rank), key=lambda d: extents[d])
        extents[largest] //= 2
    strides, step = [0] * rank, 1
    order = list(range(rank))[:: -1 if builder.chance(70) else 1]
    for d in order:
        strides[d] = step
        step *= extents[d]
    offsets = [builder.number(-2, 3) if builder.chance(30) else 0 for _ in shape]
    always = builder.chance(30)
    checked = [d for d in range(rank) if always or offsets[d] < 0 or offsets[d] + shape[d] > extents[d]]
    texts = [", ".join(builder.scalar(v, 25) for v in vs) + "," for vs in (extents, strides, offsets)]
    name = builder.fresh("b")
    where = ", ".join(f"({text})" for text in texts)
    builder.write(f"{name} = tl.make_block_ptr({array}, {where}, {tuple(shape)}, {tuple(order)})")
    return name, checked


def block_load(builder: Builder, array: str, shape) -> Variable:
    pointer, checked = block_pointer(builder, array, shape)
    padding = ', padding_option="zero"' if checked and builder.chance(80) else ""
    return builder.let(f"tl.load({pointer}{_boundary(checked)}{padding})", builder.dtype_of(array), shape)
