import gc
import os
import shutil
import threading
import time

import attrs
import numpy as np
import pytest

from vertebra.core import toolchain
from vertebra.core.errors import ConfigError, LaunchError, ToolError
from vertebra.core.runtime import Binary, Emulator
from vertebra.core.target import Core, VectorUnit
from vertebra.plugins.qemu import process
from vertebra.plugins.qemu.runtime import QemuRuntime, cpu_option

pytestmark = pytest.mark.skipif(shutil.which("qemu-riscv64") is None, reason="qemu-riscv64 is not installed")

HEAD = "#include <stdint.h>\n#include <string.h>\n"
PARAMETERS = "(const uint64_t *a, void *s, int64_t begin, int64_t end, int32_t gx, int32_t gy, int32_t gz)"
CORE = Core(
    name="test",
    target="rvv",
    arch="riscv64",
    triple="riscv64-unknown-linux-gnu",
    isa="rv64gcv",
    vector=VectorUnit(256),
    features=("+m", "+a", "+f", "+d", "+c", "+v"),
)
COUNT = "for (int64_t p = begin; p < end; p++) __atomic_fetch_add((int32_t *)a[0] + p, 1, __ATOMIC_RELAXED);"


@pytest.fixture(scope="module")
def runtime():
    made = QemuRuntime()
    yield made
    made.close()


def load(
    runtime, body: str, signature: tuple[str, ...], *, scratch_bytes=0, name="kernel", core=CORE, before=""
):
    source = f"{HEAD}{before}\nvoid {name}{PARAMETERS} {{ {body} }}"
    flags = ["-fPIC", "-mcpu=generic_rv64+m+a+f+d+c+v"]
    obj = toolchain.compile_source(source, triple=core.triple, flags=flags)
    return runtime.load(Binary(name, obj, scratch_bytes, signature, core))


