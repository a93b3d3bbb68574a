"""The little that runtimes need to know of a 64-bit little-endian ELF file."""

import struct
from collections.abc import Iterator

import attrs

_SYMTAB = 2
_DYNSYM = 11
_LOCAL = 0  # a symbol's binding
_HIDDEN = 2  # its visibility
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
    return {name for name, defined in _symbols(data, _SYMTAB) if not defined}


def dynamic_symbols(data: bytes) -> set[str]:
    """Names that a shared object offers to others."""
    return {name for name, defined in _symbols(data, _DYNSYM) if defined}


def _symbols(data: bytes, kind: int) -> Iterator[tuple[str, bool]]:
    """(name, whether it is defined here) of every symbol in tables of `kind`."""
    table = sections(data)
    for section in table:
        if section.kind != kind:
            continue
        strings = table[section.link].offset
        for at in range(section.offset + _SYMBOL.size, section.offset + section.size, _SYMBOL.size):
            name, _, _, where, _, _ = _SYMBOL.unpack_from(data, at)
            yield data[strings + name : data.index(b"\0", strings + name)].decode(), where != 0


def prefix_symbols(data: bytes, prefix: str) -> bytes:
    """The relocatable object `data` with `prefix` before the name of everything that it exports.

    What it exports is hidden then: seen by the objects of one program or library, and not outside of that.
    """
    table = sections(data)
    out = bytearray(data)
    for section in table:
        if section.kind != _SYMTAB:
            continue
        strings = table[section.link]
        names = bytearray(data[strings.offset : strings.offset + strings.size])
        for at in range(section.offset + _SYMBOL.size, section.offset + section.size, _SYMBOL.size):
            name, info, _, where, value, size = _SYMBOL.unpack_from(data, at)
            if where == 0 or info >> 4 == _LOCAL:
                continue
            old = bytes(names[name : names.index(b"\0", name)])
            _SYMBOL.pack_into(out, at, len(names), info, _HIDDEN, where, value, size)
            names += prefix.encode() + old + b"\0"
        (headers,) = struct.unpack_from("<Q", data, 40)
        (header_bytes,) = struct.unpack_from("<H", data, 58)
        # The longer table of names goes to the end; the old one, which sections' names may share, stays.
        struct.pack_into("<QQ", out, headers + section.link * header_bytes + 24, len(out), len(names))
        out += names
    return bytes(out)


def code_ranges(data: bytes) -> Iterator[tuple[int, int]]:
    """(begin, end) in the file of every section that holds code."""
    for section in sections(data):
        if section.executable and section.size:
            yield section.offset, section.offset + section.size
