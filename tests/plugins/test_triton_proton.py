"""`triton.profiler` on every runtime: sessions, scopes, formats, and a whole program by its environment."""

import json
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import triton
import triton.language as tl
import triton.profiler as proton
import triton.profiler.language as pl
from triton import knobs

from vertebra.core import hooks, select
from vertebra.core.errors import ConfigError, LaunchError
from vertebra.core.profile.session import (
    COUNT,
    ENTRIES,
    INSTRUCTIONS,
    SCOPE_EMULATED,
    SCOPE_TIME,
    TIME,
)
from vertebra.core.select import set_core
from vertebra.plugins.triton.compiler import read_binary

sys.path.insert(0, str(Path(__file__).parents[1] / "core" / "profile"))
import trace_format

from .line_table import section

ALL = ("scoped", "turning")
CORES = ["host", *[name for name in ("spacemit-x60",) if name in hooks.cores()]]


@pytest.fixture(params=CORES)
def core(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = select.current_core().name
    set_core(request.param)
    yield request.param
    proton.finalize()
    set_core(before)


@triton.jit
def doubled(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) * 2, mask=i < n)


def run(n=100):
    x, out = np.arange(n, dtype=np.float32), np.zeros(n, np.float32)
    doubled[(triton.cdiv(n, 64),)](x, out, n, BLOCK=64)
    np.testing.assert_array_equal(out, 2 * x)


def tree(name):
    with open(name) as file:
        return json.load(file)[0]


def child(node, name):
    return next(each for each in node["children"] if each["frame"]["name"] == name)


def test_scopes_and_launches_make_a_tree(core, tmp_path):
    run()
    proton.start(str(tmp_path / "out"))
    with proton.scope("outer", {"flops": 100.0}):
        run()
        with proton.scope("inner"):
            run()
            run()
    run()
    proton.finalize()
    run()
    root = tree("out.hatchet")
    outer = child(root, "outer")
    assert outer["metrics"] == {"flops": 100.0}
    assert child(outer, "doubled")["metrics"][COUNT] == 1
    kernel = child(child(outer, "inner"), "doubled")["metrics"]
    assert kernel[COUNT] == 2 and kernel["device_type"] == core
    assert child(root, "doubled")["metrics"][COUNT] == 1
    metric = TIME if core == "host" else INSTRUCTIONS
    assert kernel[metric] > 0
    assert not {TIME, INSTRUCTIONS} - {metric} & set(kernel)


@pytest.mark.parametrize("core", CORES[1:], indirect=True)
def test_emulated_instructions_are_counted_exactly(core):
    proton.start("out")
    for _ in range(2):
        with proton.scope("small"):
            run(64)
    with proton.scope("large"):
        run(6400)
    proton.finalize()
    small, large = (child(child(tree("out.hatchet"), s), "doubled")["metrics"] for s in ("small", "large"))
    per_launch = small[INSTRUCTIONS] / 2
    assert small[INSTRUCTIONS] % 2 == 0
    assert 50 * per_launch < large[INSTRUCTIONS] < 101 * per_launch


def test_a_trace_holds_every_launch(core):
    proton.start("out", data="trace", hook="triton")
    proton.enter_scope("a")
    run()
    proton.exit_scope("a")
    run()
    proton.finalize()
    with open("out.chrome_trace") as file:
        events = trace_format.check(json.load(file))
    kernels = [e for e in events if e["cat"] == "kernel"]
    (scope,) = [e for e in events if e["name"] == "a"]
    assert [k["name"] for k in kernels] == ["doubled", "doubled"]
    assert scope["ts"] <= kernels[0]["ts"] and kernels[1]["ts"] >= scope["ts"] + scope["dur"]


def test_what_is_not_active_records_nothing(core):
    session = proton.start("out")
    proton.deactivate(session)
    with proton.scope("unseen"):
        run()
    proton.activate(session)
    run()
    proton.finalize(session)
    root = tree("out.hatchet")
    assert [each["frame"]["name"] for each in root["children"]] == ["doubled"]
    assert child(root, "doubled")["metrics"][COUNT] == 1


def test_two_sessions_and_a_context_of_frames(core):
    first = proton.start("first")
    second = proton.start("second", context="python")
    run()
    proton.finalize(first)
    run()
    proton.finalize(second)
    assert child(tree("first.hatchet"), "doubled")["metrics"][COUNT] == 1
    text = open("second.hatchet").read()  # noqa: SIM115
    assert f"{__file__}:" in text and "@test_two_sessions_and_a_context_of_frames" in text


