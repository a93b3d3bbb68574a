"""The Hypothesis strategy: a whole kernel, block by block."""

import contextlib

from hypothesis import strategies as st

from .accesses import affine, atomic, constant, load, store
from .operations import HELPERS, OPERATIONS
from .program import NUMBERS, Builder, Program, Variable, spelt

_SIZES = (16, 8, 4, 32, 2, 64, 1, 128, 256)
_LEAST = ("f32", "i32", "f32", "f16", "i8", "f64", "u8", "i64", "bf16", "i16", "u32", "u16", "u64")


@contextlib.contextmanager
def block(builder: Builder):
    """The lines of a block, with a scope of their own; never empty."""
    scope, builder.scope = builder.scope, list(builder.scope)
    views = dict(builder.views)
    builder.depth += 1
    start = len(builder.lines)
    yield
    if len(builder.lines) == start:
        builder.write("pass")
    builder.depth -= 1
    builder.scope, builder.views = scope, views


def shape_of(builder: Builder) -> tuple[int, ...]:
    kind = builder.number(0, 9)
    if kind < 5:
        return (builder.choose(_SIZES),)
    if kind < 9:
        return (builder.choose(_SIZES[:5]), builder.choose(_SIZES[:6]))
    return tuple(builder.choose((4, 2, 8, 1)) for _ in range(3))


def new_array(builder: Builder) -> str:
    dtype = builder.choose(_LEAST)
    fill = builder.choose(("small", "small", "wide", "special"))
    size = builder.number(40, 700) if builder.chance(60) else builder.choose((64, 128, 256, 512, 1024))
    return builder.array(dtype, size, fill)


def overlapping(builder: Builder) -> None:
    """An argument inside the memory of another."""
    name = builder.choose(builder.arrays)
    region, at = builder.arrays[name]
    by = builder.choose((1, 0, 2, 7, 16))
    if builder.room(name) > by + 30:
        builder.array("", 0, region=region, at=at + by)


def operation(builder: Builder) -> None:
    for _ in range(4):
        if builder.choose(OPERATIONS)(builder) is not None:
            return


def memory_access(builder: Builder) -> None:
    array = builder.choose(builder.places())
    value = builder.pick(lambda v: v.dtype in NUMBERS) if builder.chance(40) else None
    if value is not None and builder.dtype_of(array) in ("i32", "f32", "i64", "u32") and builder.chance(12):
        atomic(builder, array, value)
        return
    if value is not None:
        store(builder, array, value)
        return
    seen = builder.pick(lambda v: v.dtype != "pointer")
    load(builder, array, seen.shape if seen is not None and not builder.chance(25) else shape_of(builder))


def statements(builder: Builder, most: int, nesting: int) -> None:
    for _ in range(builder.number(1, most)):
        kind = builder.number(0, 99)
        if kind < 55:
            operation(builder)
        elif kind < 82 or nesting == 0:
            memory_access(builder)
        elif kind < 85:
            chosen_pointer(builder)
        elif kind < 89:
            branch(builder, nesting - 1)
        elif kind < 98:
            loop(builder, nesting - 1)
        else:
            while_loop(builder, nesting - 1)


def scalar_condition(builder: Builder) -> str:
    known = builder.pick(lambda v: v.dtype == "i1" and v.shape == ())
    if known is not None and not builder.chance(40):
        return known.name
    if builder.counters and builder.chance(70):
        return f"{builder.choose(builder.counters)} % 2 == {builder.number(0, 1)}"
    number = builder.pick(lambda v: v.dtype in ("i32", "i64") and v.shape == ())
    if number is not None and builder.chance(70):
        return f"{number.name} > {builder.number(-3, 9)}"
    return f"{builder.scalar(builder.number(0, 3), 100)} < {builder.number(0, 3)}"


def carried(builder: Builder, most: int) -> list[Variable]:
    """Variables that a block reassigns; each a copy under a name of its own.

    No two start with the same value, whatever folds to what: of two that do, where one yields the
    other, the canonicaliser in Triton 3.7 takes the first for a constant.  So all but the first
    start off by an argument of their own.
    """
    found: list[Variable] = []
    for _ in range(builder.number(0, most)):
        v = builder.pick(lambda v: v.dtype in NUMBERS and v not in found)
        if v is not None:
            text = v.name
            if builder.chance(30):
                text = f"tl.full({v.shape}, {constant(builder, v.dtype)}, {spelt(v.dtype)})"
            if found:
                # 1 would be a constant.
                text = f"({text} + {builder.scalar(len(found) + 1, 100)}).to({spelt(v.dtype)})"
            found.append(builder.let(text, v.dtype, v.shape, "c"))
    return found


