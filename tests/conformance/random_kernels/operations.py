"""Operations on tensors: one function for each kind, which writes one line or declines."""

from math import prod

from .accesses import along, constant
from .program import FLOATS, NUMBERS, Builder, Variable, spelt

MOST = 1024  # elements of a tensor
ADD = "@triton.jit\ndef take_sum(a, b):\n    return a + b\n"
SMALLER = "@triton.jit\ndef take_smaller(a, b):\n    return tl.minimum(a, b)\n"
HELPERS = {"take_sum": ADD, "take_smaller": SMALLER}


def _is_number(v: Variable) -> bool:
    return v.dtype in NUMBERS


def _matching(builder: Builder, x: Variable, literal: bool = True) -> str:
    """A second operand for `x`: a variable, a scalar, or a constant.

    literal: a constant takes the type of `x`, as it does beside operators; functions take it for an
    i32 or an f32, so for them it is a tensor.
    """
    y = None if builder.chance(25) else builder.pick(lambda v: v.shape in (x.shape, ()) and _is_number(v))
    if y is None:
        number = constant(builder, x.dtype)
        return number if literal else f"tl.full({x.shape}, {number}, {spelt(x.dtype)})"
    return y.name if y.dtype == x.dtype else f"{y.name}.to({spelt(x.dtype)})"


def arithmetic(builder: Builder) -> Variable | None:
    x = builder.pick(_is_number)
    if x is None:
        return None
    symbols = ["+", "-", "*"]
    symbols += ["/", "%"] if x.dtype in FLOATS else ["&", "|", "^", "//", "%", "<<", ">>"]
    symbol = builder.choose(symbols)
    y = constant(builder, "u8") if symbol in ("<<", ">>") and builder.chance(60) else _matching(builder, x)
    if symbol in ("<<", ">>"):
        y = f"({y} & {int(x.dtype[1:]) - 1})"
        if y[1:-1].split(" ")[0].lstrip("-").isdigit():
            y = str(int(y[1:-1].split(" ")[0]) % int(x.dtype[1:]))
    elif y.startswith("-"):
        y = f"({y})"
    dtype = "f32" if symbol in "/%" and x.dtype in ("f16", "bf16") else x.dtype
    if builder.chance(15) and symbol not in ("<<", ">>"):
        return builder.let(f"{y} {symbol} {x.name}", dtype, x.shape)
    return builder.let(f"{x.name} {symbol} {y}", dtype, x.shape)


def mixed(builder: Builder) -> Variable | None:
    """Operands of two types; Triton's rules promote."""
    from .numbers import promote

    x = builder.pick(_is_number)
    y = x and builder.pick(lambda v: _is_number(v) and v.shape == x.shape and v.dtype != x.dtype)
    if y is None:
        return None
    dtype = promote(x.dtype, y.dtype)
    return builder.let(f"{x.name} {builder.choose('+-*')} {y.name}", dtype, x.shape)


def functions(builder: Builder) -> Variable | None:
    x = builder.pick(_is_number)
    if x is None:
        return None
    y = _matching(builder, x, literal=False)
    if builder.chance(25):
        dtype = "f32" if x.dtype == "bf16" else x.dtype
        return builder.let(f"tl.{builder.choose(('maximum', 'minimum'))}({x.name}, {y})", dtype, x.shape)
    texts = [f"{x.name} + {x.name}"]
    if x.dtype[0] != "u":
        texts += [f"-{x.name}", f"tl.abs({x.name})"]
    if x.dtype not in FLOATS:
        texts += [f"~{x.name}"]
    if x.dtype in ("f32", "f64"):
        texts += [f"tl.floor({x.name})", f"tl.ceil({x.name})", f"tl.clamp({x.name}, -2.0, 3.0)"]
        texts += [f"tl.fma({x.name}, {x.name}, {x.name})"]
        bounded = f"tl.minimum(tl.abs({x.name}), 6.0)"
        texts += [f"tl.{f}({bounded})" for f in ("exp", "exp2", "sin", "cos", "sqrt", "sigmoid")]
        texts += [f"tl.log({bounded} + 1.0)", f"tl.rsqrt({bounded} + 0.5)"]
    return builder.let(builder.choose(texts), x.dtype, x.shape)


def comparison(builder: Builder) -> Variable | None:
    x = builder.pick(_is_number)
    if x is None:
        return None
    symbol = builder.choose(["<", "<=", ">", ">=", "==", "!="])
    return builder.let(f"{x.name} {symbol} {_matching(builder, x)}", "i1", x.shape)


