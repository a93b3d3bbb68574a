"""Stages of kernels that Triton compiles, although they are in its cache."""

import numpy as np
import pytest
import triton
import triton.language as tl
from triton import knobs

from vertebra.core import dump
from vertebra.core.select import find_core
from vertebra.plugins.triton import compiler


@triton.jit
def twice(x, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, i < n) * 2, i < n)


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.delenv("VERTEBRA_PRINT", raising=False)
    monkeypatch.setenv("VERTEBRA_DUMP", str(tmp_path))
    with knobs.compilation.scope():
        yield tmp_path


def run(block):
    x, out = np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
    twice.device_caches.clear()  # as in a new process
    twice[(1,)](x, out, 5, BLOCK=block)
    np.testing.assert_array_equal(out, 2 * x)


def test_a_launch_writes_one_folder_for_each_specialisation(folder):
    for block in (8, 16):
        run(block)
    folders = list(folder.iterdir())
    assert len(folders) == 2
    for each in folders:
        assert {file.name for file in each.iterdir()} == {*dump.FILES.values(), "passes.txt"}
        assert "tl.load" not in (each / "ttir.mlir").read_text()
        assert f'"{__file__}"' in (each / "linalg.mlir").read_text()


def test_a_cached_kernel_is_written_too(folder):
    run(32)
    for file in folder.glob("*/*"):
        file.unlink()
    run(32)
    assert len(list(folder.glob("*/*"))) == len(dump.FILES) + 1


def test_nothing_follows_a_kernel_that_nobody_asks_about(monkeypatch):
    for name in (*dump.VARIABLES, dump.PRINT):
        monkeypatch.delenv(name, raising=False)
    host = find_core("host")
    assert dump.watch("", "k", host, compiler.VertebraOptions().code_options()) is None
