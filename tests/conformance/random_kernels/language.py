"""Triton's language on the reference's tensors: what a kernel's text means, run as plain Python."""

import functools
import types

import numpy as np

from . import memory, numbers
from .memory import BlockPointer, Pointer
from .numbers import REAL, Tensor, cast, is_float, rounded

TRITON_NAMES = {
    "i1": "int1",
    "f16": "float16",
    "bf16": "bfloat16",
    "f32": "float32",
    "f64": "float64",
    **{f"{sign}{bits}": f"{'u' * (sign == 'u')}int{bits}" for sign in "iu" for bits in (8, 16, 32, 64)},
}


def _values(x):
    return tuple(int(v) for v in x)


def arange(start, end):
    return Tensor("i32", np.arange(start, end))


def full(shape, value, dtype):
    like = Tensor(str(dtype), 0)
    return cast(like.like(value), str(dtype)).map(lambda a: np.broadcast_to(a, _values(shape)))


def zeros(shape, dtype):
    return full(shape, 0, dtype)


def broadcast_to(x, shape):
    return x.map(lambda a: np.broadcast_to(a, _values(shape)))


def expand_dims(x, axis):
    return x.map(lambda a: np.expand_dims(a, axis))


def reshape(x, shape):
    return x.map(lambda a: a.reshape(_values(shape)))


def permute(x, order):
    return x.map(lambda a: a.transpose(_values(order)))


def trans(x):
    return x.map(lambda a: a.swapaxes(-1, -2))


def flip(x, dim):
    return x.map(lambda a: np.flip(a, dim))


def join(x, y):
    return _two(x, y, lambda a, b: np.stack(np.broadcast_arrays(a, b), -1))


def interleave(x, y):
    return _two(x, y, lambda a, b: np.stack([a, b], -1).reshape(*a.shape[:-1], -1))


def split(x):
    return x[..., 0], x[..., 1]


def _two(x, y, function):
    return Tensor(x.dtype, function(x.values, y.values), function(x.error, y.error))


def gather(x, index, axis):
    at = index.decided().astype(np.int64)
    if ((at < 0) | (at >= x.shape[axis])).any():
        raise memory.OutOfBounds
    return x.map(lambda a: np.take_along_axis(a, at, axis))


def where(condition, x, y):
    if isinstance(x, Pointer):
        chosen = condition.decided()
        return Pointer(x.buffer, np.where(chosen, x.offsets, y.offsets))
    return numbers.select(condition, x, y)


def _extremum(function, x, y):
    found = numbers.extremum(function, x, y)
    return cast(found, "f32") if found.dtype == "bf16" else found


def maximum(x, y):
    return _extremum(np.maximum, x, y)


def minimum(x, y):
    return _extremum(np.minimum, x, y)


def clamp(x, low, high):
    return minimum(maximum(x, low), high)


def absolute(x):
    with np.errstate(all="ignore"):
        return Tensor(x.dtype, np.abs(x.values), x.error)


def fma(x, y, z):
    """Both roundings of a multiplication and an addition allowed."""
    product = x * y
    return product + z


def cdiv(x, y):
    return (x + y - 1) // y


def _elementwise(function, ulps, domain=lambda low: low == low):
    """A function that is monotonous, or has slope at most 1 and ups and downs."""

    def apply(x):
        with np.errstate(all="ignore"):
            middle = function(x.values)
            ends = [np.abs(function(x.values + s * x.error) - middle) for s in (-1, 1)]
            error = np.maximum(np.maximum(*ends), np.where(np.isfinite(x.error), 0, np.inf))
            error = np.where(np.isnan(error) & (x.error > 0), np.inf, error)
            error = np.where(x.error > 0, error, 0)
            if function in (np.sin, np.cos):
                error = x.error
            error = np.where(domain(x.values - x.error) | (x.error == 0), error, np.inf)
        return rounded(x.dtype, middle, error, ulps)

    return apply


