"""The line table of an ELF file (DWARF 4, section 6.2), as a debugger reads it."""

import struct

_HEADER = struct.Struct("<IIQQQQIIQQ")


def section(data: bytes, name: bytes) -> bytes:
    """The contents of the section called `name`; empty where there is none."""
    (at,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [_HEADER.unpack_from(data, at + i * size) for i in range(count)]
    strings = headers[names][4]
    for header in headers:
        start = strings + header[0]
        if data[start : data.index(b"\0", start)] == name:
            return data[header[4] : header[4] + header[5]]
    return b""


class _Reader:
    def __init__(self, data: bytes, at: int = 0):
        self.data, self.at = data, at

    def take(self, form: str) -> int:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self) -> str:
        end = self.data.index(b"\0", self.at)
        found, self.at = self.data[self.at : end].decode(), end + 1
        return found

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.take("B")
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def sleb(self) -> int:
        start = self.at
        value = self.uleb()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) else value


def rows(data: bytes) -> list[tuple[int, str, int]]:
    """(address, file, line) for every row of every table in the ELF file `data`.

    A file in the folder of the compilation unit, which another section tells, has no folder here.
    """
    reader, found = _Reader(section(data, b".debug_line")), []
    while reader.at < len(reader.data):
        length = reader.take("I")
        found += _table(reader, reader.at + length)
    return found


def _table(reader: _Reader, end: int) -> list[tuple[int, str, int]]:
    version, header = reader.take("H"), reader.take("I")
    assert version == 4
    program = reader.at + header
    step, _, _ = reader.take("B"), reader.take("B"), reader.take("B")
    base, span, opcodes = reader.take("b"), reader.take("B"), reader.take("B")
    operands = [reader.take("B") for _ in range(opcodes - 1)]
    folders, files = [""], [""]
    while folder := reader.text():
        folders.append(folder)
    while file := reader.text():
        folder = folders[reader.uleb()]
        files.append(f"{folder}/{file}" if folder else file)
        reader.uleb(), reader.uleb()
    reader.at = program
    found, state = [], {"address": 0, "file": 1, "line": 1}

    def row():
        found.append((state["address"], files[state["file"]], state["line"]))

    while reader.at < end:
        opcode = reader.take("B")
        if opcode >= opcodes:
            state["address"] += (opcode - opcodes) // span * step
            state["line"] += base + (opcode - opcodes) % span
            row()
        elif opcode == 0:
            size = reader.uleb()
            kind, after = reader.take("B"), reader.at + size - 1
            if kind == 1:
                state = {"address": 0, "file": 1, "line": 1}
            elif kind == 2:
                state["address"] = reader.take("Q")
            reader.at = after
        elif opcode == 1:
            row()
        elif opcode == 2:
            state["address"] += reader.uleb() * step
        elif opcode == 3:
            state["line"] += reader.sleb()
        elif opcode == 4:
            state["file"] = reader.uleb()
        elif opcode == 8:
            state["address"] += (255 - opcodes) // span * step
        elif opcode == 9:
            state["address"] += reader.take("H")
        else:
            for _ in range(operands[opcode - 1]):
                reader.uleb()
    return found
