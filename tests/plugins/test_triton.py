"""The Triton frontend: what reaches the compiler, what reaches the runtime, and who is the driver."""

import inspect
import itertools
import json

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton._C.libtriton import native_specialize_impl
from triton.runtime.driver import driver
from triton.tools.tensor_descriptor import TensorDescriptor

from vertebra.core import compile as stages
from vertebra.core import hooks, select
from vertebra.core.errors import CompileError, ConfigError
from vertebra.core.runtime import Binary
from vertebra.plugins.triton.arguments import _specializer
from vertebra.plugins.triton.compiler import VertebraBackend
from vertebra.plugins.triton.driver import VertebraDriver
from vertebra.plugins.triton.timing import do_bench


@triton.jit
def twice(x):
    return x + x


@triton.jit(noinline=True)
def scaled(number):
    return number * 0.5


@triton.jit
def add(x, y, out, n, scale=1.0, BLOCK: tl.constexpr = 16, EVEN: tl.constexpr = False):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    s = twice(tl.load(x + i, mask=mask)) + tl.load(y + i, mask=mask)
    for _ in tl.static_range(2):
        s = s * scaled(scale)
    tl.store(out + i, s, mask=mask)


@triton.jit
def where_am_i(out):
    x, y, z = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    place = x + tl.num_programs(0) * (y + tl.num_programs(1) * z)
    tl.store(out + place, place + 1)


@triton.jit
def typed(out, flag, half: tl.float16, wide: "u64", absent, pair):  # noqa: F821 - Triton's way to name a type
    if absent is None:
        tl.store(out, half + flag + wide + pair[0] + pair[1])


@triton.jit
def through_descriptor(source, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i[:, None] * N + i[None, :], source.load([0, 0]))


@triton.jit
def wrong(x):
    tl.store(x, undefined_name)  # noqa: F821


@triton.jit
def through_float8(x, out):
    tl.store(out, tl.load(x).to(tl.float8e4b15).to(tl.float32))


@triton.jit
def widen(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.load(x + i).to(tl.float8e4b15, bitcast=True).to(tl.float32))


@triton.jit
def narrow(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.load(x + i).to(tl.float8e4b15).to(tl.int8, bitcast=True))


KERNELS = (add, where_am_i, typed, through_descriptor, wrong, through_float8, widen, narrow)


