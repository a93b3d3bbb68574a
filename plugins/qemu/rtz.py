"""A way around an assertion of QEMU 7.1 and 7.2: see emulate_rtz.c."""

import struct
from pathlib import Path

from vertebra.core import elf
from vertebra.core.runtime import Emulator
from vertebra.plugins.qemu import process

EMULATOR = Emulator("emulate_rtz", Path(__file__).parent / "emulate_rtz.c", frozenset({"v"}))

# OP-V, OPFVV, funct6 010010; vs1 xx11x with xx not 11: the three widths of vfcvt.rtz.x[u].f.
_MASK, _WORD = 0xFC00_707F | 0x0003_0000, 0x4800_1057 | 0x0003_0000
_TOP_OF_VS1 = 0x000C_0000
_RESERVED_FUNCT6 = 0x1000_0000


def needed() -> bool:
    """Whether the installed emulator has the fault."""
    return process.emulator_version() < (8, 0)


def replace(shared_object: bytes) -> bytes:
    """The RISC-V object with its conversions that round towards zero replaced by words that trap."""
    code = bytearray(shared_object)
    for at, end in elf.code_ranges(shared_object):
        while at + 2 <= end:
            if code[at] & 3 != 3:  # a compressed instruction, or padding
                at += 2
                continue
            if at + 4 > end:
                break
            (word,) = struct.unpack_from("<I", code, at)
            if word & _MASK == _WORD and word & _TOP_OF_VS1 != _TOP_OF_VS1:
                struct.pack_into("<I", code, at, word | _RESERVED_FUNCT6)
            at += 4
    return bytes(code)
