"""`triton.autotune` on vertebra's cores: what is compiled, pruned, measured, kept and found again."""

import itertools
import json
import subprocess
import sys

import attrs
import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.driver import driver
from triton.tools.tensor_descriptor import TensorDescriptor

from vertebra.core import select
from vertebra.core.errors import CompileError, ConfigError, LaunchError
from vertebra.core.tuning import bench, fleet, session, store
from vertebra.core.tuning.bench import Outcome
from vertebra.core.tuning.launch import Launch
from vertebra.core.tuning.records import INSTRUCTIONS, MILLISECONDS, OWN
from vertebra.plugins.triton import compiler


@triton.jit
def add(x, y, out, n, BLOCK: tl.constexpr, SCALE: tl.constexpr = 1.0):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = i < n
    tl.store(out + i, tl.load(x + i, mask=mask) + SCALE * tl.load(y + i, mask=mask), mask=mask)


@triton.jit
def count_up(x, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x + i, tl.load(x + i, mask=i < n) + 1, mask=i < n)


@triton.jit
def of_pair(pair, out, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, i * pair[0] + pair[1])


@triton.jit
def copy_rows(source, out, ROWS: tl.constexpr):
    row = tl.program_id(0) * ROWS
    rows, columns = row + tl.arange(0, ROWS), tl.arange(0, 32)
    tl.store(out + rows[:, None] * 32 + columns[None, :], source.load([row, 0]))


@pytest.fixture(autouse=True)
def kept(monkeypatch, tmp_path):
    """Every test starts with no results, on the host; the file is given."""
    path = tmp_path / "tuning.json"
    monkeypatch.setenv("VERTEBRA_TUNING", str(path))
    monkeypatch.delenv("VERTEBRA_TUNING_KEEP", raising=False)
    monkeypatch.setattr(store, "_said", set())
    select.set_core("host")
    yield path
    select.set_core(None)


@pytest.fixture
def timed(monkeypatch):
    """Measurements that take no time: the first configuration takes 1 ms, the next ones 1 less each."""
    seen = []

    def benchmark(fn, quantiles):
        fn()
        seen.append(fn)
        return [1.0 - len(seen)] * 3

    monkeypatch.setattr(type(driver.active), "get_benchmarker", lambda self: benchmark)
    return seen


def configs(*blocks, **options):
    return [triton.Config({"BLOCK": block}, **options) for block in blocks]


def call(tuned, n=100, make=torch.ones, **options):
    x, y, out = make(n), make(n), make(n)
    tuned[lambda meta: (triton.cdiv(n, meta["BLOCK"]),)](x, y, out, n, **options)
    return np.asarray(out)


def results(path):
    return list(store.read(path).values())


# --- The whole of it -------------------------------------------------------------------------


@pytest.mark.parametrize("make", [torch.ones, np.ones], ids=["torch", "numpy"])
def test_tuned_on_the_host(kept, make):
    tuned = triton.autotune(configs(16, 64, 32), key=["n"])(add)
    np.testing.assert_array_equal(call(tuned, make=make), 2)
    (result,) = results(kept)
    assert result.conditions.unit == MILLISECONDS and result.subject.kernel == "add"
    kind = "float32" if make is torch.ones else "float64"
    assert result.subject.key == ("100", kind, kind, kind, "SCALE=1.0")
    assert tuned.best_config.kwargs == result.trials[result.best].settings
    assert all(trial.measured > 0 for trial in result.trials)
    timings = [tuned.configs_timings[config][0] for config in tuned.configs]
    assert timings == pytest.approx([trial.measured for trial in result.trials], rel=1e-4)


def test_instructions_are_counted_under_the_emulator(kept):
    select.set_core("spacemit-x60")
    tuned = triton.autotune(configs(16, 128), key=["n"])(add)
    np.testing.assert_array_equal(call(tuned), 2)
    (result,) = results(kept)
    assert result.conditions.unit == INSTRUCTIONS and result.conditions.threads == 1
    assert tuned.best_config.kwargs == {"BLOCK": 128}  # one program in place of seven
    counts = [trial.measured for trial in result.trials]
    assert counts[0] > counts[1] == int(counts[1]) > 100 / 8


