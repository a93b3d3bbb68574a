import platform
import shutil

import attrs
import pytest

from vertebra.core import elf, toolchain
from vertebra.core.errors import ToolError

USES_HELPERS = """
#include <stddef.h>
void *memcpy(void *, const void *, size_t);
void widen(float *out, _Float16 *in, __int128 *q, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] = in[i];
  q[0] /= q[1];
  memcpy(q, out, n);
}
"""


@attrs.frozen
class Triple:
    triple: str


@pytest.mark.parametrize("triple", [None, "riscv64-unknown-linux-gnu", "riscv64-linux-musl"])
def test_link_shared_brings_the_helpers_along(triple):
    obj = toolchain.compile_source(USES_HELPERS, triple=triple, flags=["-fPIC"])
    assert {"memcpy", "__divti3"} <= elf.undefined_symbols(obj)
    shared = toolchain.link_shared([obj], Triple(triple or toolchain.host_triple()))
    assert shared[:4] == b"\x7fELF" and shared[16] == 3  # ET_DYN
    assert b"widen\0" in shared
    assert b"__divti3\0" not in shared  # neither imported nor exported


def test_undefined_symbol_is_named():
    obj = toolchain.compile_source("int f(int); int g(void) { return f(1); }", flags=["-fPIC"])
    with pytest.raises(ToolError, match="undefined symbol: f"):
        toolchain.link_shared([obj], Triple(toolchain.host_triple()))


def test_compiler_errors_are_passed_on():
    with pytest.raises(ToolError, match="use of undeclared identifier 'oops'"):
        toolchain.compile_source("int f(void) { return oops; }")


@pytest.mark.parametrize(
    "given, expected",
    [
        ("riscv64-unknown-linux-gnu", "riscv64-linux-gnu"),
        ("x86_64-linux-musl", "x86_64-linux-musl"),
        ("aarch64-pc-linux-gnu", "aarch64-linux-gnu"),
    ],
)
def test_zig_triple(given, expected):
    assert toolchain.zig_triple(given) == expected


def test_build_is_keyed_by_what_goes_in(tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path / "cache"))
    source, header = tmp_path / "a.c", tmp_path / "a.h"
    source.write_text('#include "a.h"\nint f(void) { return N; }')
    header.write_text("#define N 1")
    first = toolchain.build("a", [source], "obj", headers=[header])
    inode = first.stat().st_ino
    assert toolchain.build("a", [source], "obj", headers=[header]) == first
    assert first.stat().st_ino == inode
    header.write_text("#define N 2")
    assert toolchain.build("a", [source], "obj", headers=[header]) != first
    assert sorted(p.suffix for p in first.parent.iterdir()) == [".o", ".o"]  # no left-overs


def test_build_says_where_it_cannot_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    source = tmp_path / "a.c"
    source.write_text("int f(void) { return 1; }")
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ToolError, match="VERTEBRA_CACHE_DIR"):
        toolchain.build("a", [source], "obj")


def test_the_compiler_does_not_wait_for_a_folder_that_it_cannot_write(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    with pytest.raises(ToolError, match=r"cannot write to .*file/zig: .*\nfix: set VERTEBRA_CACHE_DIR"):
        toolchain.compile_source("int x;")
    read_only = tmp_path / "read_only"
    read_only.mkdir()
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(read_only))
    monkeypatch.setattr(toolchain.os, "access", lambda path, mode: False)  # as of a file system that is
    with pytest.raises(ToolError, match=r"cannot write to .*zig: Permission denied"):
        toolchain.compile_source("int x;")


def test_keep_writes_a_text_once(tmp_path, monkeypatch):
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path))
    one, other = toolchain.keep("a.h", "1\n"), toolchain.keep("a.h", "2\n")
    assert one.name == other.name == "a.h" and one != other
    assert (one.read_text(), other.read_text()) == ("1\n", "2\n")
    made = one.stat().st_mtime_ns
    assert toolchain.keep("a.h", "1\n") == one and one.stat().st_mtime_ns == made
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VERTEBRA_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ToolError, match=r"a\.h cannot be written"):
        toolchain.keep("a.h", "1\n")


def test_disassemble_names_the_missing_tool(monkeypatch):
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    with pytest.raises(ToolError, match=r"no disassembler for riscv64(.|\n)*binutils-riscv64-linux-gnu"):
        toolchain.disassemble(b"", "riscv64")


@pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump is not installed")
def test_disassemble_this_machine():
    obj = toolchain.compile_source("int nine(void) { return 9; }")
    assert "<nine>:" in toolchain.disassemble(obj, platform.machine())
