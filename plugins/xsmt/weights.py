"""Weights as kernels for matrix engines take them, made with NumPy: sparse ones, and quantised ones.

    values, mask = compress(prune(weights))         4:2 structured sparsity, for smt.expand
    codes, scales = quantise(weights, bits=8)       blocks of rows that share a scale

All matrices are (K, N), N columns that each run along K.
"""

import numpy as np

from vertebra.core.errors import ConfigError

GROUP, KEPT = 4, 2
BLOCK = 32  # rows that share a scale in the usual formats (Q4_0, Q8_0)


def prune(weights: np.ndarray) -> np.ndarray:
    """`weights` with the two smallest of every four rows of a column set to 0; the lower rows stay of equals.

    weights: (K, N), of any type.  Raises ConfigError where 4 does not divide K.
    """
    groups = _groups(weights)
    order = np.argsort(-np.abs(groups.astype(np.float64)), axis=1, kind="stable")
    kept = np.zeros(groups.shape, bool)
    np.put_along_axis(kept, order[:, :KEPT], True, axis=1)
    return np.where(kept, groups, np.zeros((), weights.dtype)).reshape(weights.shape)


def compress(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(values, mask) of a matrix that has two elements other than 0, at most, in every four rows of a column.

    weights: (K, N).  values: (K / 2, N), of its type, the two kept rows in their order.
    mask: (K / 4, N) uint8; bit p is set for the two rows 4 g + p that are kept, always two.
    Raises ConfigError, with the first group, where there are more.
    """
    groups = _groups(weights)
    present = groups != 0
    _check_groups(present.sum(axis=1), lambda count: count <= KEPT, "elements other than 0", "prune it first")
    # Where there are fewer than two, zeros fill up: those in the first rows.
    order = np.argsort(~present, axis=1, kind="stable")[:, :KEPT]
    order.sort(axis=1)
    values = np.take_along_axis(groups, order, axis=1).reshape(-1, weights.shape[1])
    mask = (1 << order).sum(axis=1).astype(np.uint8)
    return values, mask


def expand(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The dense (K, N) matrix, as `smt.expand` has it.  Raises ConfigError as `check_mask` does."""
    check_mask(mask, values.shape)
    places = np.argsort(~_bits(mask), axis=1, kind="stable")[:, :KEPT]
    dense = np.zeros((len(mask), GROUP, mask.shape[1]), values.dtype)
    np.put_along_axis(dense, places, values.reshape(len(mask), KEPT, -1), axis=1)
    return dense.reshape(-1, mask.shape[1])


def check_mask(mask: np.ndarray, values: tuple[int, int] | None = None) -> None:
    """Raises ConfigError where a mask is not 4:2, with the first group, or does not fit values of that shape.

    mask: (K / 4, N) integers of which the lower four bits count.  Engines take a group with other than two
    bits for zeros, without a word.
    """
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise ConfigError(
            f"a mask of 4:2 sparsity is a matrix of integers, not {mask.ndim}-dimensional {mask.dtype}",
            fix="use (K / 4, N) uint8, as vertebra.plugins.xsmt.weights.compress makes it",
        )
    groups, columns = mask.shape
    if values is not None and tuple(values) != (KEPT * groups, columns):
        raise ConfigError(
            f"a mask of {groups} x {columns} does not fit values of {' x '.join(map(str, values))}",
            fix=f"it fits {KEPT * groups} x {columns}, two for each group of four",
        )
    _check_groups(
        _bits(mask).sum(axis=1),
        lambda count: count == KEPT,
        "bits",
        "set two of the four: 0b0011, 0b0101, 0b0110, 0b1001, 0b1010 or 0b1100; "
        "an element that is 0 may be one of the kept ones",
    )


def quantise(
    weights: np.ndarray, *, bits: int = 8, block: int = BLOCK, scale_type=np.float16
) -> tuple[np.ndarray, np.ndarray]:
    """(codes, scales): weights are about codes * scales, with a scale for `block` rows of each column.

    weights: (K, N) floats.  codes: (K, N) int8, up to 2**(bits - 1) - 1 either way, rounded to nearest even.
    scales: (K / block, N) of scale_type.  An error is half a scale at most, and what rounding the scale adds.
    Raises ConfigError where block does not divide K, and for other bits than 4 and 8.
    """
    if bits not in (4, 8):
        raise ConfigError(f"weights cannot have {bits} bits", fix="use 4 or 8")
    check_scales(weights.shape, (-(-weights.shape[0] // block), weights.shape[1]), block)
    top = (1 << (bits - 1)) - 1
    blocks = weights.astype(np.float64).reshape(-1, block, weights.shape[1])
    scales = (np.abs(blocks).max(axis=1) / top).astype(scale_type)
    divisor = np.where(scales == 0, 1, scales.astype(np.float64))
    codes = np.clip(np.rint(blocks / divisor[:, None]), -top, top)
    return codes.astype(np.int8).reshape(weights.shape), scales


def check_scales(weights: tuple[int, int], scales: tuple[int, ...], block: int = BLOCK) -> None:
    """Raises ConfigError where scales of a shape do not fit weights of another, one for `block` rows each."""
    k, n = weights
    if k % block:
        raise ConfigError(
            f"K = {k} is no multiple of the block of {block} rows that share a scale",
            fix=f"pad K to {-(-k // block) * block} with zeros, or use a block that divides {k}",
        )
    if tuple(scales) != (k // block, n):
        raise ConfigError(
            f"scales of {' x '.join(map(str, scales))} do not fit weights of {k} x {n} in blocks of {block}",
            fix=f"use {k // block} x {n} scales, one for each block and column",
        )


def _groups(weights: np.ndarray) -> np.ndarray:
    """(K / 4, 4, N)"""
    if weights.ndim != 2 or weights.shape[0] % GROUP:
        raise ConfigError(
            f"4:2 sparsity goes by four rows of a matrix, and this is {' x '.join(map(str, weights.shape))}",
            fix="pad K to a multiple of 4 with rows of zeros",
        )
    return weights.reshape(-1, GROUP, weights.shape[1])


def _bits(mask: np.ndarray) -> np.ndarray:
    """(K / 4, 4, N) bool"""
    return (mask[:, None, :].astype(np.int64) >> np.arange(GROUP)[None, :, None] & 1).astype(bool)


def _check_groups(counts: np.ndarray, legal, what: str, fix: str) -> None:
    wrong = np.argwhere(~legal(counts))
    if len(wrong):
        group, column = (int(x) for x in wrong[0])
        more = f"; {len(wrong)} of {counts.size} groups are not 4:2" if len(wrong) > 1 else ""
        raise ConfigError(
            f"rows {GROUP * group} to {GROUP * group + 3} of column {column} have {counts[group, column]}"
            f" {what}, not two{more}",
            fix=fix,
        )