def test_each_core_has_its_own_choice(kept, timed):
    tuned = triton.autotune(configs(16, 32), key=["n"])(add)
    call(tuned)
    select.set_core("spacemit-x60")
    call(tuned)
    select.set_core("host")
    call(tuned)
    assert {r.conditions.core for r in results(kept)} == {"host", "spacemit-x60"} and len(timed) == 4


# --- Kept between runs -----------------------------------------------------------------------


def test_found_by_another_tuner(kept, timed):
    for _ in range(2):
        call(triton.autotune(configs(16, 32), key=["n"])(add))
    assert len(timed) == 2


PROGRAM = """
import sys, numpy as np, triton, triton.language as tl
from vertebra.plugins.triton import timing

@triton.autotune([triton.Config({"BLOCK": 16}), triton.Config({"BLOCK": 64})], key=["n"])
@triton.jit
def add(x, out, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + i, tl.load(x + i, mask=i < n) + 1, mask=i < n)

def benchmark(fn, quantiles):
    print("measured")
    fn()
    return [1.0, 1.0, 1.0]

timing.benchmark = benchmark
x, out = np.ones(100), np.zeros(100)
add[lambda meta: (triton.cdiv(100, meta["BLOCK"]),)](x, out, 100)
assert (out == 2).all()
print(add.best_config.kwargs["BLOCK"])
"""