def reassign(builder: Builder, variables: list[Variable]) -> None:
    """New values of the same types."""
    names = {v.name for v in variables}
    for c in variables:
        if builder.chance(10):
            continue
        v = builder.pick(lambda v, c=c: v.dtype in NUMBERS and v.shape in (c.shape, ()))
        text = v.name if v.dtype == c.dtype else f"{v.name}.to({spelt(c.dtype)})"
        if v.shape != c.shape:
            text = f"{c.name} + {text}"
        elif v.name not in names and not builder.chance(40):
            symbol = builder.choose(["+", "-", "+", "^"] if c.dtype[0] in "iu" else ["+", "-", "+"])
            text = f"{c.name} {symbol} {text}"
        builder.write(f"{c.name} = {text}")
    if len(variables) > 1 and builder.chance(20):
        x, y = variables[:2]
        if (x.dtype, x.shape) == (y.dtype, y.shape):
            builder.write(f"{x.name}, {y.name} = {y.name}, {x.name}")


def branch(builder: Builder, nesting: int) -> None:
    condition = scalar_condition(builder)
    variables = carried(builder, 2)
    builder.write(f"if {condition}:")
    with block(builder):
        statements(builder, 3, nesting)
        reassign(builder, variables)
    if builder.chance(50):
        builder.write("else:")
        with block(builder):
            statements(builder, 3, nesting)
            reassign(builder, variables)


def moving(builder: Builder, trips: int) -> tuple[str, str, tuple, str] | None:
    """(name, step, shape, array) of a tensor of pointers that every turn moves; written before the loop."""
    array = builder.choose(builder.places())
    seen = builder.pick(lambda v: v.shape != () and v.dtype != "pointer")
    if seen is None:
        return None
    step = builder.choose((1, 2, 8, 16, 3))
    text, high = affine(builder, seen.shape, builder.room(array), False)
    if high + step * trips >= builder.room(array):
        return None
    name = builder.fresh("p")
    if builder.chance(25):
        builder.write(f"{name} = {array} + ({text} + {step * trips})")
        return name, f"(-{builder.scalar(step, 40)})", seen.shape, array
    builder.write(f"{name} = {array} + ({text})")
    return name, builder.scalar(step, 40), seen.shape, array


def walking(builder: Builder, trips: int) -> list[str]:
    """Scalar pointers to start from that change in every turn; the lines that change them."""
    array = builder.choose(builder.places())
    dtype, room = builder.dtype_of(array), builder.room(array)
    alike = [a for a in builder.places() if a != array and builder.dtype_of(a) == dtype]
    name = builder.fresh("q")
    if alike and builder.chance(50):
        second, other = builder.fresh("q"), builder.choose(alike)
        room = min(room, builder.room(other))
        builder.write(f"{name}, {second} = {array}, {other}")
        builder.views |= {name: (dtype, room), second: (dtype, room)}
        return [f"{name}, {second} = {second}, {name}"]
    step = builder.choose((1, 4, 16, 3))
    if room <= step * trips + 16:
        return []
    back = builder.chance(30)
    builder.write(f"{name} = {array} + {step * trips}" if back else f"{name} = {array} + 0")
    builder.views[name] = dtype, room - step * trips
    return [f"{name} -= {step}" if back else f"{name} += {builder.scalar(step, 50)}"]


def chosen_pointer(builder: Builder) -> None:
    """A scalar pointer to one of two arrays."""
    array = builder.choose(builder.places())
    dtype = builder.dtype_of(array)
    other = builder.choose([a for a in builder.places() if builder.dtype_of(a) == dtype])
    name = builder.fresh("q")
    condition = scalar_condition(builder)
    by = builder.choose((0, 1, 8))
    room = min(builder.room(array), builder.room(other) - by)
    if room < 16:
        return
    builder.write(f"{name} = {array}")
    builder.write(f"if {condition}:")
    builder.write(f"    {name} = {other} + {by}")
    builder.views[name] = dtype, room