def _stepwise(function):
    def apply(x):
        with np.errstate(all="ignore"):
            low, high = function(x.values - x.error), function(x.values + x.error)
            return Tensor(x.dtype, function(x.values), np.where((low == high) | (x.error == 0), 0, np.inf))

    return apply


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sum(x, axis=None, keep_dims=False, dtype=None):
    kind = x.dtype
    if not is_float(kind):
        kind = ("u32" if kind[0] == "u" else "i32") if numbers.width(kind) < 32 else kind
    x = cast(x, str(dtype) if dtype else kind)
    return _summed(x, lambda a: np.sum(a, axis=axis, keepdims=keep_dims, dtype=a.dtype))


def cumsum(x, axis=0, reverse=False):
    def scan(a):
        a = np.flip(a, axis) if reverse else a
        a = np.cumsum(a, axis, dtype=a.dtype)
        return np.flip(a, axis) if reverse else a

    return _summed(x, scan)


def _summed(x: Tensor, total) -> Tensor:
    """Sums in any order: exact where no order rounds."""
    with np.errstate(all="ignore"):
        values, error = total(x.values), total(x.error)
        if not is_float(x.dtype):
            return Tensor(x.dtype, values, np.where(error > 0, np.inf, 0))
        size = total(np.abs(x.values))
        exact = (error == 0) & (_quanta(x.values) * size < 2.0 ** numbers.BITS[x.dtype])
        error = np.where(exact, 0, error + x.values.size * np.ldexp(size, 1 - numbers.BITS[x.dtype]))
        error = np.where(np.isfinite(size) & (size < numbers.LARGEST[x.dtype]), error, np.inf)
    return rounded(x.dtype, values, error)


def _quanta(values) -> REAL:
    """The least power of two that makes all values whole numbers, or infinity."""
    finite = values[np.isfinite(values)]
    for k in range(-8, 40, 2):
        if (np.rint(finite * 2.0**k) == finite * 2.0**k).all():
            return REAL(2.0**k)
    return REAL(np.inf)


def dot(a, b, acc=None, input_precision=None, out_dtype=None):
    kind = "f64" if a.dtype == "f64" else "f32" if is_float(a.dtype) else "i32"
    if out_dtype is not None:
        kind = str(out_dtype)
    x, y = cast(a, kind), cast(b, kind)
    with np.errstate(all="ignore"):
        if not is_float(kind):
            values = (x.values.astype(np.int64) @ y.values.astype(np.int64)).astype(np.int32)
            error = np.where(
                (x.error @ np.ones_like(y.error) + np.ones_like(x.error) @ y.error) > 0, np.inf, 0
            )
            product = Tensor("i32", values, np.where(np.isnan(error), np.inf, error))
            return product if acc is None else acc + product
        values = x.values @ y.values
        size = np.abs(x.values) @ np.abs(y.values)
        error = np.abs(x.values) @ y.error + x.error @ np.abs(y.values) + x.error @ y.error
        quanta = _quanta(x.values) * _quanta(y.values)
        exact = (error == 0) & (quanta * size < 2.0 ** numbers.BITS[kind])
        error = np.where(exact, 0, error + (x.shape[-1] + 2) * np.ldexp(size, 1 - numbers.BITS[kind]))
        error = np.where(np.isfinite(size) & ~np.isnan(error), error, np.inf)
    product = rounded(kind, values, error)
    if acc is None:
        return product
    total = acc + product
    # Sums may begin at acc: then each of them is rounded, however exact the products are.
    with np.errstate(all="ignore"):
        most = size + np.abs(acc.values)
        grid = np.maximum(quanta, _quanta(acc.values))
        steady = exact & (total.error == 0) & (grid * most < 2.0 ** numbers.BITS[kind])
        slack = np.where(steady, 0, np.ldexp(most, 1 - numbers.BITS[kind])) * (x.shape[-1] + 2)
    return Tensor(
        kind, total.values, total.error + np.where(np.isnan(slack), np.inf, slack).astype(np.float64)
    )


def _fold(x, axis, keep_dims, combine):
    axes = range(len(x.shape)) if axis is None else [axis]
    moved = x
    for d in sorted(axes, reverse=True):
        parts = [moved.map(lambda a, k=k, d=d: np.take(a, k, d)) for k in range(moved.shape[d])]
        moved = functools.reduce(combine, parts)
    if not keep_dims:
        return moved
    kept = [1 if d in axes else n for d, n in enumerate(x.shape)]
    return reshape(moved, kept)