def test_when_no_session_is_there_nobody_listens(core):
    run()
    before = [
        list(chain.calls) for chain in (knobs.runtime.launch_enter_hook, knobs.runtime.launch_exit_hook)
    ]
    proton.start("out")
    during = [
        list(chain.calls) for chain in (knobs.runtime.launch_enter_hook, knobs.runtime.launch_exit_hook)
    ]
    proton.finalize()
    after = [list(chain.calls) for chain in (knobs.runtime.launch_enter_hook, knobs.runtime.launch_exit_hook)]
    assert before == after == [[], []]
    assert [len(calls) for calls in during] == [1, 1]
    assert not any(getattr(runtime, "is_counting", False) for runtime in hooks.runtimes().values())


@pytest.mark.parametrize("choice", [{"data": "list"}, {"context": "cloud"}])
def test_unknown_choices_are_told(core, choice):
    with pytest.raises(ConfigError, match=f"there is no profile {next(iter(choice))} "):
        proton.start("out", **choice)


@triton.jit
def scoped(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    pl.enter_scope("whole")
    with pl.scope("load"):
        v = tl.load(x + i, mask=i < n)
    for _ in range(3):
        pl.enter_scope("turn")
        v = tl.flip(v, 0)
        pl.exit_scope("turn")
    tl.store(out + i, v, mask=i < n)
    pl.exit_scope("whole")


@triton.jit
def turning(x, out, turns, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    v = tl.load(x + i)
    with pl.scope("all"):
        for _ in range(turns):
            v = v * 0.5 + 1.0
            tl.store(out + i, v)


@pytest.fixture
def in_triton():
    pl.enable_semantic("triton")
    yield
    pl.disable_semantic("triton")


def run_scoped():
    x, out = np.arange(128, dtype=np.float32), np.zeros(128, np.float32)
    scoped[(4,)](x, out, 128, BLOCK=32)
    np.testing.assert_array_equal(out.reshape(4, 32), x.reshape(4, 32)[:, ::-1])


def test_scopes_inside_of_kernels_are_recorded_for_each_program(core, in_triton):
    run_scoped()
    proton.start("out", backend="instrumentation")
    run_scoped()
    run_scoped()
    proton.finalize()
    run_scoped()
    kernel = child(tree("out.hatchet"), "scoped")
    clock, other = (SCOPE_TIME, SCOPE_EMULATED) if core == "host" else (SCOPE_EMULATED, SCOPE_TIME)
    assert kernel["metrics"][COUNT] == 2
    whole = child(kernel, "whole")
    load, turn = child(whole, "load"), child(whole, "turn")
    assert [node["metrics"][ENTRIES] for node in (whole, load, turn)] == [8, 8, 24]
    assert 0 <= load["metrics"][clock] + turn["metrics"][clock] <= whole["metrics"][clock]
    assert whole["metrics"][clock] > 0
    assert not any(other in node["metrics"] for node in (whole, load, turn))
    if core != "host":
        assert whole["metrics"][clock] <= kernel["metrics"][INSTRUCTIONS]


@pytest.mark.parametrize("core", CORES[1:], indirect=True)
def test_emulated_instructions_in_a_scope_are_exact(core, in_triton):
    def turns(count):
        proton.start("out", backend="instrumentation")
        x, out = np.arange(32, dtype=np.float32), np.zeros(32, np.float32)
        turning[(1,)](x, out, count, BLOCK=32)
        proton.finalize()
        return child(child(tree("out.hatchet"), "turning"), "all")["metrics"][SCOPE_EMULATED]

    once, twice, thrice = turns(10), turns(10), turns(20)
    assert once == twice
    per_turn = (thrice - once) / 10
    assert per_turn.is_integer() and per_turn >= 5 and thrice > 1.5 * once


def test_programs_have_tracks_in_the_trace(core, in_triton):
    proton.start("out", backend="instrumentation", data="trace")
    run_scoped()
    proton.finalize()
    with open("out.chrome_trace") as file:
        trace = json.load(file)
    trace_format.check(trace)
    events = trace["traceEvents"]
    tracks = {e["args"]["name"]: (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {f"program ({x}, 0, 0)" for x in range(4)} <= tracks.keys()
    mine = [e for e in events if (e["pid"], e["tid"]) == tracks["program (2, 0, 0)"] and e["ph"] == "X"]
    assert sorted(e["name"] for e in mine) == ["load", "turn", "turn", "turn", "whole"]


def plain(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i, mask=i < n)
    for _ in range(3):
        v = tl.flip(v, 0)
    tl.store(out + i, v, mask=i < n)


def code_of(kernel) -> bytes:
    """The machine code, as the runtime gets it."""
    x, out = np.arange(32, dtype=np.float32), np.zeros(32, np.float32)
    binary = kernel.warmup(x, out, 32, BLOCK=32, grid=(1,)).asm["vbin"]
    found = section(read_binary(binary).object, b".text")
    assert found
    return found


def test_without_a_session_scopes_leave_no_byte_in_the_machine_code(core, in_triton):
    without = code_of(triton.jit(plain))
    assert code_of(scoped) == without
    proton.start("out", backend="instrumentation")
    assert code_of(scoped) != without
    proton.finalize()
    proton.start("out")  # which has a look at launches, and none at the code
    assert code_of(scoped) == without


def test_records_that_did_not_fit_are_warned_of(core, monkeypatch):
    told = SimpleNamespace(records=[], lost=7, clock="any", ended=0)
    monkeypatch.setattr("vertebra.core.profile.records.take", lambda: [told])
    proton.start("out")
    run()
    with pytest.warns(RuntimeWarning, match="kernel doubled: 7 records of scopes inside of it did not fit"):
        proton.finalize()


@triton.jit
def failing(x, n):
    with pl.scope("before"):
        tl.device_assert(n > 100, "too few")
    tl.store(x, 1.0)


def test_what_a_failed_launch_recorded_is_not_the_next_ones(core, in_triton, capfd):
    proton.start("out", backend="instrumentation")
    with pytest.raises(LaunchError, match="too few"):
        failing[(1,)](np.zeros(4, np.float32), 3, debug=True)
    run_scoped()
    proton.finalize()
    (kernel,) = tree("out.hatchet")["children"]
    assert [each["frame"]["name"] for each in kernel["children"]] == ["whole"]


def test_threads_that_launch_at_once_have_their_own_scopes(core, in_triton):
    def many(kernel, arguments):
        for _ in range(5):
            kernel[(4,)](*arguments, BLOCK=32)

    x, out = np.arange(128, dtype=np.float32), np.zeros((2, 128), np.float32)
    kernels = {scoped: (x, out[0], 128), turning: (x, out[1], 2)}
    proton.start("out", backend="instrumentation", data="trace")
    for kernel, arguments in kernels.items():  # compiled one after the other
        kernel[(4,)](*arguments, BLOCK=32)
    threads = [threading.Thread(target=many, args=each) for each in kernels.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proton.finalize()
    with open("out.chrome_trace") as file:
        trace = json.load(file)
    events = trace_format.check(trace)
    processes = {e["pid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"}
    of = {name: [e["name"] for e in events if f"programs of {name}" in processes[e["pid"]]] for name in ALL}
    assert {name: Counter(found) for name, found in of.items()} == {
        "scoped": {"whole": 24, "load": 24, "turn": 72},
        "turning": {"all": 24},
    }


def test_without_a_session_the_scopes_are_not_in_the_code(core, in_triton):
    def asm():
        x, out = np.arange(32, dtype=np.float32), np.zeros(32, np.float32)
        return scoped.warmup(x, out, 32, BLOCK=32, grid=(1,)).asm["llir"]

    plain = asm()
    proton.start("out", backend="instrumentation")
    instrumented = asm()
    proton.finalize()
    assert "vertebra_record" in instrumented
    assert "vertebra_record" not in plain and asm() == plain


PROGRAM = """
import numpy as np, triton, triton.language as tl

@triton.jit
def twice(x, out, n, BLOCK: tl.constexpr):
    i = tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) * 2, mask=i < n)

x, out = np.arange(5, dtype=np.float32), np.zeros(5, np.float32)
for _ in range(3):
    twice[(1,)](x, out, 5, BLOCK=8)
print("done")
"""


def test_the_environment_profiles_a_whole_program(tmp_path, monkeypatch):
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))
    monkeypatch.setenv("VERTEBRA_PROFILE", str(tmp_path / "all"))
    monkeypatch.setenv("VERTEBRA_CORE", "host")
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr
    assert child(tree(tmp_path / "all.hatchet"), "twice")["metrics"][COUNT] == 3
    assert len(json.loads((tmp_path / "all.chrome_trace").read_text())["traceEvents"]) == 5
    assert done.stderr.splitlines()[1].split()[:3] == ["twice", "100.0", "%"]
