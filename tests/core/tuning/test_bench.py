"""Measuring in a process of its own."""

import os
import signal

import attrs
import numpy as np
import pytest

from vertebra.core.errors import LaunchError
from vertebra.core.tuning.bench import Bench, Here
from vertebra.core.tuning.job import Blocks, Place, conditions_for, describe
from vertebra.core.tuning.records import INSTRUCTIONS, MILLISECONDS


def no_hooks(argument):
    return False


# --- Arguments -------------------------------------------------------------------------------


def test_floats_are_made_up_and_integers_are_sent(launch):
    floats, integers = np.full(64, 7, np.float32), np.arange(5, dtype=np.int32)
    arguments, jobs = describe([launch("host", floats), launch("host", integers)], no_hooks)
    contents = {memory.nbytes: memory.content for memory in arguments.memories}
    assert contents == {256: None, 20: integers.tobytes()}
    blocks = Blocks(arguments)
    made, same = (blocks.argument(job.values[0]) for job in jobs)
    assert np.abs(made.view(np.float32)).max() <= 1 and np.ptp(made.view(np.float32)) > 0.5
    np.testing.assert_array_equal(same.view(np.int32), integers)


def test_views_keep_their_place_and_alignment(launch):
    whole = np.zeros(100, np.float32)
    arguments, jobs = describe([launch("host", whole[3:]), launch("host", whole[50:60])], no_hooks)
    assert [memory.nbytes for memory in arguments.memories] == [400]
    assert [job.values for job in jobs] == [(Place(0, 12),), (Place(0, 200),)]
    argument = Blocks(arguments).argument(jobs[0].values[0])
    assert argument.size == 388 and argument.ctypes.data % 64 == (whole.ctypes.data + 12) % 64


def test_an_empty_array(launch):
    arguments, (job,) = describe([launch("host", np.zeros(0, np.float32), programs=0)], no_hooks)
    assert arguments.memories == () and Blocks(arguments).argument(job.values[0]).size == 0


def test_what_must_be_fresh_is_restored(launch):
    array = np.arange(16, dtype=np.float32)
    arguments, (job,) = describe([launch("host", array)], lambda argument: argument is array)
    blocks = Blocks(arguments)
    argument = blocks.argument(job.values[0]).view(np.float32)
    np.testing.assert_array_equal(argument, array)
    argument[:] = 0
    blocks.renew()
    np.testing.assert_array_equal(argument, array)


def test_a_bare_address_cannot_be_described(launch):
    made = attrs.evolve(launch("host", np.zeros(16, np.float32)), args=(4096,))
    with pytest.raises(LaunchError, match="not how long it is"):
        describe([made], no_hooks)


def test_addresses_cannot_be_described(launch):
    made = launch("host", np.zeros(16, np.float32))
    binary = attrs.evolve(made.binary, signature=("**fp32",))
    with pytest.raises(LaunchError, match="argument x points to addresses"):
        describe([attrs.evolve(made, binary=binary)], no_hooks)


# --- Measuring -------------------------------------------------------------------------------


def test_conditions():
    here, there = conditions_for("host"), conditions_for("spacemit-x60")
    assert (here.core, here.unit, here.threads >= 1) == ("host", MILLISECONDS, True)
    assert (there.core, there.unit, there.threads) == ("spacemit-x60", INSTRUCTIONS, 1)
    assert here.digest != there.digest


def test_on_this_machine(launch):
    array = np.zeros(64, np.float32)
    arguments, (job,) = describe([launch("host", array, programs=4)], no_hooks)
    with Bench() as bench:
        first, second = bench.measure(arguments, job), bench.measure(arguments, job)
    assert 0 < first.value < 1000 and 0 < second.value < 1000 and first.reason is None
    assert not array.any()  # the launch was another process's


def test_instructions_are_counted_and_do_not_change(launch):
    arrays = np.zeros(16 * 9, np.float32)
    arguments, jobs = describe([launch("spacemit-x60", arrays, programs=n) for n in (1, 9)], no_hooks)
    with Bench() as bench:
        few, many, again = (bench.measure(arguments, jobs[n]).value for n in (0, 1, 1))
    assert few == int(few) and 0 < few < many == again


def test_a_kernel_that_never_ends(launch):
    arguments, (job,) = describe([launch("host", np.zeros(1, np.int32))], no_hooks)
    after, (quick,) = describe([launch("host", np.zeros(16, np.float32))], no_hooks)
    with Bench(seconds=1) as bench:
        assert bench.measure(arguments, job).reason == "took more than 1 s"
        assert bench.measure(after, quick).value > 0


def test_an_emulated_kernel_that_never_ends(launch):
    arguments, (job,) = describe([launch("spacemit-x60", np.zeros(1, np.int32))], no_hooks)
    with Bench(seconds=0.5) as bench:
        assert "ran for more than 0.5 s" in bench.measure(arguments, job).reason


def test_a_kernel_that_crashes(launch):
    array = np.zeros(16, np.float32)
    arguments, (bad, good) = describe(
        [launch("host", array, programs=1 << 24), launch("host", array)], no_hooks
    )
    with Bench() as bench:
        assert bench.measure(arguments, bad).reason == "crashed: SIGSEGV"
        assert bench.measure(arguments, good).value > 0


def test_a_process_that_someone_ends_is_started_again(launch):
    arguments, (job,) = describe([launch("host", np.zeros(16, np.float32))], no_hooks)
    with Bench() as bench:
        assert bench.measure(arguments, job).value > 0
        os.kill(bench._process.pid, signal.SIGKILL)
        bench._process.wait(10)
        assert bench.measure(arguments, job).value > 0


def test_an_error_is_told(launch):
    arguments, (job,) = describe([launch("host", np.zeros(16, np.float32))], no_hooks)
    with Bench() as bench:
        assert (
            "there is no core 'nowhere'" in bench.measure(arguments, attrs.evolve(job, core="nowhere")).reason
        )


def test_all_jobs_in_order(launch):
    arguments, jobs = describe([launch("host", np.zeros(16, np.float32))] * 3, no_hooks)
    found = list(Here().measure(arguments, jobs, print))
    assert [number for number, _ in found] == [0, 1, 2] and all(o.value > 0 for _, o in found)
