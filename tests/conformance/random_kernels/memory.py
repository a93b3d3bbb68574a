"""The reference's memory: buffers that check every access, pointers, block pointers."""

import numpy as np

from .numbers import Tensor, Undecided, cast, loaded, stored


class OutOfBounds(Exception):
    """The kernel accesses what is not its own: the generator's fault, never the compiler's."""


class Buffer:
    """size elements of `dtype`, with the error bound of each."""

    def __init__(self, dtype: str, data: np.ndarray):
        self.dtype = dtype
        self.values = loaded(dtype, data).copy()
        self.error = np.zeros(data.shape)

    def bytes(self) -> np.ndarray:
        return stored(Tensor(self.dtype, self.values))


class Pointer:
    """Addresses of elements of one buffer; offsets: in elements, int64."""

    def __init__(self, buffer: Buffer, offsets=0):
        self.buffer = buffer
        self.offsets = np.asarray(offsets, np.int64)

    @property
    def shape(self):
        return self.offsets.shape

    def map(self, function) -> "Pointer":
        return Pointer(self.buffer, function(self.offsets))

    def __getitem__(self, key):
        return self.map(lambda a: a[key])

    def __add__(self, offset):
        steps = offset.decided().astype(np.int64) if isinstance(offset, Tensor) else offset
        return Pointer(self.buffer, self.offsets + steps)

    __radd__ = __add__

    def __sub__(self, offset):
        return self + -offset


class BlockPointer:
    """What tl.make_block_ptr returns."""

    def __init__(self, base, shape, strides, offsets, block_shape, order):
        self.base, self.block = base, tuple(block_shape)
        self.extents, self.strides, self.offsets = ([int(v) for v in vs] for vs in (shape, strides, offsets))

    def advanced(self, steps) -> "BlockPointer":
        offsets = [o + int(s) for o, s in zip(self.offsets, steps, strict=True)]
        return BlockPointer(self.base, self.extents, self.strides, offsets, self.block, None)

    def places(self, checked) -> tuple[np.ndarray, np.ndarray]:
        """Offsets of all elements, and which of them lie inside along the `checked` dimensions."""
        index = np.indices(self.block)
        offsets = np.zeros(self.block, np.int64)
        inside = np.ones(self.block, bool)
        for d, at in enumerate(index):
            at = at + self.offsets[d]
            offsets += at * self.strides[d]
            if d in checked:
                inside &= (at >= 0) & (at < self.extents[d])
        return offsets, inside


def _mask(mask, shape) -> np.ndarray:
    if mask is None:
        return np.ones(shape, bool)
    if isinstance(mask, bool):
        return np.full(shape, mask)
    return np.broadcast_to(mask.decided(), shape)


def _check(buffer: Buffer, offsets, mask) -> None:
    if (((offsets < 0) | (offsets >= buffer.values.size)) & mask).any():
        raise OutOfBounds


def load(pointer, mask=None, other=None, boundary_check=(), padding_option=""):
    """As tl.load.  What is masked off without `other` is unknown."""
    if isinstance(pointer, BlockPointer):
        offsets, active = pointer.places(boundary_check)
        buffer, base = pointer.base.buffer, pointer.base.offsets
        offsets = offsets + base
        other = {"zero": 0, "nan": float("nan")}.get(padding_option)
    else:
        buffer, offsets = pointer.buffer, pointer.offsets
        if mask is not None and isinstance(mask, Tensor):
            offsets = np.broadcast_to(offsets, np.broadcast_shapes(offsets.shape, mask.shape))
        active = _mask(mask, offsets.shape)
    _check(buffer, offsets, active)
    at = np.where(active, offsets, 0)
    found = Tensor(buffer.dtype, buffer.values[at], buffer.error[at])
    if active.all():
        return found
    if other is None:
        return Tensor(buffer.dtype, found.values, np.where(active, found.error, np.inf))
    other = cast(found.like(other), buffer.dtype)
    return Tensor(
        buffer.dtype, np.where(active, found.values, other.values), np.where(active, found.error, other.error)
    )


def store(pointer, value, mask=None, boundary_check=()):
    """As tl.store.  Where two elements go to one place with different values, it is unknown after."""
    if isinstance(pointer, BlockPointer):
        offsets, active = pointer.places(boundary_check)
        buffer, base = pointer.base.buffer, pointer.base.offsets
        offsets = offsets + base
    else:
        buffer, offsets = pointer.buffer, pointer.offsets
        active = _mask(mask, offsets.shape)
    value = cast(value, buffer.dtype)
    values = np.broadcast_to(value.values, offsets.shape)[active]
    error = np.broadcast_to(value.error, offsets.shape)[active]
    _check(buffer, offsets, active)
    at = offsets[active]
    buffer.values[at] = values
    buffer.error[at] = error
    clash = at[~((values == buffer.values[at]) | (values != values)) | (error != buffer.error[at])]
    buffer.error[clash] = np.inf


def atomic(combine):
    """tl.atomic_...; with each place at most once, as no order is defined."""

    def apply(pointer, value, mask=None):
        old = load(pointer, mask)
        places = pointer.offsets[_mask(mask, pointer.offsets.shape)]
        if len(np.unique(places)) != places.size:
            raise Undecided
        store(pointer, combine(old, value), mask)
        return old

    return apply
