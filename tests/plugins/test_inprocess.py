import os
import platform
import struct
import threading

import attrs
import numpy as np
import pytest

from vertebra.core import abi, toolchain
from vertebra.core.errors import ConfigError, LaunchError
from vertebra.core.runtime import Binary, storage_of
from vertebra.core.target import Core, VectorUnit
from vertebra.plugins.inprocess import runtime
from vertebra.plugins.inprocess.runtime import RUNTIME

HEAD = "#include <stdint.h>\n#include <string.h>\n"
PARAMETERS = "(const uint64_t *a, void *s, int64_t begin, int64_t end, int32_t gx, int32_t gy, int32_t gz)"
HOST = Core(
    name="host",
    target="host",
    arch=platform.machine(),
    triple=f"{platform.machine()}-unknown-linux-gnu",
    isa="host",
    vector=VectorUnit(128),
)


def load(body: str, signature: tuple[str, ...], scratch_bytes: int = 0, name: str = "kernel"):
    source = f"{HEAD}void {name}{PARAMETERS} {{ {body} }}"
    obj = toolchain.compile_source(source, triple=HOST.triple, flags=["-fPIC"])
    return RUNTIME.load(Binary(name, obj, scratch_bytes, signature, HOST))


COUNT = "for (int64_t p = begin; p < end; p++) __atomic_fetch_add((int32_t *)a[0] + p, 1, __ATOMIC_RELAXED);"


@pytest.fixture(scope="module")
def count():
    return load(COUNT, ("*i32",))