def logic(builder: Builder) -> Variable | None:
    x = builder.pick(lambda v: v.dtype == "i1")
    y = x and builder.pick(lambda v: v.dtype == "i1" and v.shape == x.shape)
    if x is None:
        return None
    if builder.chance(30):
        return builder.let(f"~{x.name}", "i1", x.shape)
    return builder.let(f"{x.name} {builder.choose('&|^')} {y.name}", "i1", x.shape)


def select(builder: Builder) -> Variable | None:
    c = builder.pick(lambda v: v.dtype == "i1")
    x = c and builder.pick(lambda v: _is_number(v) and v.shape == c.shape)
    if x is None:
        return None
    y = _matching(builder, x, literal=False)
    first, second = (x.name, y) if not builder.chance(50) else (y, x.name)
    return builder.let(f"tl.where({c.name}, {first}, {second})", x.dtype, x.shape)


def cast(builder: Builder) -> Variable | None:
    x = builder.pick(lambda v: _is_number(v) or v.dtype == "i1")
    if x is None:
        return None
    if builder.chance(10) and x.dtype != "i1":
        bits = {"f16": 16, "bf16": 16, "f32": 32, "f64": 64}
        size = bits.get(x.dtype) or int(x.dtype[1:])
        same = [t for t in NUMBERS if (bits.get(t) or int(t[1:])) == size and t != x.dtype]
        to = builder.choose(same)
        return builder.let(f"{x.name}.to({spelt(to)}, bitcast=True)", to, x.shape)
    to = builder.choose((*NUMBERS, "f32", "i32", "f32", "i32"))
    return builder.let(f"{x.name}.to({spelt(to)})", to, x.shape)


def _reduced(shape, axis: int, keep: bool):
    return shape[:axis] + ((1,) if keep else ()) + shape[axis + 1 :]


def reduction(builder: Builder) -> Variable | None:
    x = builder.pick(lambda v: _is_number(v) and v.shape != ())
    if x is None:
        return None
    axis = builder.number(0, len(x.shape) - 1)
    keep = builder.chance(20)
    shape = _reduced(x.shape, axis, keep)
    rest = f"{x.name}, {axis}"
    kinds = ["sum", "max", "min"]
    if x.dtype not in FLOATS:
        kinds.append("xor_sum")
    if x.dtype in ("i32", "f32", "i64", "f64"):
        kinds += ["argmax", "argmin", "take_smaller"]
    if x.dtype in ("i32", "u32", "i64", "u64", "f32"):
        kinds.append("take_sum" if x.dtype != "f32" else "take_smaller")
    kind = builder.choose(kinds)
    if kind in HELPERS:
        builder.helpers.add(kind)
        keeps = ", keep_dims=True" if keep else ""
        return builder.let(f"tl.reduce({rest}, {kind}{keeps})", x.dtype, shape)
    if kind in ("argmax", "argmin"):
        return builder.let(f"tl.{kind}({rest})", "i32", _reduced(x.shape, axis, False))
    if builder.chance(10):
        rest, shape, keep = x.name, (), False
    keeps = ", keep_dims=True" if keep else ""
    return builder.let(f"tl.{kind}({rest}{keeps}).to({spelt(x.dtype)})", x.dtype, shape)


def scan(builder: Builder) -> Variable | None:
    x = builder.pick(lambda v: v.dtype in ("i32", "i64", "u32", "f32", "f64") and v.shape != ())
    if x is None:
        return None
    axis = builder.number(0, len(x.shape) - 1)
    backwards = ", reverse=True" if builder.chance(30) else ""
    if builder.chance(40):
        builder.helpers.add("take_smaller")
        return builder.let(
            f"tl.associative_scan({x.name}, {axis}, take_smaller{backwards})", x.dtype, x.shape
        )
    return builder.let(f"tl.cumsum({x.name}, axis={axis}{backwards})", x.dtype, x.shape)