def loop(builder: Builder, nesting: int) -> None:
    trips = builder.number(0, 4)
    views = dict(builder.views)
    steps = walking(builder, trips) if builder.chance(30) else []
    variables = carried(builder, 3)
    pointer = moving(builder, trips) if builder.chance(40) else None
    counter = builder.fresh("k")
    bounds = builder.scalar(trips, 60)
    step, last = 1, max(0, trips - 1)
    if builder.chance(15) and not pointer and not steps:
        step = builder.choose((2, 3))
        bounds = f"0, {bounds}, {step}"
    outer = dict(builder.counters)
    builder.write(
        f"for {counter} in {builder.choose(('range', 'range', 'tl.range', 'tl.static_range'))}({bounds}):"
        if bounds.isdigit()
        else f"for {counter} in range({bounds}):"
    )
    builder.counters[counter] = last
    with block(builder):
        if pointer is not None:
            name, by, shape, array = pointer
            builder.let(f"tl.load({name})", builder.dtype_of(array), shape)
        statements(builder, 5, nesting)
        reassign(builder, variables)
        if pointer is not None:
            builder.write(f"{name} += {by}")
        for line in steps:
            builder.write(line)
    builder.counters, builder.views = outer, views


def while_loop(builder: Builder, nesting: int) -> None:
    variables = carried(builder, 2)
    counter = builder.fresh("w")
    trips = builder.number(0, 4)
    builder.write(f"{counter} = 0")
    outer = dict(builder.counters)
    builder.write(f"while {counter} < {builder.scalar(trips, 70)}:")
    builder.counters[counter] = max(0, trips - 1)
    with block(builder):
        statements(builder, 3, nesting)
        reassign(builder, variables)
        builder.write(f"{counter} += 1")
    builder.counters = outer


def keep(builder: Builder) -> None:
    """Stores what is still alive into arrays of their own, so that it is seen."""
    candidates = [v for v in builder.scope if v.dtype in (*NUMBERS, "i1")]
    for v in candidates[-6:]:
        size = 1
        for n in v.shape:
            size *= n
        dtype = "i8" if v.dtype == "i1" else v.dtype
        room = builder.number(max(1, size - 7), size + 3) if builder.chance(30) else size
        array = builder.array(dtype, room, "small")
        text = v.name if dtype == v.dtype else f"{v.name}.to(tl.int8)"
        if v.shape == ():
            builder.write(f"tl.store({array}, {text})")
            continue
        terms, stride = [], 1
        for d in reversed(range(len(v.shape))):
            key = ", ".join(":" if k == d else "None" for k in range(len(v.shape)))
            at = f"tl.arange(0, {v.shape[d]})" + (f"[{key}]" if len(v.shape) > 1 else "")
            terms.append(at if stride == 1 else f"{at} * {stride}")
            stride *= v.shape[d]
        offsets = " + ".join(terms)
        mask = f", mask={offsets} < {builder.scalar(room, 70)}" if room < size else ""
        builder.write(f"tl.store({array} + {offsets}, {text}{mask})")


@st.composite
def programs(draw) -> Program:
    """Kernels with one to three inputs, a few statements, and every value that is alive stored."""
    builder = Builder(draw)
    for _ in range(builder.number(1, 3)):
        new_array(builder)
    for _ in range(builder.number(0, 2)):
        if builder.chance(35):
            overlapping(builder)
    shape = shape_of(builder)
    for array in list(builder.arrays):
        load(builder, array, shape)
    statements(builder, 20, 3)
    keep(builder)
    count = builder.choose((1, 1, 2, 3))
    head = []
    if count > 1:
        head = [
            f"    {name} = {name} + tl.program_id(0) * {builder.regions[region].size}"
            for name, (region, _) in builder.arrays.items()
        ]
    parameters = ", ".join([*builder.arrays, *builder.scalars])
    text = "".join(HELPERS[h] + "\n\n" for h in sorted(builder.helpers))
    text += "\n".join(["@triton.jit", f"def kernel({parameters}):", *head, *builder.lines]) + "\n"
    return Program(text, builder.regions, builder.arrays, builder.scalars, count, builder.number(0, 9))
