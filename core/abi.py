"""The binary interface of a compiled kernel, the same on every core.

An object exports, for a kernel called NAME, one C function

    void NAME(const uint64_t *args, void *scratch, int64_t begin, int64_t end,
              int32_t grid_x, int32_t grid_y, int32_t grid_z);

that runs the programs with linear ids begin <= p < end, where
p = x + grid_x * (y + grid_y * z).  `args` holds one 8-byte slot per run-time
argument, in the order of the signature: an address, which is a multiple of the
size of an element, or the value's own bytes at the low end of the slot (little endian).  `scratch` is the
calling thread's own block of `scratch_bytes` bytes (in the artifact's metadata), 128-byte
aligned, contents undefined.  The function is reentrant and keeps no state, so
any number of threads may run disjoint ranges at once.

The only symbols an object may leave undefined are memcpy, memmove and memset, and, where
the kernel prints, asserts, has parallel loops or barriers, the services of its runtime
(core/native/services.h).
"""

import operator
import struct

import numpy as np

SCRATCH_ALIGNMENT = 128
SERVICES = (
    "vertebra_print",
    "vertebra_fail",
    "vertebra_fail_as",
    "vertebra_out_of_bounds",
    "vertebra_record",
    "vertebra_stream_threads",
    "vertebra_parallel",
    "vertebra_programs",
    "vertebra_barrier_init",
    "vertebra_barrier_at",
    "vertebra_barrier_global",
    "vertebra_barrier_arrive",
    "vertebra_barrier_wait",
    "vertebra_barrier_expect",
    "vertebra_barrier_release",
)
BARRIER_BYTES = 64  # VERTEBRA_BARRIER_BYTES there
FIRST_PHASE = -1  # VERTEBRA_FIRST_PHASE there
# Relative to core/native: what provides the services, and what that includes.
SERVICE_SOURCES = (
    "pool.c",
    "parallel.c",
    "barrier.c",
    "print.c",
    "bounds.c",
    "failures.c",
    "record.c",
    "clock.c",
)
SERVICE_HEADERS = ("pool.h", "services.h", "stream.h", "record.h", "clock.h")
UNDEFINED_ALLOWED = ("memcpy", "memmove", "memset", *SERVICES)

# Triton's type name -> how a Python value fills its 8-byte slot.
_INTEGERS = {f"{sign}{bits}": bits for bits in (1, 8, 16, 32, 64) for sign in "iu"}


def bf16_bits(value: float) -> int:
    """The 16 bits of `value` rounded to bfloat16, ties to even; NaN stays a quiet NaN."""
    with np.errstate(over="ignore"):
        (word,) = struct.unpack("<I", np.float32(value).tobytes())
    if word & 0x7FFFFFFF > 0x7F800000:
        return (word >> 16) | 0x40
    return (word + 0x7FFF + (word >> 16 & 1)) >> 16


def scalar_bits(type_name: str, value: int | float) -> int:
    """The slot of scalar `value` of Triton type `type_name`, as an unsigned 64-bit integer.

    Integers are stored modulo 2**64, so that a signed value reads back at its own width.
    Raises KeyError for a type that has no scalar form, TypeError for a value that is no integer
    where one is due, OverflowError for a float that the type cannot hold.
    """
    if type_name in _INTEGERS:
        return operator.index(value) & 0xFFFF_FFFF_FFFF_FFFF  # type: ignore[arg-type]  # it raises
    if type_name == "bf16":
        return bf16_bits(value)
    fmt, width = {"fp16": ("e", 2), "fp32": ("f", 4), "f32": ("f", 4), "fp64": ("d", 8)}[type_name]
    return int.from_bytes(struct.pack("<" + fmt, value)[:width], "little")