@pytest.fixture(autouse=True)
def on_host(monkeypatch, tmp_path):
    """Every test starts with empty caches, on the machine itself."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    monkeypatch.delenv("VERTEBRA_CORE", raising=False)
    for kernel in KERNELS:
        kernel.device_caches.clear()
    select.set_core("host")
    yield
    select.set_core(None)


class Recorder:
    """A compiler that compiles nothing and a runtime that runs nothing; both remember."""

    name = "recorder"

    def __init__(self):
        self.texts, self.options, self.launches = [], [], []

    def render(self, text, stop, core, options, watch=None):
        assert stop == "llir"
        self.texts.append(text)
        self.options.append(options)
        return "llir of " + text

    def compile(self, text, core, options, *, name, signature, start, watch=None):
        assert start == "llir" and text == "llir of " + self.texts[-1]
        return Binary(name=name, object=b"code\n", scratch_bytes=64, signature=signature, core=core)

    def supports(self, core):
        return None

    def load(self, binary):
        assert binary.object == b"code\n"
        self.binary = binary
        return self

    def launch(self, grid, args):
        self.launches.append((grid, args))


@pytest.fixture
def recorder(monkeypatch):
    made = Recorder()
    monkeypatch.setattr(stages, "render", made.render)
    monkeypatch.setattr(stages, "compile", made.compile)
    monkeypatch.setattr(hooks, "runtimes", lambda: {"recorder": made})
    return made


# --- What reaches the runtime ----------------------------------------------------------------


@pytest.mark.parametrize("make", [torch.ones, np.ones], ids=["torch", "numpy"])
def test_arguments_in_slot_order(recorder, make):
    x, out = make(40), make(40)
    add[(3,)](x, n=40, out=out, y=x, BLOCK=32)
    ((grid, args),) = recorder.launches
    assert grid == (3, 1, 1)
    assert args[0] is x and args[1] is x and args[2] is out
    assert args[3:] == (40, 1.0)
    kind = "*fp32" if make is torch.ones else "*fp64"
    assert recorder.binary.signature == (kind, kind, kind, "i32", "fp32")
    assert recorder.binary.name == "add"
    assert recorder.binary.core.name == "host"


@pytest.mark.parametrize(
    "grid, expected",
    [
        ((5,), (5, 1, 1)),
        ((2, 3), (2, 3, 1)),
        ((2, 3, 4), (2, 3, 4)),
        (lambda meta: (meta["n"] // meta["BLOCK"],), (2, 1, 1)),
    ],
)
def test_grids(recorder, grid, expected):
    x = np.zeros(32, np.float32)
    add[grid](x, x, x, 32)
    assert recorder.launches[0][0] == expected


def test_types_constants_and_tuples(recorder):
    out = np.zeros(1, np.float32)
    typed[(1,)](out, True, 2.5, 2**63, None, (3, 1))
    ((_, args),) = recorder.launches
    assert args == (out, True, 2.5, 2**63, 3)  # None is a constant, and so is the number 1
    assert recorder.binary.signature == ("*fp32", "i1", "fp16", "i64", "i32")


@pytest.mark.parametrize(
    "dtype, name",
    [
        ("float16", "*fp16"),
        ("float32", "*fp32"),
        ("int8", "*i8"),
        ("uint16", "*i16"),
        ("int64", "*i64"),
        ("bool", "*i1"),
    ],
)
def test_numpy_types(recorder, dtype, name):
    out = np.zeros(4, dtype)
    where_am_i[(1,)](out)
    assert recorder.binary.signature == (name,)
    assert recorder.launches[0][1][0] is out


def test_numpy_scalars_are_numbers(recorder):
    x = np.zeros(64, np.float32)
    add[(1,)](x, x, x, np.int64(48), np.float32(2))
    add[(1,)](x, x, x, 64, 3.0)
    assert len(recorder.texts) == 1
    assert "%n: i32 {tt.divisibility = 16" in recorder.texts[0]
    assert [float(args[4]) for _, args in recorder.launches] == [2.0, 3.0]


def test_numpy_is_specialised_as_torch_is():
    backend = VertebraBackend
    native = native_specialize_impl
    specialize = _specializer(native)
    block = torch.zeros(64)
    for tensor, flags in itertools.product((block, block[1:]), itertools.product((False, True), repeat=3)):
        assert specialize(backend, tensor.numpy(), *flags) == native(backend, tensor, *flags)
    pair = (2, block[1:])
    assert specialize(backend, (2, block[1:].numpy()), False, True, True) == native(
        backend, pair, False, True, True
    )


def test_alignment_of_numpy_arrays_is_part_of_the_key(recorder):
    block = np.zeros(64 + 4, np.float32)
    start = -block.ctypes.data % 16 // 4
    aligned, shifted = block[start : start + 32], block[start + 1 : start + 33]
    where_am_i[(1,)](aligned)
    where_am_i[(1,)](shifted)
    assert ["tt.divisibility" in text for text in recorder.texts] == [True, False]


@pytest.mark.parametrize(
    "array, message", [(np.zeros(2, complex), "complex128"), (np.zeros(2, ">f4"), "byte order")]
)
def test_arrays_that_triton_has_no_type_for(recorder, array, message):
    with pytest.raises(TypeError, match=message):
        where_am_i[(1,)](array)


def test_what_is_no_argument_is_still_refused(recorder):
    with pytest.raises(TypeError, match="str"):
        where_am_i[(1,)]("x")
    with pytest.raises(TypeError, match="out"):
        where_am_i[(1,)]()


def test_tensor_descriptor_from_the_host(recorder):
    source, out = torch.zeros(64, 32), torch.zeros(16, 16)
    through_descriptor[(1,)](TensorDescriptor.from_tensor(source, [16, 16]), out, 16)
    ((_, args),) = recorder.launches
    assert args[0] is source and args[-1] is out
    assert args[1:-1] == (64, 32, 32, 1, False, False, 64, 32, 32, 1)
    assert recorder.binary.signature == (
        "*fp32",
        *["i64"] * 4,
        "i1",
        "i1",
        "i32",
        "i32",
        "i64",
        "i64",
        "*fp32",
    )


def test_launch_hooks(recorder):
    heard = []
    enter = lambda info: heard.append(("enter", info.get()["name"], len(recorder.launches)))  # noqa: E731
    leave = lambda info: heard.append(("leave", info.get()["name"], len(recorder.launches)))  # noqa: E731
    triton.knobs.runtime.launch_enter_hook.add(enter)
    triton.knobs.runtime.launch_exit_hook.add(leave)
    try:
        where_am_i[(1,)](np.zeros(1, np.int32))
    finally:
        triton.knobs.runtime.launch_enter_hook.remove(enter)
        triton.knobs.runtime.launch_exit_hook.remove(leave)
    assert heard == [("enter", "where_am_i", 0), ("leave", "where_am_i", 1)]


# --- What reaches the compiler ---------------------------------------------------------------


def test_ttir_is_one_function_with_locations(recorder):
    x = torch.zeros(16)
    add[(1,)](x, x, x, 16, debug=True, fast_math=True, num_warps=8, waves_per_eu=2, maxnreg=32)
    (text,), (options,) = recorder.texts, recorder.options
    assert text.count("tt.func") == 1 and "tt.call" not in text
    assert f'"{__file__}":' in text
    assert options.fast_math


def test_columns_start_at_1(recorder):
    where_am_i[(1,)](np.zeros(1, np.int32))
    source, first = inspect.getsourcelines(where_am_i.fn)
    (store,) = (number for number, line in enumerate(source, first) if line.startswith("    tl.store("))
    assert f'loc("{__file__}":{store}:5)' in recorder.texts[0]


def test_unknown_option_is_refused(recorder):
    with pytest.raises(KeyError, match="num_wraps"):
        where_am_i[(1,)](np.zeros(1, np.int32), num_wraps=4)


def test_no_overflow_checks_without_debug(recorder):
    where_am_i[(1,)](np.zeros(1, np.int32))
    assert "i64" not in recorder.texts[0]


def test_float8_of_the_back_end(recorder):
    through_float8[(1,)](np.ones(1, np.float32), np.zeros(1, np.float32))
    assert "inline_asm" not in recorder.texts[0]


def test_warmup_compiles_and_does_not_run(recorder):
    kernel = add.warmup(torch.float32, torch.float32, torch.float32, 100, grid=(1,))
    assert recorder.texts and not recorder.launches
    assert "tt.func public @add" in kernel.asm["ttir"]
    assert kernel.asm["llir"].startswith("llir of ")
    assert kernel.metadata.name == "add" and kernel.metadata.core == "host" and kernel.metadata.shared == 64


def test_triton_keeps_the_binary_on_disk(recorder):
    x = torch.zeros(16)
    for _ in range(2):
        add.device_caches.clear()
        add[(1,)](x, x, x, 16, num_warps=4)
    add[(1,)](x, x, x, 16, num_warps=8)  # means nothing here, hence no new code
    assert (len(recorder.texts), len(recorder.launches)) == (1, 3)
    add[(1,)](x, x, x, 16, fast_math=True)
    assert len(recorder.texts) == 2


def test_a_file_of_ir(recorder, tmp_path):
    x = torch.zeros(16)
    path = tmp_path / "add.ttir"
    path.write_text(add.warmup(x, x, x, 16, grid=(1,)).asm["ttir"])
    kernel = triton.compile(str(path))
    kernel[(2, 1, 1)](x, x, x, 16, 1.0)
    assert recorder.launches == [((2, 1, 1), (x, x, x, 16, 1.0))]


def test_another_core_is_another_kernel(recorder, monkeypatch):
    other = hooks.cores()["host"].__class__(**{**_fields(hooks.cores()["host"]), "name": "other"})
    known = {**hooks.cores(), "other": other}
    monkeypatch.setattr(hooks, "cores", lambda: known)
    out = np.zeros(1, np.int32)
    where_am_i[(1,)](out)
    select.set_core("other")
    where_am_i[(1,)](out)
    assert recorder.binary.core.name == "other"
    select.set_core("host")
    where_am_i[(1,)](out)
    assert (len(recorder.texts), len(recorder.launches)) == (2, 3)


def _fields(core):
    import attrs

    return attrs.asdict(core, recurse=False)


def test_autotune_and_heuristics(recorder):
    tuned = triton.autotune(
        [triton.Config({"BLOCK": 16}, num_warps=1), triton.Config({"BLOCK": 32}, num_stages=2)], key=["n"]
    )(triton.heuristics({"EVEN": lambda args: args["n"] % args["BLOCK"] == 0})(add))
    x = torch.zeros(64)
    tuned[lambda meta: (triton.cdiv(64, meta["BLOCK"]),)](x, x, x, 64)
    assert tuned.best_config.kwargs["BLOCK"] in (16, 32)
    assert len(recorder.texts) == 2
    grid, args = recorder.launches[-1]
    assert grid == (64 // tuned.best_config.kwargs["BLOCK"], 1, 1) and len(args) == 5


# --- Errors ----------------------------------------------------------------------------------


def test_our_errors_arrive_as_they_are(recorder, monkeypatch):
    error = CompileError("too much", kernel="add")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(stages, "render", fail)
    with pytest.raises(CompileError) as caught:
        where_am_i[(1,)](np.zeros(1, np.int32))
    assert caught.value is error


def test_tritons_errors_arrive_as_they_are(recorder):
    with pytest.raises(triton.CompilationError, match="undefined_name is not defined"):
        wrong[(1,)](np.zeros(1, np.float32))


# --- Who is the driver -----------------------------------------------------------------------


@pytest.fixture
def other_driver(monkeypatch):
    """Another back end whose driver says it is active."""
    from triton import backends

    class Other(VertebraDriver):
        @classmethod
        def is_active(cls):
            return True

    monkeypatch.setitem(backends.backends, "nvidia", backends.Backend(None, Other))
    select.set_core(None)
    monkeypatch.delenv("TRITON_DEFAULT_BACKEND", raising=False)
    return Other


def test_the_default_where_no_other_is_active(monkeypatch):
    select.set_core(None)
    monkeypatch.delenv("TRITON_DEFAULT_BACKEND", raising=False)
    assert VertebraDriver.is_active()


def test_inactive_beside_another(other_driver):
    assert not VertebraDriver.is_active()


def test_named_by_tritons_variable(other_driver, monkeypatch):
    monkeypatch.setenv("TRITON_DEFAULT_BACKEND", "vertebra")
    assert VertebraDriver.is_active()
    monkeypatch.setenv("TRITON_DEFAULT_BACKEND", "nvidia")
    assert not VertebraDriver.is_active()


def test_chosen_too_late_is_explained(other_driver, monkeypatch):
    monkeypatch.setenv("VERTEBRA_CORE", "host")
    with pytest.raises(ConfigError, match="nvidia is active too"):
        VertebraDriver.is_active()


def test_set_core_takes_over(other_driver):
    driver.set_active(object())
    select.set_core("host")
    assert isinstance(driver.active, VertebraDriver)


def test_the_interface_that_tools_ask():
    active = driver.active
    assert active.get_current_target() == triton.backends.compiler.GPUTarget("vertebra", "host", 1)
    assert active.get_active_torch_device() == torch.device("cpu")
    properties = active.utils.get_device_properties(active.get_current_device())
    assert properties["multiprocessor_count"] >= 1 and properties["max_shared_mem"] > 1 << 20


# --- Timing ----------------------------------------------------------------------------------


def test_do_bench_counts_calls_and_gives_quantiles():
    calls = []
    low, high = do_bench(lambda: calls.append(0), warmup=0, rep=1, quantiles=(0.1, 0.9))
    assert len(calls) >= 2 and 0 < low <= high
    assert len(do_bench(lambda: None, 0, 0, return_mode="all")) == 1
    assert do_bench(lambda: None, 0, 0.1) >= 0
    with pytest.raises(ValueError, match="'men'"):
        do_bench(lambda: None, return_mode="men")


def test_tritons_own_do_bench(monkeypatch):
    monkeypatch.setattr(VertebraDriver, "get_empty_cache_for_benchmark", lambda self: np.ones(4))
    assert 0 < triton.testing.do_bench(lambda: sum(range(100)), warmup=1, rep=1) < 10


# --- The whole way ---------------------------------------------------------------------------


@pytest.mark.parametrize("make", [torch.from_numpy, lambda array: array], ids=["torch", "numpy"])
def test_add_on_this_machine(make):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 1000), np.float32)
    out = np.zeros(1001, np.float32)
    add[lambda meta: (triton.cdiv(1000, meta["BLOCK"]),)](make(x), make(y), make(out), 1000, 0.5, BLOCK=128)
    np.testing.assert_array_equal(out[:1000], (2 * x + y) * np.float32(0.0625))
    assert out[1000] == 0


def test_float8e4b15_on_this_machine():
    codes = np.arange(256, dtype=np.uint8)
    exponent, mantissa = (codes >> 3 & 15).astype(int), codes & 7
    size = np.where(exponent > 0, (1 + mantissa / 8) * 2.0 ** (exponent - 15), mantissa / 8 * 2.0**-14)
    values = np.where(codes & 128, -size, size).astype(np.float32)
    widened, narrowed = np.zeros(256, np.float32), np.zeros(256, np.int8)
    widen[(1,)](codes.view(np.int8), widened, 256)
    np.testing.assert_array_equal(widened, values)
    narrow[(1,)](values, narrowed, 256)
    # The largest code of each sign is never made: 1.875 becomes 1.75.
    np.testing.assert_array_equal(narrowed.view(np.uint8), np.where(codes & 127 == 127, codes - 1, codes))
    between = np.array([0.3, -1.0625, 1.0626, 5.0, np.nan, -0.0, 2.0**-18], np.float32)
    rounded = np.zeros(8, np.int8)
    narrow[(1,)](np.append(between, np.float32(0)), rounded, 8)
    np.testing.assert_array_equal(rounded.view(np.uint8), [0x6A, 0xF9, 0x79, 0x7E, 0x7E, 0x80, 0x01, 0])


def test_program_ids_on_this_machine():
    out = np.zeros(2 * 3 * 4, np.int32)
    where_am_i[(2, 3, 4)](out)
    np.testing.assert_array_equal(out, np.arange(24) + 1)


def test_metadata_is_plain_data(recorder):
    kernel = where_am_i.warmup(np.zeros(1, np.int32), grid=(1,))
    assert json.dumps(kernel.metadata._asdict(), default=vars)
