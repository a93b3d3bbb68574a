"""Arrays for kernels to work on: seeded, of every element type, inside guard zones."""

import zlib
from collections.abc import Callable, Sequence

import attrs
import numpy as np

GUARD = 256  # bytes on either side of an array; a multiple of every vector's alignment
GUARD_BYTE = 0xA5

# Element type -> the NumPy dtype that stores it.  NumPy has no bfloat16: its bits are uint16.
STORAGE = {
    "i1": np.dtype(np.bool_),
    "f16": np.dtype(np.float16),
    "bf16": np.dtype(np.uint16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    **{f"{sign}{bits}": np.dtype(f"{sign}{bits // 8}") for sign in "iu" for bits in (8, 16, 32, 64)},
}
TORCH = {"bf16": "bfloat16"}  # where torch's name is not that of the storage dtype
SIGNED = ("i8", "i16", "i32", "i64")
UNSIGNED = ("u8", "u16", "u32", "u64")
INTEGERS = SIGNED + UNSIGNED
FLOATS = ("f16", "bf16", "f32", "f64")
DTYPES = INTEGERS + FLOATS

# Distance from 1 to the next number, and the smallest normal number.
EPS = {"f16": 2.0**-10, "bf16": 2.0**-7, "f32": 2.0**-23, "f64": 2.0**-52}
TINY = {"f16": 2.0**-14, "bf16": 2.0**-126, "f32": 2.0**-126, "f64": 2.0**-1022}


def encode(dtype: str, values) -> np.ndarray:
    """`values` rounded to `dtype` (to nearest, ties to even), in its storage dtype."""
    if dtype != "bf16":
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(values).astype(STORAGE[dtype])
    with np.errstate(over="ignore"):
        bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(is_nan, bits >> 16 | 0x40, rounded).astype(np.uint16)


def decode(dtype: str, stored: np.ndarray) -> np.ndarray:
    """A copy of `stored` for NumPy to compute with: float64 for floats, else the dtype itself."""
    if dtype == "bf16":
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float64) if dtype in FLOATS else stored.copy()


@attrs.frozen
class Array:
    """How to make one array argument.

    values: a function of a seeded generator that returns `shape` values of `dtype`.
    view: what of the array is passed on, such as its transpose; the rest must stay untouched.
    numpy: passed as a NumPy array, else as a torch tensor (negative strides always as NumPy).
    """

    dtype: str
    shape: tuple[int, ...]
    values: Callable[[np.random.Generator], np.ndarray]
    view: Callable[[np.ndarray], np.ndarray] = lambda array: array
    numpy: bool = False


def normal(dtype: str, *shape: int, scale: float = 1.0, **kwargs) -> Array:
    """Normally distributed floats with standard deviation `scale`."""
    return Array(dtype, shape, lambda rng: rng.standard_normal(shape) * scale, **kwargs)


def uniform(dtype: str, *shape: int, low: float = 0.0, high: float = 1.0, **kwargs) -> Array:
    """Floats, evenly distributed in [low, high)."""
    return Array(dtype, shape, lambda rng: rng.uniform(low, high, shape), **kwargs)


def integers(dtype: str, *shape: int, low: int | None = None, high: int | None = None, **kwargs) -> Array:
    """Integers in [low, high], by default over the whole range of `dtype`."""
    limits = np.iinfo(STORAGE[dtype])
    low = int(limits.min) if low is None else low
    high = int(limits.max) if high is None else high

    def values(rng):
        return rng.integers(low, high, shape, dtype=STORAGE[dtype], endpoint=True)

    return Array(dtype, shape, values, **kwargs)


def numbers(dtype: str, *shape: int, **kwargs) -> Array:
    """Any numbers that suit the type: normally distributed floats, integers over the whole range."""
    if dtype == "i1":
        return Array(dtype, shape, lambda rng: rng.integers(0, 2, shape).astype(bool), **kwargs)
    return normal(dtype, *shape, **kwargs) if dtype in FLOATS else integers(dtype, *shape, **kwargs)


def given(dtype: str, values, **kwargs) -> Array:
    """These very values."""
    values = np.asarray(values)
    return Array(dtype, values.shape, lambda rng: values, **kwargs)


def output(dtype: str, *shape: int, fill: float = 77, **kwargs) -> Array:
    """Room for a result, filled with a number that no test computes."""
    return Array(dtype, shape, lambda rng: np.full(shape, fill), **kwargs)


def permutation(dtype: str, n: int, **kwargs) -> Array:
    """The integers 0..n-1 in random order."""
    return Array(dtype, (n,), lambda rng: rng.permutation(n), **kwargs)