def _extreme(combine):
    def apply(x, axis=None, keep_dims=False):
        if is_float(x.dtype):
            x = cast(x, promote_small(x.dtype))
        else:
            x = cast(x, "i32") if numbers.width(x.dtype) < 32 else x
        return _fold(x, axis, keep_dims, combine)

    return apply


def promote_small(dtype: str) -> str:
    return "f32" if dtype in ("f16", "bf16") else dtype


def _argument(best):
    def apply(x, axis):
        doubtful = x.error.any(axis) | (np.isnan(x.values).any(axis) if is_float(x.dtype) else False)
        return Tensor("i32", best(x.values, axis), np.where(doubtful, np.inf, 0))

    return apply


def xor_sum(x, axis=None, keep_dims=False):
    return _fold(x, axis, keep_dims, lambda a, b: a ^ b)


def reduce(x, axis, combine, keep_dims=False):
    return _fold(x, axis, keep_dims, combine)


def associative_scan(x, axis, combine, reverse=False):
    parts = [x.map(lambda a, k=k: np.take(a, k, axis)) for k in range(x.shape[axis])]
    order = reversed(parts) if reverse else parts
    found = []
    for part in order:
        found.append(combine(found[-1], part) if found else part)
    found = found[::-1] if reverse else found
    return Tensor(
        found[0].dtype, np.stack([p.values for p in found], axis), np.stack([p.error for p in found], axis)
    )


def sort(x, descending=False):
    if x.error.any() or (is_float(x.dtype) and np.isnan(x.values).any()):
        raise numbers.Undecided
    ordered = np.sort(x.values, -1)
    return Tensor(x.dtype, np.flip(ordered, -1) if descending else ordered)


def histogram(x, bins):
    values = x.decided()
    inside = values[(values >= 0) & (values < bins)]
    return Tensor("i32", np.bincount(inside.astype(np.int64), minlength=bins))


def integer_range(*bounds):
    """`range`, whose variable is an i32."""
    return (Tensor("i32", k) for k in range(*(int(b) for b in bounds)))


FUNCTIONS = (
    *(arange, full, zeros, broadcast_to, expand_dims, reshape, permute, trans, flip, join, interleave, split),
    *(gather, where, maximum, minimum, clamp, fma, cdiv, sum, cumsum, dot, xor_sum, reduce),
    *(associative_scan, sort, histogram),
)


def namespace(program: int, programs: int) -> dict:
    """The globals in which a kernel's text runs as plain Python."""
    tl = types.SimpleNamespace(
        **{name: dtype for dtype, name in TRITON_NAMES.items()},
        program_id=lambda axis: Tensor("i32", program if axis == 0 else 0),
        num_programs=lambda axis: Tensor("i32", programs if axis == 0 else 1),
        load=memory.load,
        store=memory.store,
        make_block_ptr=BlockPointer,
        advance=lambda pointer, steps: pointer.advanced(steps),
        exp=_elementwise(np.exp, 4),
        exp2=_elementwise(np.exp2, 4),
        log=_elementwise(np.log, 4, lambda low: low > 0),
        sin=_elementwise(np.sin, 4),
        cos=_elementwise(np.cos, 4),
        sqrt=_elementwise(np.sqrt, 2, lambda low: low > 0),
        rsqrt=_elementwise(lambda x: 1 / np.sqrt(x), 4, lambda low: low > 0),
        sigmoid=_elementwise(_sigmoid, 8),
        floor=_stepwise(np.floor),
        ceil=_stepwise(np.ceil),
        abs=absolute,
        max=_extreme(maximum),
        min=_extreme(minimum),
        argmax=_argument(np.argmax),
        argmin=_argument(np.argmin),
        atomic_add=memory.atomic(numbers.add),
        atomic_max=memory.atomic(maximum),
        atomic_min=memory.atomic(minimum),
        atomic_xor=memory.atomic(lambda old, value: old ^ value),
        atomic_xchg=memory.atomic(lambda old, value: cast(value, old.dtype)),
        range=integer_range,
        static_range=integer_range,
        constexpr=int,
        **{f.__name__: f for f in FUNCTIONS},
    )
    triton = types.SimpleNamespace(jit=lambda f: f)
    return {"tl": tl, "triton": triton, "range": integer_range}
