"""Dialect plugins one by one taken away: their operations name what to install, all else works."""

import contextlib

import numpy as np
import pytest
import triton
import triton.language as tl
import triton.language.extra.smt as smt
from triton.language.extra import tle

from vertebra.core import assembly, hooks, select
from vertebra.core.compile import render
from vertebra.core.context import context
from vertebra.core.errors import CompileError, VertebraError

from ..lowering.plugged import _forget

DIALECTS = ("xsmt", "xsmt_async", "tle", "ttx")


@contextlib.contextmanager
def removed(name: str):
    """Within it nobody knows the plugin, as if its entry point were not there."""
    manager = hooks.plugins().manager
    plugin = manager.unregister(name=name)
    _forget()
    try:
        yield
    finally:
        manager.register(plugin, name=name)
        _forget()


@pytest.fixture(params=DIALECTS)
def gone(request, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    with removed(request.param):
        select.set_core("host")
        yield request.param
    select.set_core(None)


@triton.jit
def block(p, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    return tl.make_block_ptr(p, (ROWS, COLUMNS), (COLUMNS, 1), (0, 0), (ROWS, COLUMNS), (1, 0))


@triton.jit
def with_tiles(x, y):
    a = smt.view(tl.load(block(x, 16, 16)), (0, 0), (16, 16), (8, 8))
    tl.store(block(y, 16, 16), smt.view(a * 2, (0, 0), (16, 16), (1, 1)))


@triton.jit
def with_barriers(x, y):
    bar = smt.mbarrier(0, 0, 0, 2)
    for s in smt.parallel(0, 2):
        half = tl.load(block(x + s * 128, 8, 16))
        smt.barrier_arrive(bar)
        smt.barrier_wait(bar, 1)
        tl.store(block(y + s * 128, 8, 16), half * 2)


@triton.jit
def with_parts(x, y):
    a = tl.load(block(x, 16, 16))
    for k in tl.static_range(4):
        part = tle.extract_tile(a, k, (4, 16))
        tl.store(block(y + k * 64, 4, 16), part * 2)


@triton.jit
def plain(x, y):
    tl.store(block(y, 16, 16), tl.cumsum(tl.load(block(x, 16, 16)), 0))


# kernel -> the plugins that it needs
KERNELS = {
    with_tiles: {"xsmt"},
    with_barriers: {"xsmt", "xsmt_async"},
    with_parts: {"tle"},
    plain: set(),
}


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: k.fn.__name__)
def test_kernels_that_need_it_name_it_and_others_run(gone, kernel):
    x = np.arange(256, dtype=np.float32).reshape(16, 16)
    y = np.zeros_like(x)
    fresh = triton.jit(kernel.fn)
    if gone not in KERNELS[kernel]:
        fresh[(1,)](x, y)
        np.testing.assert_array_equal(y, x.cumsum(0) if kernel is plain else x * 2)
        return
    with pytest.raises(CompileError, match="no installed plugin") as raised:
        fresh[(1,)](x, y)
    assert f"install the plugin {gone}" in raised.value.fix
    assert raised.value.kernel == kernel.fn.__name__ and raised.value.place.line


TEXTS = {
    "xsmt": "xsmt.barrier_arrive %n : i64",
    "xsmt_async": "xsmt_async.mbarrier_release %n : i64",
    "tle": "%t = tle.extract_tile %x[%i] : tensor<8xf32>, i32 -> tensor<4xf32>",
    "ttx": "%t = ttx.cumsum {axis = 0 : ui32} ins(%x : tensor<8xi1>) outs(%x : tensor<8xi1>) -> tensor<8xi1>",
}


def module_of(line: str) -> str:
    kind = "tensor<8xi1>" if "ttx" in line else "tensor<8xf32>"
    return f"tt.func public @k(%x: {kind}, %n: i64, %i: i32) {{\n{line}\ntt.return }}"


def test_text_that_needs_it_names_it_and_other_text_is_read(gone):
    for dialect, line in TEXTS.items():
        if dialect == gone:
            message = (
                f"no installed plugin has the dialect {gone}\n|dialect {gone}, which no installed plugin has"
            )
            with pytest.raises(VertebraError, match=message) as raised:
                render(module_of(line), "linalg", hooks.cores()["host"])
            assert f"install the plugin {gone}" in raised.value.fix
        else:
            read = assembly.parse(module_of(line), context())
            assert line.split(" ")[-1] in assembly.print_module(read)


def test_every_plugin_is_back():
    assert set(DIALECTS) <= set(hooks.dialects())
