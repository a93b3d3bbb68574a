"""The little that runtimes need to know of an ELF relocatable object."""

import struct

_SHT_SYMTAB = 2
_SYMBOL = struct.Struct("<IBBHQQ")


def undefined_symbols(data: bytes) -> set[str]:
    """Names that a 64-bit little-endian ELF relocatable object leaves to others.

    Raises ValueError where `data` is not such an object.
    """
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < 64:
        raise ValueError("not a 64-bit little-endian ELF file")
    (sections_at,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)

    def section(index: int) -> tuple[int, int, int, int]:
        kind, _, _, offset, length, link = struct.unpack_from("<IQQQQI", data, sections_at + index * size + 4)
        return kind, offset, length, link

    names = set()
    for index in range(count):
        kind, offset, length, link = section(index)
        if kind != _SHT_SYMTAB:
            continue
        _, strings, _, _ = section(link)
        for at in range(offset + _SYMBOL.size, offset + length, _SYMBOL.size):
            name, _, _, where, _, _ = _SYMBOL.unpack_from(data, at)
            if where == 0:
                names.add(data[strings + name : data.index(b"\0", strings + name)].decode())
    return names