@pytest.fixture(scope="module")
def count(runtime):
    return load(runtime, COUNT, ("*i32",))


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("grid", [(1, 1, 1), (5, 3, 7), (0, 1, 1)])
def test_every_program_runs_once(runtime, grid, threads, monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", threads)
    runs = np.zeros(200, np.int32)
    load(runtime, COUNT, ("*i32",)).launch(grid, (runs,))
    total = int(np.prod(grid))
    assert (runs[:total] == 1).all() and not runs[total:].any()


def test_scalars_and_grid_arrive(runtime):
    body = """
      int64_t *o = (void *)a[0];
      memcpy(o, a + 1, 16);
      o[2] = gx; o[3] = gy; o[4] = gz; o[5] = (uintptr_t)s % 128; o[6] = a[0] % 64;
    """
    kernel = load(runtime, body, ("*i64", "fp32", "i64"), scratch_bytes=1000)
    out = np.zeros(7, np.int64)
    kernel.launch((1, 2, 3), (out, 1.5, -7))
    assert out.tolist() == [0x3FC00000, -7, 1, 2, 3, 0, out.ctypes.data % 64]


@pytest.mark.parametrize("vlen", [128, 256, 1024])
def test_vector_registers_have_the_cores_length(runtime, vlen):
    core = attrs.evolve(CORE, vector=VectorUnit(vlen))
    body = '__asm__ volatile("csrr %0, vlenb" : "=r"(*(int64_t *)a[0]));'
    out = np.zeros(1, np.int64)
    load(runtime, body, ("*i64",), core=core).launch((1, 1, 1), (out,))
    assert out[0] * 8 == vlen


def test_views_that_share_memory_alias(runtime):
    body = "int32_t *x = (void *)a[0], *y = (void *)a[1]; x[0] = 5; y[0] += x[0]; y[-1] = 9;"
    owner = np.arange(8, dtype=np.int32)
    load(runtime, body, ("*i32", "*i32")).launch((1, 1, 1), (owner[3:], owner[::-1][4:]))
    assert owner.tolist() == [0, 1, 9, 10, 4, 5, 6, 7]


def test_tensors_and_their_arrays_alias(runtime):
    torch = pytest.importorskip("torch")
    body = "int32_t *x = (void *)a[0], *y = (void *)a[1]; x[0] = 5; y[0] = x[0] + 1;"
    tensor = torch.zeros(4, dtype=torch.int32)
    load(runtime, body, ("*i32", "*i32")).launch((1, 1, 1), (tensor[2:], tensor.numpy()[2:]))
    assert tensor.tolist() == [0, 0, 6, 0]


def test_read_only_and_empty_arguments(runtime):
    source = np.arange(4, dtype=np.int32)
    frozen = np.frombuffer(source.tobytes(), np.int32)
    out = np.zeros(4, np.int32)
    kernel = load(runtime, "memcpy((void *)a[1], (void *)a[0], 16);", ("*i32", "*i32", "*i32"))
    kernel.launch((1, 1, 1), (frozen, out, np.zeros(0, np.int32)))
    assert out.tolist() == [0, 1, 2, 3]


def test_memory_grows(count):
    for size in (10, 3_000_000, 100):
        runs = np.zeros(size, np.int32)
        count.launch((10, 1, 1), (runs,))
        assert runs.sum() == 10


def test_addresses_cannot_cross(count):
    with pytest.raises(
        LaunchError, match="kernel kernel: a value of type int says where it is but not how long"
    ):
        count.launch((1, 1, 1), (4096,))


DEATHS = [
    ("*(volatile int *)16 = 1;", r"SIGSEGV at kernel\+0x[0-9a-f]+, accessing address 0x10"),
    (
        "*(volatile int *)(a[0] + 64 + (1 << 23)) = 1;",
        r"accessing byte 8388672 of the 64 bytes of argument 0",
    ),
    ('volatile char x[3 << 23]; x[9] = 1; __asm__ volatile("" ::"r"(x) : "memory");', "SIGSEGV at kernel"),
    (
        '__asm__ volatile(".word 0x0000700b");',
        r"SIGILL at kernel\+0x[0-9a-f]+: there is no instruction 0x0000700b",
    ),
    ('__asm__ volatile(".2byte 0");', "SIGILL at kernel.*0x00000000"),
    ("__builtin_debugtrap();", "SIGTRAP at kernel"),
]


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("body, message", DEATHS)
def test_faults_are_explained_and_the_next_launch_works(
    runtime, body, message, threads, monkeypatch, tmp_path
):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", threads)
    data = np.zeros(16, np.int32)
    with pytest.raises(LaunchError, match=message):
        load(runtime, body, ("*i32",)).launch((4, 1, 1), (data,))
    load(runtime, COUNT, ("*i32",)).launch((16, 1, 1), (data,))
    assert data.sum() == 16


@pytest.mark.parametrize(
    "index, message",
    [(16, "up to 4 bytes past the end of"), (-1, "up to 4 bytes before")],
    ids=["after", "before"],
)
def test_stray_writes_are_found(runtime, index, message):
    kernel = load(runtime, f"((int32_t *)a[0])[{index}] = -1;", ("*i32",))
    with pytest.raises(LaunchError, match=f"{message} the 64 bytes of argument 0"):
        kernel.launch((1, 1, 1), (np.zeros(16, np.int32),))


def test_time_limit(runtime, count, monkeypatch):
    endless = load(runtime, 'for (;;) __asm__ volatile("");', ())
    monkeypatch.setenv("VERTEBRA_TIMEOUT", "0.2")
    with pytest.raises(LaunchError, match=r"ran for more than 0\.2 s"):
        endless.launch((1, 1, 1), ())
    monkeypatch.setenv("VERTEBRA_TIMEOUT", "soon")
    with pytest.raises(ConfigError, match="VERTEBRA_TIMEOUT is 'soon'"):
        count.launch((1, 1, 1), (np.zeros(1, np.int32),))


def test_killed_emulator(runtime, count):
    data = np.zeros(16, np.int32)
    count.launch((16, 1, 1), (data,))
    victim = runtime.runner(CORE).process
    victim.kill()
    victim.wait()
    count.launch((16, 1, 1), (data,))  # between launches nobody notices
    assert data.sum() == 32
    endless = load(runtime, 'for (;;) __asm__ volatile("");', ())
    killer = threading.Timer(0.2, runtime.runner(CORE).process.kill)
    killer.start()
    with pytest.raises(LaunchError, match="killed by SIGKILL"):
        endless.launch((1, 1, 1), ())
    count.launch((16, 1, 1), (data,))
    assert data.sum() == 48


def test_kernels_are_unloaded(runtime, count):
    data = np.zeros(16, np.int32)
    count.launch((1, 1, 1), (data,))
    runner = runtime.runner(CORE)
    before = len(runner.loaded)
    kernel = load(runtime, COUNT, ("*i32",))
    kernel.launch((1, 1, 1), (data,))
    assert len(runner.loaded) == before + 1
    del kernel
    gc.collect()
    count.launch((1, 1, 1), (data,))
    assert len(runner.loaded) == before
    assert data[0] == 3


def test_forked_child_has_its_own_process(runtime, count):
    data = np.zeros(16, np.int32)
    count.launch((16, 1, 1), (data,))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            count.launch((16, 1, 1), (data,))
            status = 0 if data.sum() == 32 else 2
            runtime.close()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    count.launch((16, 1, 1), (data,))
    assert data.sum() == 32


def test_nothing_is_left_behind(count):
    own = QemuRuntime()
    kernel = load(own, COUNT, ("*i32",))
    kernel.launch((1, 1, 1), (np.zeros(1, np.int32),))
    pid = own.runner(CORE).process.pid
    own.close()
    assert not os.path.exists(f"/proc/{pid}")


def test_orphan_ends_by_itself(runtime):
    runner = runtime.start(CORE)
    runner._socket.close()
    deadline = time.monotonic() + 10
    while runner.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert runner.process.returncode == 0


def test_supports(runtime):
    assert runtime.supports(CORE) is None
    assert "is x86_64" in runtime.supports(attrs.evolve(CORE, arch="x86_64"))
    assert "2048 bits" in runtime.supports(attrs.evolve(CORE, vector=VectorUnit(2048)))


def test_missing_emulator(runtime, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    process.emulator_program.cache_clear()
    process.emulator_version.cache_clear()
    try:
        assert "apt-get install qemu-user" in runtime.supports(CORE)
    finally:
        monkeypatch.undo()
        process.emulator_program.cache_clear()
        process.emulator_version.cache_clear()


def test_cpu_option_follows_the_core():
    option = cpu_option(attrs.evolve(CORE, features=("+v", "+zba", "-zbb"), emulator={"zbc": "true"}))
    words = option.split(",")
    assert {"v=true", "vlen=256", "zba=true", "zbb=false", "zbc=true"} <= set(words)


def test_wrong_emulator_option_is_told(runtime):
    with pytest.raises(ToolError, match=r"did not start .*\n?.*nonsense"):
        load(runtime, COUNT, ("*i32",), core=attrs.evolve(CORE, emulator={"nonsense": "true"})).launch(
            (1, 1, 1), (np.zeros(1, np.int32),)
        )


COUNTED = """
.globl kernel
kernel:                     # per program: 1 vset, 2 loads, 1 add, 1 store, 1 multiply-add, 3 others
  bge a2, a3, 1f
  ld t0, 0(a0)
0:
  vsetivli zero, 4, e32, m1, ta, ma
  vle32.v v8, (t0)
  vle32.v v9, (t0)
  vadd.vi v8, v8, 1
  vmacc.vx v8, zero, v9
  vse32.v v8, (t0)
  addi a2, a2, 1
  nop
  blt a2, a3, 0b
1:
  ret
"""


def test_instructions_are_counted_by_class(runtime):
    obj = toolchain.compile_source(COUNTED, triple=CORE.triple, flags=["-mcpu=generic_rv64+v"], language="s")
    kernel = runtime.load(Binary("kernel", obj, 0, ("*i32",), CORE))
    data = np.zeros(4, np.int32)
    for programs in (1, 100):
        counts = kernel.count((programs, 1, 1), (data,))
        assert counts == {
            "all": 9 * programs + 3,
            "vector_load": 2 * programs,
            "vector_store": programs,
            "vector_set": programs,
            "vector_arithmetic": 2 * programs,
            "custom1": 0,
        }
    assert data.tolist() == [101] * 4


def test_launches_are_counted_for_all_who_ask(runtime):
    obj = toolchain.compile_source(COUNTED, triple=CORE.triple, flags=["-mcpu=generic_rv64+v"], language="s")
    kernel = runtime.load(Binary("kernel", obj, 0, ("*i32",), CORE))
    data, mine = np.zeros(4, np.int32), []
    with runtime.counting(mine):
        kernel.launch((1, 1, 1), (data,))
        with runtime.counting() as inner:
            kernel.launch((2, 1, 1), (data,))
        assert list(kernel.counted.values()) == [21]
        kernel.launch((3, 1, 1), (data,))
    assert not runtime.is_counting
    kernel.launch((4, 1, 1), (data,))
    assert kernel.counted is None and data.tolist() == [10] * 4
    assert [count["all"] for count in mine] == [12, 21, 30] and [count["all"] for count in inner] == [21]


SWAP = """
#include "emulate.h"
/* custom-3: swaps x[rd] and x[rs1], adds 1 to every byte of v[rs2] below vl, copies f2 to f1. */
static enum vertebra_emulation run(uint32_t word, struct vertebra_hart *hart) {
  unsigned rd = word >> 7 & 31, rs1 = word >> 15 & 31, rs2 = word >> 20 & 31;
  if ((word & 0x7F) != 0x7B)
    return VERTEBRA_NOT_MINE;
  if (word >> 25)
    return VERTEBRA_ILLEGAL;
  uint64_t kept = hart->x[rd];
  hart->x[rd] = hart->x[rs1];
  hart->x[rs1] = kept;
  for (uint64_t i = 0; i < hart->vl; i++)
    hart->v[rs2 * hart->vlenb + i]++;
  hart->f[1] = hart->f[2];
  return VERTEBRA_DONE;
}

const struct vertebra_emulator emulate_swap = {.run = run};
"""

USES_SWAP = """
.globl kernel
kernel:
  ld t0, 0(a0)
  li t1, 100
  vsetvli zero, t1, e8, m1, ta, ma
  vmv.v.i v3, 5
  vmv.v.i v4, 7
  vmv.v.i v31, 9
  vsetivli zero, 20, e8, m1, ta, ma
  li t2, 11
  fcvt.d.w fa2, t1
  fcvt.d.w ft2, t2
loop:
  .insn r 0x7b, 0, {funct7}, t1, t2, x3
  csrr t3, vl
  addi a2, a2, 1
  blt a2, a3, loop
  sd t1, 0(t0)
  sd t2, 8(t0)
  sd t3, 16(t0)
  fsd ft1, 24(t0)
  addi t0, t0, 32
  vsetvli t3, x0, e8, m1, ta, ma
  vse8.v v3, (t0)
  addi t0, t0, 32
  vse8.v v4, (t0)
  addi t0, t0, 32
  vse8.v v31, (t0)
  ret
"""


@pytest.fixture(scope="module")
def swapping(tmp_path_factory):
    source = tmp_path_factory.mktemp("emulator") / "swap.c"
    source.write_text(SWAP)
    made = QemuRuntime([Emulator("emulate_swap", source, frozenset({"xswap"}))])
    yield made
    made.close()


def load_swap(runtime, core, funct7=0):
    text = USES_SWAP.format(funct7=funct7)
    obj = toolchain.compile_source(text, triple=core.triple, flags=["-mcpu=generic_rv64+f+d+v"], language="s")
    return runtime.load(Binary("kernel", obj, 0, ("*i8",), core))


def test_added_instructions_are_emulated(swapping):
    core = attrs.evolve(CORE, features=(*CORE.features, "+xswap"))
    out = np.zeros(128, np.uint8)
    load_swap(swapping, core).launch((1, 1, 1), (out,))
    assert out[:24].view(np.int64).tolist() == [11, 100, 20]
    assert out[24:32].view(np.float64)[0] == 11
    assert out[32:64].tolist() == [6] * 20 + [5] * 12
    assert (out[64:96] == 7).all() and (out[96:] == 9).all()


def test_emulators_keep_threads_apart(swapping, monkeypatch):
    monkeypatch.setenv("VERTEBRA_NUM_THREADS", "4")
    core = attrs.evolve(CORE, features=(*CORE.features, "+xswap"))
    out = np.zeros(128, np.uint8)
    load_swap(swapping, core).launch((64, 1, 1), (out,))
    assert out[16:24].view(np.int64)[0] == 20 and (out[96:] == 9).all()


@pytest.mark.parametrize("features, funct7", [(CORE.features, 0), ((*CORE.features, "+xswap"), 1)])
def test_only_cores_with_the_feature_and_legal_words(swapping, features, funct7):
    kernel = load_swap(swapping, attrs.evolve(CORE, features=features), funct7)
    word = funct7 << 25 | 3 << 20 | 7 << 15 | 6 << 7 | 0x7B
    with pytest.raises(LaunchError, match=f"SIGILL at kernel.*no instruction {word:#010x}"):
        kernel.launch((1, 1, 1), (np.zeros(128, np.uint8),))