def shaping(builder: Builder) -> Variable | None:
    x = builder.pick(lambda v: (_is_number(v) or v.dtype == "i1") and v.shape != ())
    if x is None:
        return None
    rank = len(x.shape)
    found = []
    if rank < 3:
        for d in range(rank + 1):
            found.append((f"tl.expand_dims({x.name}, {d})", (*x.shape[:d], 1, *x.shape[d:])))
    if rank == 2:
        found.append((f"tl.trans({x.name})", x.shape[::-1]))
    if rank == 3:
        order = builder.choose([(0, 2, 1), (2, 1, 0), (1, 0, 2), (1, 2, 0), (2, 0, 1)])
        found.append((f"tl.permute({x.name}, {order})", tuple(x.shape[d] for d in order)))
    total = prod(x.shape)
    inner = builder.choose([n for n in (1, 2, 4, 8, 16, 32) if total % n == 0])
    found.append((f"tl.reshape({x.name}, ({total // inner}, {inner}))", (total // inner, inner)))
    found.append((f"tl.reshape({x.name}, ({total},))", (total,)))
    ones = [d for d in range(rank) if x.shape[d] == 1]
    if ones:
        size = builder.choose([n for n in (2, 4, 8, 16) if n * total <= MOST] or [1])
        shape = tuple(size if d == ones[0] else n for d, n in enumerate(x.shape))
        found += [(f"tl.broadcast_to({x.name}, {shape})", shape)] * 3
    if x.dtype != "i1":
        if total * 2 <= MOST and rank < 3:
            y = builder.pick(lambda v: v.dtype == x.dtype and v.shape == x.shape)
            found.append((f"tl.join({x.name}, {y.name})", (*x.shape, 2)))
            found.append((f"tl.interleave({x.name}, {y.name})", (*x.shape[:-1], 2 * x.shape[-1])))
        d = builder.number(0, rank - 1)
        if x.shape[d] > 1:
            found.append((f"tl.flip({x.name}, {d})", x.shape))
        if rank > 1 and x.shape[-1] == 2:
            found.append((f"tl.split({x.name})[{builder.number(0, 1)}]", x.shape[:-1]))
        index = f"({along(builder, x.shape, d)} * 3 + 1) % {x.shape[d]}"
        found.append((f"tl.gather({x.name}, tl.broadcast_to({index}, {x.shape}), {d})", x.shape))
    text, shape = builder.choose(found)
    return builder.let(text, x.dtype, shape)


def outer(builder: Builder) -> Variable | None:
    """Two vectors across each other."""
    x = builder.pick(lambda v: _is_number(v) and len(v.shape) == 1)
    y = x and builder.pick(
        lambda v: v.dtype == x.dtype and len(v.shape) == 1 and v.shape[0] * x.shape[0] <= MOST
    )
    if y is None:
        return None
    shape = (x.shape[0], y.shape[0])
    symbol = builder.choose(["+", "*", "-", "<"])
    dtype = "i1" if symbol == "<" else x.dtype
    return builder.let(f"{x.name}[:, None] {symbol} {y.name}[None, :]", dtype, shape)


def dot(builder: Builder) -> Variable | None:
    a = builder.pick(lambda v: len(v.shape) == 2 and v.dtype in ("f16", "bf16", "f32", "f64", "i8"))
    if a is None:
        return None
    b = builder.pick(
        lambda v: (
            len(v.shape) == 2
            and v.dtype == a.dtype
            and v.shape[0] == a.shape[1]
            and a.shape[0] * v.shape[1] <= MOST
        )
    )
    if b is None or builder.chance(20):
        right, n = f"tl.trans({a.name})", a.shape[0]
        if n * n > MOST:
            return None
    else:
        right, n = b.name, b.shape[1]
    out = {"i8": "i32", "f64": "f64"}.get(a.dtype, "f32")
    shape = (a.shape[0], n)
    acc = builder.pick(lambda v: v.dtype == out and v.shape == shape)
    start = f", {acc.name}" if acc is not None and builder.chance(50) else ""
    precision = ', input_precision="ieee"' if a.dtype == "f32" else ""
    kind = f", out_dtype={spelt(out)}" if a.dtype in ("f64", "i8") else ""
    return builder.let(f"tl.dot({a.name}, {right}{start}{precision}{kind})", out, shape)


def indices(builder: Builder) -> Variable | None:
    """The place of each element along one dimension."""
    x = builder.pick(lambda v: v.shape != () and v.dtype != "pointer")
    if x is None:
        return None
    d = builder.number(0, len(x.shape) - 1)
    text = along(builder, x.shape, d)
    return builder.let(f"tl.broadcast_to({text}, {x.shape})", "i32", x.shape)


def sorting(builder: Builder) -> Variable | None:
    x = builder.pick(lambda v: v.dtype in ("i32", "i16", "f32") and v.shape != () and v.shape[-1] <= 32)
    if x is None:
        return None
    down = ", descending=True" if builder.chance(40) else ""
    return builder.let(f"tl.sort({x.name}{down})", x.dtype, x.shape)


OPERATIONS = (
    *(arithmetic,) * 6,
    *(functions,) * 4,
    *(shaping,) * 4,
    *(comparison, select, cast, reduction) * 3,
    *(mixed, logic, scan, outer, dot, indices) * 2,
    sorting,
)
