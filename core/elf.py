"""The little that runtimes need to know of a 64-bit little-endian ELF file."""

import struct
from collections.abc import Iterator

import attrs

_SYMTAB = 2
_EXECUTABLE = 4
_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


@attrs.frozen
class Section:
    """kind: sh_type.  link: number of the section that holds its strings, for a table of symbols."""

    kind: int
    executable: bool
    offset: int
    size: int
    link: int


def sections(data: bytes) -> list[Section]:
    """All sections, in order.  Raises ValueError where `data` is no such file."""
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
        raise ValueError("not a 64-bit little-endian ELF file")
    (at,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    found = []
    for index in range(count):
        _, kind, flags, _, offset, length, link, *_ = _HEADER.unpack_from(data, at + index * size)
        found.append(Section(kind, bool(flags & _EXECUTABLE), offset, length, link))
    return found


def undefined_symbols(data: bytes) -> set[str]:
    """Names that a relocatable object leaves to others."""
    table = sections(data)
    names = set()
    for section in table:
        if section.kind != _SYMTAB:
            continue
        strings = table[section.link].offset
        for at in range(section.offset + _SYMBOL.size, section.offset + section.size, _SYMBOL.size):
            name, _, _, where, _, _ = _SYMBOL.unpack_from(data, at)
            if where == 0:
                names.add(data[strings + name : data.index(b"\0", strings + name)].decode())
    return names


def code_ranges(data: bytes) -> Iterator[tuple[int, int]]:
    """(begin, end) in the file of every section that holds code."""
    for section in sections(data):
        if section.executable and section.size:
            yield section.offset, section.offset + section.size