class Memory:
    """One array in memory, with guard zones, as a kernel gets it and as it was before.

    stored: the whole array in its storage dtype.  before: `stored` at the start.
    """

    def __init__(self, spec: Array, seed: str):
        self.spec = spec
        # crc32, since hash() of a string differs from run to run.
        rng = np.random.default_rng(zlib.crc32(seed.encode()))
        self.before = encode(spec.dtype, spec.values(rng)).reshape(spec.shape)
        nbytes = self.before.nbytes
        slack = 64 + 2 * GUARD + nbytes
        raw = np.full(slack, GUARD_BYTE, np.uint8)
        start = -raw.ctypes.data % 64
        self.owner = raw[start : start + 2 * GUARD + nbytes]
        data = self.owner[GUARD : GUARD + nbytes]
        self.stored = data.view(self.before.dtype).reshape(spec.shape)
        self.stored[...] = self.before
        self.viewed = spec.view(self.stored)

    def argument(self):
        """The view as a kernel gets it: a torch tensor or a NumPy array."""
        negative = any(stride < 0 for stride in self.viewed.strides)
        if self.spec.dtype == "bf16":
            return self.pointer() if negative else self._tensor(*self._geometry())
        return self.viewed if self.spec.numpy or negative else self._tensor(*self._geometry())

    def pointer(self):
        """A tensor of one element at the view's address: for negative strides, which torch lacks."""
        return self._tensor((1,), (1,))

    def _geometry(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.viewed.shape, tuple(s // self.viewed.itemsize for s in self.viewed.strides)

    def _tensor(self, shape, strides):
        # Made from the owner, so that a runtime which copies whole storages copies the guards too.
        import torch

        dtype = getattr(torch, TORCH.get(self.spec.dtype) or self.before.dtype.name)
        offset = (self.viewed.ctypes.data - self.owner.ctypes.data) // self.viewed.itemsize
        return torch.from_numpy(self.owner).view(dtype).as_strided(shape, strides, offset)

    def initial(self) -> np.ndarray:
        """What the view held before, for NumPy to compute with."""
        return decode(self.spec.dtype, self.spec.view(self.before))

    def result(self) -> np.ndarray:
        """What the view holds now, for NumPy to compute with."""
        return decode(self.spec.dtype, self.viewed)

    def check_surroundings(self, name: str) -> None:
        """Fails where the guard zones, or elements outside the view, changed."""
        guards = np.concatenate([self.owner[:GUARD], self.owner[len(self.owner) - GUARD :]])
        offsets = np.flatnonzero(guards != GUARD_BYTE)
        assert not offsets.size, (
            f"{name}: {offsets.size} bytes of its guard zones changed: {_places(offsets)}"
        )
        outside = np.ones(self.spec.shape, bool)
        self.spec.view(outside)[...] = False
        changed = np.argwhere(outside & (self._bits(self.stored) != self._bits(self.before)))
        assert not len(changed), (
            f"{name}: {len(changed)} elements outside its view changed: {_places(changed)}"
        )

    def check_unchanged(self, name: str) -> None:
        """Fails where any element differs from what it was."""
        changed = np.argwhere(self._bits(self.stored) != self._bits(self.before))
        assert not len(changed), f"{name} is an input; {len(changed)} elements changed: {_places(changed)}"

    @staticmethod
    def _bits(array: np.ndarray) -> np.ndarray:
        return array.view(f"u{array.itemsize}")


def _places(indices: Sequence) -> str:
    first = ", ".join(str(np.asarray(i).tolist()) for i in indices[:4])
    return f"at {first}{', ...' if len(indices) > 4 else ''}"


def check_close(name: str, dtype: str, got: np.ndarray, want: np.ndarray, ulps: float, atol: float) -> None:
    """Fails where `got` differs from `want`: exactly for integers, else beyond the tolerance.

    The tolerance is atol + ulps * eps(dtype) * max(|want|, the smallest normal number).  `want` is
    float64; beyond the range of `dtype` it is an infinity.  Any NaN equals any other.
    """
    want = np.broadcast_to(np.asarray(want), got.shape)
    if dtype not in FLOATS:
        wrong = np.argwhere(got != encode(dtype, want))
    else:
        rounded = decode(dtype, encode(dtype, want))
        with np.errstate(invalid="ignore"):
            bound = atol + ulps * EPS[dtype] * np.maximum(np.abs(want), TINY[dtype])
            close = np.isfinite(want) & (np.abs(got - want) <= bound)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        wrong = np.argwhere(~(close | same))
    if len(wrong):
        lines = [f"  {tuple(i.tolist())}: got {got[tuple(i)]!r}, want {want[tuple(i)]!r}" for i in wrong[:8]]
        allowed = "exact" if dtype not in FLOATS else f"{ulps} eps of {dtype} + {atol}"
        raise AssertionError(
            f"{name}: {len(wrong)} of {got.size} elements are wrong ({allowed}):\n" + "\n".join(lines)
        )