def test_found_by_another_process(kept, tmp_path):
    """Also the first call in a process is tuned by us: the wrapper is there before any kernel."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    shown = [
        subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120)
        for _ in range(2)
    ]
    assert [run.stdout.split() for run in shown] == [["measured", "measured", "16"], ["16"]], shown
    assert [run.stderr for run in shown] == ["", ""]


@pytest.mark.parametrize(
    "again",
    [
        lambda: call(triton.autotune(configs(16, 32), key=["n"])(add), n=200),
        lambda: call(triton.autotune(configs(16, 32, 64), key=["n"])(add)),
        lambda: call(triton.autotune(configs(16, 32, num_warps=2), key=["n"])(add)),
        lambda: call(triton.autotune(configs(16, 32), key=["n"])(add), make=np.ones),
        lambda: call(triton.autotune(configs(16, 32), key=["n"])(add), SCALE=2.0),
        lambda: call(triton.autotune(configs(16, 32), key=["n"])(add), fast_math=True),
    ],
    ids=["key", "configs", "options of configs", "types", "constants", "options"],
)
def test_tuned_again_where_something_else_is_asked(kept, timed, again):
    call(triton.autotune(configs(16, 32), key=["n"])(add))
    again()
    assert len(results(kept)) == 2


def test_nothing_is_kept_on_request(kept, timed, monkeypatch):
    monkeypatch.setenv("VERTEBRA_TUNING", "0")
    call(triton.autotune(configs(16, 32), key=["n"])(add))
    call(triton.autotune(configs(16, 32), key=["n"])(add))
    assert len(timed) == 4 and not kept.exists()


def test_in_tritons_own_cache_by_default(timed, monkeypatch, tmp_path):
    monkeypatch.delenv("VERTEBRA_TUNING")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    call(triton.autotune(configs(16, 32), key=["n"])(add))
    assert len(results(tmp_path / "cache" / store.NAME)) == 1


def test_a_choice_made_by_hand(kept, timed):
    call(triton.autotune(configs(16, 32), key=["n"])(add))
    entries = json.loads(kept.read_text())
    (entry,) = entries["results"].values()
    assert entry["best"] == {"BLOCK": 32}
    entry["best"] = {"BLOCK": 16}
    kept.write_text(json.dumps(entries))
    tuned = triton.autotune(configs(16, 32), key=["n"])(add)
    call(tuned)
    assert tuned.best_config.kwargs["BLOCK"] == 16


def test_a_damaged_file_costs_time_only(kept, timed, capsys):
    kept.write_text("{")
    for _ in range(2):
        np.testing.assert_array_equal(call(triton.autotune(configs(16, 32), key=["n"])(add)), 2)
    assert len(timed) == 4 and capsys.readouterr().err.count("is no file of tuning results") == 1


# --- Pruned ----------------------------------------------------------------------------------


@pytest.fixture
def predicted(monkeypatch):
    """Predictions by block size: the milliseconds are the block, or an error."""

    def predict(self):
        return self.grid[0]

    monkeypatch.setattr(Launch, "predict", predict)
    monkeypatch.setattr(session.pruning, "estimate", lambda found, threads: found)


BLOCKS = (1024, 512, 256, 128, 64, 32, 16, 8)  # a grid of 1, 2, 4, ... for 1024 elements


def test_pruned_by_the_prediction(kept, timed, predicted):
    call(triton.autotune(configs(*BLOCKS), key=["n"])(add), n=1024)
    (result,) = results(kept)
    assert [trial.measured is not None for trial in result.trials] == [True] * 4 + [False] * 4
    assert result.trials[4].dropped.startswith("pruned: predicted to take 16 times as long")


def test_the_roofline_itself_predicts(kept, timed):
    call(triton.autotune(configs(*BLOCKS[:4]), key=["n"])(add), n=1024)
    (result,) = results(kept)
    assert all(trial.predicted > 0 for trial in result.trials)


def test_pruning_can_be_switched_off(kept, timed, predicted, monkeypatch):
    monkeypatch.setenv("VERTEBRA_TUNING_KEEP", "1")
    call(triton.autotune(configs(*BLOCKS), key=["n"])(add), n=1024)
    assert len(timed) == 8


def test_what_is_no_share(monkeypatch, timed):
    monkeypatch.setenv("VERTEBRA_TUNING_KEEP", "all")
    with pytest.raises(ConfigError, match="VERTEBRA_TUNING_KEEP is 'all'"):
        call(triton.autotune(configs(16, 32), key=["n"])(add))


def test_the_users_model_comes_instead(kept, timed, monkeypatch):
    monkeypatch.setattr(Launch, "predict", lambda self: pytest.fail("not asked for"))
    by = {"perf_model": lambda BLOCK, **_: -BLOCK, "top_k": 5}
    call(triton.autotune(configs(*BLOCKS), key=["n"], prune_configs_by=by)(add), n=1024)
    (result,) = results(kept)
    assert [trial.settings["BLOCK"] for trial in result.trials] == [1024, 512, 256, 128, 64]
    assert len(timed) == 5


def test_the_users_own_pruning_comes_first(kept, timed, predicted):
    by = {"early_config_prune": lambda configs, named, **_: configs[2:]}
    call(triton.autotune(configs(*BLOCKS), key=["n"], prune_configs_by=by)(add), n=1024)
    (result,) = results(kept)
    assert len(result.trials) == 6 and len(timed) == 3


def test_options_that_mean_nothing_here_are_measured_once(kept, timed):
    made = [
        triton.Config({"BLOCK": 16}, num_warps=w, num_stages=s) for w, s in itertools.product((1, 8), (2, 5))
    ]
    tuned = triton.autotune(made, key=["n"])(add)
    call(tuned)
    (result,) = results(kept)
    assert len(timed) == 1 and result.best == 0
    assert result.trials[3].dropped == "the same code and grid as configuration 1"


def test_what_does_not_compile_is_dropped(kept, timed):
    tuned = triton.autotune(configs(16, 24, 32), key=["n"])(add)
    np.testing.assert_array_equal(call(tuned), 2)
    (result,) = results(kept)
    assert result.trials[1].dropped.startswith("does not compile: ")
    assert "power of 2" in result.trials[1].dropped and len(timed) == 2


def test_none_compiles(kept, timed):
    with pytest.raises(triton.CompilationError, match="power of 2"):
        call(triton.autotune(configs(24, 48), key=["n"])(add))
    assert not kept.exists()


def test_our_own_errors_drop_it_too(kept, timed, monkeypatch):
    from vertebra.core import compile as stages

    plain = stages.compile
    monkeypatch.setattr(stages, "compile", lambda *a, **k: _refuse(plain, *a, **k))
    monkeypatch.setattr(triton.knobs.compilation, "always_compile", True)
    add.device_caches.clear()
    try:
        call(triton.autotune(configs(16, 2048), key=["n"])(add))
    finally:
        add.device_caches.clear()
    (result,) = results(kept)
    assert "does not compile: error: too wide" in result.trials[1].dropped and result.best == 0


def _refuse(plain, text, *args, **options):
    if "2048" in text:
        raise CompileError("too wide")
    return plain(text, *args, **options)


def test_more_memory_than_there_is(kept, timed, monkeypatch):
    plain, scratch = compiler.read_binary, itertools.chain([0, 1 << 60], itertools.repeat(0))
    monkeypatch.setattr(
        compiler, "read_binary", lambda data: attrs.evolve(plain(data), scratch_bytes=next(scratch))
    )
    call(triton.autotune(configs(16, 32), key=["n"])(add))
    (result,) = results(kept)
    assert f"needs {1 << 60:,} bytes of memory for each of" in result.trials[1].dropped and result.best == 0


def test_a_launch_that_fails_is_dropped(kept, monkeypatch):
    def benchmark(fn, quantiles):
        if benchmark.calls:
            raise LaunchError("kernel add died")
        benchmark.calls += 1
        return [1.0] * 3

    benchmark.calls = 0
    monkeypatch.setattr(type(driver.active), "get_benchmarker", lambda self: benchmark)
    tuned = triton.autotune(configs(16, 32), key=["n"])(add)
    call(tuned)
    (result,) = results(kept)
    assert result.trials[1].dropped == "kernel add died" and tuned.best_config.kwargs["BLOCK"] == 16


# --- Hooks and arguments ---------------------------------------------------------------------


@pytest.mark.parametrize("make", [torch.zeros, np.zeros], ids=["torch", "numpy"])
@pytest.mark.parametrize("option", ["reset_to_zero", "restore_value"])
def test_tuning_leaves_no_traces(kept, timed, make, option):
    x = make(64)
    if option == "restore_value":
        x += 5
    before = np.asarray(x).copy()
    tuned = triton.autotune(configs(16, 32), key=["n"], **{option: ["x"]})(count_up)
    tuned[lambda meta: (triton.cdiv(64, meta["BLOCK"]),)](x, 64)
    np.testing.assert_array_equal(np.asarray(x), before + 1)
    assert len(timed) == 2


def test_hooks_of_configurations(kept, timed):
    seen = []
    hooked = [
        triton.Config({"BLOCK": b}, pre_hook=lambda args: seen.append((args["BLOCK"], args["n"])))
        for b in (16, 32)
    ]
    call(triton.autotune(hooked, key=["n"])(add))
    assert {(16, 100), (32, 100)} <= set(seen) and seen[-1] == (32, 100)
    (result,) = results(kept)
    assert "pre_hook" in result.trials[0].settings


def test_configurations_with_hooks_are_not_alike(kept, timed):
    hooked = [triton.Config({"BLOCK": 16}, pre_hook=lambda args: None) for _ in range(2)]
    call(triton.autotune(hooked, key=["n"])(add))
    assert len(timed) == 2


def test_a_benchmark_of_the_users_own(kept):
    tuned = triton.autotune(configs(16, 32), key=["n"], do_bench=lambda fn, quantiles: [fn() or 7.0] * 3)(add)
    call(tuned)
    (result,) = results(kept)
    assert result.conditions.unit == OWN and [t.measured for t in result.trials] == [7.0, 7.0]


def test_heuristics_inside(kept, timed):
    inner = triton.heuristics({"SCALE": lambda args: 1.0 if args["BLOCK"] == 16 else 3.0})(add)
    tuned = triton.autotune(configs(16, 32), key=["n"])(inner)
    np.testing.assert_array_equal(call(tuned), 4)  # the second is measured to be faster


def test_descriptors_whose_shape_a_hook_sets(kept, timed):
    source, out = torch.arange(64.0 * 32).reshape(64, 32), torch.zeros(64, 32)
    descriptor = TensorDescriptor.from_tensor(source, [8, 32])

    def shape(args):
        args["source"].block_shape = [args["ROWS"], 32]

    made = [triton.Config({"ROWS": rows}, pre_hook=shape) for rows in (8, 64, 16, 32)]
    tuned = triton.autotune(made, key=[])(copy_rows)
    tuned[lambda meta: (64 // meta["ROWS"],)](descriptor, out)
    np.testing.assert_array_equal(out.numpy(), source.numpy())
    assert all(trial.predicted > 0 for trial in results(kept)[0].trials)


def test_tuples(kept, timed):
    out = np.zeros(64, np.int32)
    tuned = triton.autotune(configs(16, 64, 32, 8), key=[])(of_pair)
    tuned[lambda meta: (64 // meta["BLOCK"],)]((3, 4), out)
    np.testing.assert_array_equal(out, np.arange(64) * 3 + 4)
    assert all(trial.predicted > 0 for trial in results(kept)[0].trials)


def test_bounds_are_checked_while_tuning(kept, timed):
    tuned = triton.autotune(configs(16, 64, 32, 8), key=["n"])(add)
    np.testing.assert_array_equal(call(tuned, bounds_check=True), 2)
    assert all(trial.predicted > 0 for trial in results(kept)[0].trials)


def test_one_configuration_needs_no_tuning(kept, timed):
    call(triton.autotune(configs(16), key=["n"])(add))
    assert not timed and not kept.exists()


def test_an_empty_grid(kept, timed):
    tuned = triton.autotune(configs(16, 32, 64, 128), key=["n"])(add)
    assert call(tuned, n=0).size == 0
    assert len(results(kept)) == 1


def test_another_driver_is_left_alone(kept, monkeypatch):
    from vertebra.plugins.triton import autotune

    monkeypatch.setattr(autotune, "_is_ours", lambda: False)
    tuned = triton.autotune(configs(16, 32), key=["n"], do_bench=lambda fn, quantiles: [fn() or 7.0] * 3)(add)
    np.testing.assert_array_equal(call(tuned), 2)
    assert not kept.exists()


def test_triton_prints_what_it_always_did(kept, timed, monkeypatch, capsys):
    monkeypatch.setenv("TRITON_PRINT_AUTOTUNING", "1")
    call(triton.autotune(configs(16, 32), key=["n"])(add))
    assert "finished after" in capsys.readouterr().out
    call(triton.autotune(configs(16, 32), key=["n"])(add))
    assert "finished after" not in capsys.readouterr().out


# --- Elsewhere -------------------------------------------------------------------------------


class Measurer:
    """Measures nothing: the last configuration wins."""

    def __init__(self):
        self.arguments = self.jobs = None

    def conditions(self, core):
        return bench.conditions_for(core)

    def measure(self, arguments, jobs, report):
        self.arguments, self.jobs = arguments, jobs
        report("the cable was loose")
        return ((n, Outcome(float(-n))) for n in range(len(jobs)))


def test_measured_by_a_fleet(kept, timed, capsys):
    measurer = Measurer()
    tuned = triton.autotune(configs(16, 64, 32), key=["n"])(add)
    with fleet.used(measurer):
        np.testing.assert_array_equal(call(tuned), 2)
    assert tuned.best_config.kwargs == {"BLOCK": 32} and not timed
    assert [job.grid for job in measurer.jobs] == [(7, 1, 1), (2, 1, 1), (4, 1, 1)]
    assert [memory.nbytes for memory in measurer.arguments.memories] == [400] * 3
    assert results(kept)[0].notes == ("the cable was loose",)
    assert "the cable was loose" in capsys.readouterr().err


def test_a_fleet_is_told_what_must_be_fresh(kept):
    measurer = Measurer()
    x = torch.full((64,), 5.0)
    tuned = triton.autotune(configs(16, 32), key=["n"], reset_to_zero=["x"])(count_up)
    with fleet.used(measurer):
        tuned[lambda meta: (triton.cdiv(64, meta["BLOCK"]),)](x, 64)
    (memory,) = measurer.arguments.memories
    assert memory.fresh and memory.content == bytes(256)
    np.testing.assert_array_equal(x.numpy(), 1)


def test_over_a_cluster_of_processes(kept, local_cluster):
    from distributed import Client

    from vertebra.core.tuning import over

    tuned = triton.autotune(configs(16, 64, 1024), key=["n"])(add)
    with (
        local_cluster(3) as cluster,
        Client(cluster, set_as_default=False) as client,
        over(client),
    ):
        for core, unit in (("host", MILLISECONDS), ("spacemit-x60", INSTRUCTIONS)):
            select.set_core(core)
            np.testing.assert_array_equal(call(tuned, n=1000), 2)
            (result,) = (r for r in results(kept) if r.conditions.core == core)
            assert result.conditions.unit == unit and all(t.measured > 0 for t in result.trials)
            assert result.notes == ()