@pytest.mark.parametrize("grid", [(1, 1, 1), (7, 1, 1), (3, 5, 2), (0, 4, 4), (100_003, 1, 1)])
@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_every_program_runs_once(grid, threads, monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", threads)
    kernel = load(COUNT, ("*i32",))
    total = int(np.prod(grid))
    runs = np.zeros(total + 1, np.int32)
    kernel.launch(grid, (runs,))
    assert (runs[:total] == 1).all() and runs[total] == 0


def test_grid_reaches_the_kernel():
    kernel = load(
        "int32_t *o = (void *)a[0]; o[0] = gx; o[1] = gy; o[2] = gz; o[3] = (int32_t)end;", ("*i32",)
    )
    out = np.zeros(4, np.int32)
    kernel.launch((1, 1, 1), (out,))
    assert out.tolist() == [1, 1, 1, 1]


SCALARS = [
    ("i1", True, 1),
    ("i8", -3, -3),
    ("i32", -(2**31), -(2**31)),
    ("i32", 2**32 - 1, 2**32 - 1),
    ("i64", 2**64 - 1, -1),
    ("u64", 2**64 - 1, -1),
    ("u32", 2**32 - 1, 2**32 - 1),
    ("fp16", 1 / 3, None),
    ("bf16", 1 / 3, None),
    ("fp32", 1 / 3, None),
    ("fp32", 1e300, 0x7F800000),
    ("fp16", -1e9, 0xFC00),
    ("fp32", 7, None),
    ("fp64", 1 / 3, None),
    ("fp32", np.float32(0.1), None),
    ("i32", np.int32(-7), -7),
]


@pytest.mark.parametrize("type_name, value, slot", SCALARS)
def test_scalars_fill_their_slots(type_name, value, slot):
    kernel = load("memcpy((void *)a[0], &a[1], 8);", ("*i64", type_name))
    out = np.zeros(1, np.int64)
    kernel.launch((1, 1, 1), (out, value))
    expected = abi.scalar_bits(type_name, value) if slot is None else slot & 0xFFFF_FFFF_FFFF_FFFF
    assert int(out[0]) & 0xFFFF_FFFF_FFFF_FFFF == expected


def test_scratch_is_each_threads_own_and_aligned(monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "4")
    body = """
      for (int64_t p = begin; p < end; p++) {
        volatile int64_t *mine = s;
        for (int i = 0; i < 512; i++) mine[i] = p;
        int64_t same = 1;
        for (int i = 0; i < 512; i++) same &= mine[i] == p;
        ((int64_t *)a[0])[p] = same && (uintptr_t)s % 128 == 0;
      }"""
    kernel = load(body, ("*i64",), scratch_bytes=4096)
    good = np.zeros(2000, np.int64)
    kernel.launch((2000, 1, 1), (good,))
    assert good.all()


def test_helpers_of_the_compiler_are_found():
    kernel = load("__int128 *q = (void *)a[0]; q[0] /= q[1];", ("*i64",))
    words = np.array([0, 10, 3, 0], np.int64)  # 10 * 2**64 / 3
    kernel.launch((1, 1, 1), (words,))
    assert int(words[1]) * 2**64 + int(words[0]) % 2**64 == 10 * 2**64 // 3


def test_launches_from_several_threads(monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "3")
    kernel = load(COUNT, ("*i32",))
    arrays = [np.zeros(500, np.int32) for _ in range(4)]

    def work(array):
        for _ in range(100):
            kernel.launch((500, 1, 1), (array,))

    threads = [threading.Thread(target=work, args=(array,)) for array in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all((array == 100).all() for array in arrays)


def test_launch_in_a_forked_child(monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "3")
    kernel = load(COUNT, ("*i32",))
    runs = np.zeros(64, np.int32)
    kernel.launch((64, 1, 1), (runs,))  # the parent's workers exist now
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        kernel.launch((64, 1, 1), (runs,))
        os.write(writer, struct.pack("<i", int(runs.sum())))
        os._exit(0)
    os.close(writer)
    assert struct.unpack("<i", os.read(reader, 4)) == (128,)
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0


def test_tensors_are_arguments(count):
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(10, dtype=torch.int32)
    count.launch((4, 1, 1), (tensor[3:],))
    assert tensor.tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]


def test_wrong_arguments_are_named(count):
    with pytest.raises(LaunchError, match=r"kernel takes 1 arguments \(\*i32\), 2 were given"):
        count.launch((1, 1, 1), (np.zeros(1), 3))
    with pytest.raises(LaunchError, match="kernel kernel: a pointer is expected, and a value of type str"):
        count.launch((1, 1, 1), ("no",))
    with pytest.raises(LaunchError, match="argument 0 of kernel kernel is a str, its type is i32"):
        load("", ("i32",)).launch((1, 1, 1), ("no",))
    with pytest.raises(LaunchError, match="cannot be launched with"):
        count.launch((2**31, 1, 1), (np.zeros(1),))
    with pytest.raises(LaunchError, match="type 'tensordesc', which cannot be passed"):
        load("", ("tensordesc",))


def test_device_tensors_are_refused(count):
    class OnDevice:
        is_cpu, device = False, "cuda:0"

        def data_ptr(self):
            return 1 << 40

    with pytest.raises(LaunchError, match=r"on device cuda:0(.|\n)*fix: use \.cpu\(\)"):
        count.launch((1, 1, 1), (OnDevice(),))


def test_missing_function_is_reported():
    obj = toolchain.compile_source("int other(void) { return 1; }", triple=HOST.triple, flags=["-fPIC"])
    with pytest.raises(LaunchError, match="exports no function of that name"):
        RUNTIME.load(Binary("kernel", obj, 0, (), HOST))


def test_supports_tells_the_machine():
    assert RUNTIME.supports(HOST) is None
    other = attrs.evolve(HOST, name="x60", arch="sparc64")
    assert RUNTIME.supports(other) == f"core x60 is sparc64, this machine is {platform.machine()}"


def test_supports_compares_features(monkeypatch):
    monkeypatch.setattr(runtime, "_host_features", lambda: {"avx2": True, "avx512f": False})
    assert RUNTIME.supports(attrs.evolve(HOST, features=("+avx2", "+unheard-of", "-avx512f"))) is None
    reason = RUNTIME.supports(attrs.evolve(HOST, features=("+avx2", "+avx512f")))
    assert reason == "core host has +avx512f, this machine has not"


def test_thread_count_must_be_a_number(monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "many")
    with pytest.raises(ConfigError, match="VERTEBRA_NUM_THREADS is 'many'"):
        load("", ())


class TestStorage:
    def test_views_of_one_array_share_it(self):
        owner = np.arange(100, dtype=np.int16)
        backwards = owner[80:20:-2].reshape(5, 6).T
        whole = storage_of(owner)
        assert storage_of(backwards) == whole
        assert (whole.address, whole.nbytes) == (owner.ctypes.data, 200)

    def test_tensor_and_array_on_the_same_memory(self):
        torch = pytest.importorskip("torch")
        tensor = torch.zeros(4, 5)
        assert storage_of(tensor[1:, 2]) == storage_of(tensor.numpy()) == storage_of(tensor)

    def test_strided_trick(self):
        owner = np.zeros(10, np.float32)
        assert storage_of(np.lib.stride_tricks.as_strided(owner[2:], (3, 3), (4, 4))) == storage_of(owner)

    def test_address_has_no_extent(self):
        with pytest.raises(LaunchError, match="not how long it is"):
            storage_of(1234)


SERVICES = """
void vertebra_print(const char *what, int32_t x, int32_t y, int32_t z, int64_t element, uint64_t value);
void vertebra_fail(const char *message, int32_t x, int32_t y, int32_t z);
"""
# Numbers of a 12x2x100 tensor, as one operand of two in hexadecimal; then the last program fails.
SERVED = """
static const char what[] = " v: \\0x\\004\\003\\014\\0\\0\\0\\002\\0\\0\\0\\144\\0\\0\\0";
for (int64_t p = begin; p < end; p++) {
    if (p == gx - 1) vertebra_fail("enough", (int32_t)p, 0, 0);
    vertebra_print(what, (int32_t)p, 0, 0, 11 * 200 + 100 + p, 0xAB);
    ((int32_t *)a[0])[p] = 1;
}
"""


@pytest.mark.parametrize("loader", ["jit", "system"])
@pytest.mark.parametrize("threads", ["1", "4"])
def test_kernels_are_served(loader, threads, monkeypatch, capsys):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", threads)
    if loader == "system":
        monkeypatch.setattr(runtime, "_JIT_ARCHS", ())
    source = f"{HEAD}{SERVICES}void kernel{PARAMETERS} {{ {SERVED} }}"
    obj = toolchain.compile_source(source, triple=HOST.triple, flags=["-fPIC"])
    kernel = RUNTIME.load(Binary("kernel", obj, 256, ("*i32",), HOST))
    ran = np.zeros(3, np.int32)
    with pytest.raises(LaunchError, match=r"kernel kernel on grid \(3, 1, 1\): program \(2, 0, 0\): enough$"):
        kernel.launch((3, 1, 1), (ran,))
    expected = [f"pid ({p}, 0, 0) idx (11, 1, {p:2}) v: 0x00ab" for p in (0, 1) if ran[p]]
    assert sorted(capsys.readouterr().out.splitlines()) == expected
    assert threads == "4" or ran.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "state, said",
    [(1, "one of two"), (2 | 16 << 8, "found 16, not 8"), (2 | -1 << 8, "found -1, not 8"), (3, "the last")],
)
def test_a_kernel_that_fails_with_one_of_several_texts(state, said):
    text = r"one of two\0" r"found {}, not 8\0" r"the last"
    source = f"""{HEAD}
    void vertebra_fail_as(const char *texts, int64_t state, int32_t x, int32_t y, int32_t z);
    void kernel{PARAMETERS} {{ vertebra_fail_as("{text}", (int64_t)a[0], (int32_t)begin, 0, 0); }}
    """
    obj = toolchain.compile_source(source, triple=HOST.triple, flags=["-fPIC"])
    kernel = RUNTIME.load(Binary("kernel", obj, 0, ("i64",), HOST))
    with pytest.raises(LaunchError, match=rf"program \(0, 0, 0\): {said}$"):
        kernel.launch((1, 1, 1), (state,))
