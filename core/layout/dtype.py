"""Element types: widths, and conversions on bit patterns."""

from vertebra.core.layout.errors import LayoutError

BITS = {
    **{f"i{n}": n for n in (4, 8, 16, 32, 64)},
    **{f"u{n}": n for n in (4, 8, 16, 32, 64)},
    **{"f64": 64, "f32": 32, "f16": 16, "bf16": 16, "f8e4m3": 8, "f8e5m2": 8},
}


def bits_of(dtype: str) -> int:
    """Raises LayoutError for a type that is not known."""
    if dtype not in BITS:
        raise LayoutError(f"element type {dtype!r} is not known", fix=f"use one of {', '.join(BITS)}")
    return BITS[dtype]


def storage(dtype: str):
    """The unsigned NumPy type that holds one bit pattern."""
    import numpy as np

    return {4: np.uint8, 8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}[bits_of(dtype)]


def encode(values, dtype: str):
    """The bit patterns of `values` (floats or integers): floats round to nearest even, integers wrap."""
    import numpy as np

    if dtype == "bf16":
        words = np.asarray(values, np.float32).view(np.uint32)
        rounded = (words + 0x7FFF + ((words >> 16) & 1)) >> 16
        return np.where(words & 0x7FFFFFFF > 0x7F800000, (words >> 16) | 0x40, rounded).astype(np.uint16)
    if dtype.startswith("f8"):
        return _encode_f8(np.asarray(values, np.float32), dtype)
    if dtype[0] == "f":
        kind = {"f16": np.float16, "f32": np.float32, "f64": np.float64}[dtype]
        with np.errstate(over="ignore"):
            return np.asarray(values).astype(kind).view(storage(dtype))
    wide = np.asarray(values).astype(np.int64)
    return (wide & ((1 << bits_of(dtype)) - 1 if bits_of(dtype) < 64 else -1)).astype(storage(dtype))


def decode(patterns, dtype: str):
    """The values of bit patterns: float32 (float64 for f64) or int64."""
    import numpy as np

    patterns = np.asarray(patterns, storage(dtype))
    if dtype == "bf16":
        return (patterns.astype(np.uint32) << 16).view(np.float32)
    if dtype.startswith("f8"):
        return _f8_values(dtype)[patterns]
    if dtype[0] == "f":
        kind = {"f16": np.float16, "f32": np.float32, "f64": np.float64}[dtype]
        return patterns.view(kind).astype(np.float64 if dtype == "f64" else np.float32)
    bits = bits_of(dtype)
    wide = patterns.astype(np.int64)
    return (
        np.where(wide >> (bits - 1) & 1, wide - (1 << bits), wide) if dtype[0] == "i" and bits < 64 else wide
    )


def _f8_values(dtype: str):
    """All 256 values, by pattern.  e4m3 has no infinities and one NaN per sign; e5m2 is IEEE-like."""
    import numpy as np

    mantissa, bias = (3, 7) if dtype == "f8e4m3" else (2, 15)
    code = np.arange(256)
    m, e = code & ((1 << mantissa) - 1), code >> mantissa & ((1 << (7 - mantissa)) - 1)
    value = np.where(e == 0, m * 2.0 ** (1 - bias - mantissa), (1 + m / 2**mantissa) * 2.0 ** (e - bias))
    if dtype == "f8e4m3":
        value[(code & 0x7F) == 0x7F] = np.nan
    else:
        value[(code & 0x7C) == 0x7C] = np.nan
        value[(code & 0x7F) == 0x7C] = np.inf
    return np.where(code & 0x80, -value, value).astype(np.float32)


def _encode_f8(values, dtype: str):
    """Nearest even; what is past the largest finite value becomes it (saturating, as the units do)."""
    import numpy as np

    table = _f8_values(dtype)[:128]
    finite = table[np.isfinite(table)].astype(np.float64)
    magnitude = np.abs(values.astype(np.float64))
    high = np.clip(np.searchsorted(finite, magnitude), 1, len(finite) - 1)
    low = high - 1
    up, down = finite[high] - magnitude, magnitude - finite[low]
    nearest = np.where((up < down) | ((up == down) & (high % 2 == 0)), high, low)
    code = np.where(np.isnan(values), 0x7F, nearest)
    return (code | (np.signbit(values).astype(np.int64) << 7)).astype(np.uint8)
