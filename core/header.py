"""The C header of a compiled kernel: what a C program needs besides the shared object."""

import keyword
import re
from collections.abc import Sequence

from vertebra.core import abi
from vertebra.core.errors import ConfigError

_SCALARS = {
    "i1": "uint8_t", "i8": "int8_t", "i16": "int16_t", "i32": "int32_t", "i64": "int64_t",
    "u1": "uint8_t", "u8": "uint8_t", "u16": "uint16_t", "u32": "uint32_t", "u64": "uint64_t",
    "fp16": "uint16_t", "bf16": "uint16_t", "fp32": "float", "f32": "float", "fp64": "double",
}  # fmt: skip
_BYTES = {"u": 1, "float": 4, "double": 8}
NOTES = {
    "fp16": "the 16 bits of a half",
    "bf16": "the 16 bits of a bfloat16",
    "i1": "0 or 1",
    "u1": "0 or 1",
}
# Words that cannot name a field in C or C++, and that Python allows as a parameter.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """alignas alignof auto bool case catch char class const constexpr decltype default delete do double
        enum explicit export extern false float for friend goto inline int long mutable namespace new nullptr
        operator private protected public register reinterpret_cast restrict short signed sizeof static struct
        switch template this throw true typedef typename union unsigned using virtual void volatile""",
    )
)


def c_type(type_name: str) -> str:
    """Triton's type name -> the C type of a value; half and bfloat16 are their bits.

    Raises ConfigError for a type that cannot be passed.
    """
    if type_name.startswith("*"):
        return _SCALARS.get(type_name[1:].removeprefix("k"), "void") + " *"
    if type_name not in _SCALARS:
        raise ConfigError(f"type {type_name!r} has no C form", fix=f"use a pointer or {', '.join(_SCALARS)}")
    return _SCALARS[type_name]


def _size(type_name: str) -> int:
    if type_name.startswith("*"):
        return 8
    kind = c_type(type_name)
    return _BYTES.get(kind) or int("".join(re.findall(r"\d", kind))) // 8


def field_name(name: str) -> str:
    """The name of a field for the argument `name`: with a line behind it where C or C++ reserves the word."""
    return f"{name}_" if name in _RESERVED or keyword.iskeyword(name) else name


_SERVICES = """
/*
 * This kernel prints, asserts, or has parallel loops or barriers, and calls services for it.  Link {sources}
 * of vertebra/core/native, whose services.h declares all, and call vertebra_launch (pool.h) where threads
 * are wanted.  Of a kernel without loops and barriers it is enough to define these; vertebra_print alone
 * returns.  The last one is called by kernels that check bounds, the one before by those that need a state of
 * the processor which it may not have.
 */
void vertebra_print(const char *what, int32_t x, int32_t y, int32_t z, int64_t element, uint64_t value);
void vertebra_fail(const char *message, int32_t x, int32_t y, int32_t z);
void vertebra_fail_as(const char *texts, int64_t state, int32_t x, int32_t y, int32_t z);
void vertebra_out_of_bounds(const char *what, int64_t element, int64_t first, int64_t end,
                            int32_t x, int32_t y, int32_t z);
"""


def header(
    name: str,
    signature: Sequence[str],
    fields: Sequence[str],
    scratch_bytes: int,
    core_name: str,
    *,
    serviced: bool = False,
) -> str:
    """The text of the header.

    serviced: the kernel calls the services of a runtime (see core/abi.py).
    name: the exported symbol.  signature: Triton's type names of the run-time arguments.
    fields: their names.  scratch_bytes: what one thread needs.
    """
    assert len(signature) == len(fields), (signature, fields)
    guard = f"VERTEBRA_{name.upper()}_H"
    upper = name.upper()
    members = []
    for number, (kind, field) in enumerate(zip(signature, fields, strict=True)):
        note = f"  /* slot {number}: {kind}{', ' + NOTES[kind] if kind in NOTES else ''} */"
        spelt = c_type(kind)
        members.append(f"    {spelt}{'' if spelt.endswith('*') else ' '}{field_name(field)};{note}")
        if _size(kind) < 8:
            members.append(f"    uint8_t pad{number}_[{8 - _size(kind)}];")
    if not members:
        members.append("    uint64_t none_;  /* the kernel takes no arguments */")
    slots = max(1, len(signature))
    return f"""\
/* Kernel {name} for core {core_name}: to be linked or loaded. */
#ifndef {guard}
#define {guard}

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {{
#endif
{_SERVICES.replace("{sources}", ", ".join(abi.SERVICE_SOURCES)) if serviced else ""}
/* Bytes of scratch memory that each thread needs, and their alignment. */
#define {upper}_SCRATCH_BYTES {scratch_bytes}
#define {upper}_SCRATCH_ALIGNMENT {abi.SCRATCH_ALIGNMENT}

/* The arguments; each fills 8 bytes, and what pads it is not read. */
struct {name}_args {{
{chr(10).join(members)}
}};

/*
 * Runs the programs begin <= p < end of a grid, where p = x + grid_x * (y + grid_y * z).
 * args: {slots} slots of 8 bytes, a `struct {name}_args` copied.  scratch: the calling thread's
 * own {upper}_SCRATCH_BYTES bytes, aligned.  Any number of threads may run disjoint ranges at once.
 */
void {name}(const uint64_t *args, void *scratch, int64_t begin, int64_t end,
            int32_t grid_x, int32_t grid_y, int32_t grid_z);

/* Runs the whole grid on the calling thread.  Returns 0, or -1 where memory is short. */
static inline int {name}_run(const struct {name}_args *args, int32_t grid_x, int32_t grid_y, int32_t grid_z)
{{
    uint64_t slots[{slots}];
    char is_8_bytes_a_slot[sizeof *args == sizeof slots ? 1 : -1];
    (void)is_8_bytes_a_slot;
    memcpy(slots, args, sizeof slots);
    /* Room for {upper}_SCRATCH_BYTES at an aligned address inside. */
    char *block = (char *)malloc({upper}_SCRATCH_BYTES + {upper}_SCRATCH_ALIGNMENT);
    if (!block)
        return -1;
    uintptr_t mask = {upper}_SCRATCH_ALIGNMENT - 1;
    void *scratch = (void *)(((uintptr_t)block + mask) & ~mask);
    {name}(slots, scratch, 0, (int64_t)grid_x * grid_y * grid_z, grid_x, grid_y, grid_z);
    free(block);
    return 0;
}}

#ifdef __cplusplus
}}
#endif

#endif
"""
