"""Measuring on workers: a cluster of several processes, which crash, hang and disappear."""

import os
import signal
from types import SimpleNamespace

import attrs
import numpy as np
import pytest

from vertebra.core.errors import ConfigError, LaunchError
from vertebra.core.tuning import fleet, over
from vertebra.core.tuning.job import describe
from vertebra.core.tuning.records import INSTRUCTIONS, MILLISECONDS


@pytest.fixture(scope="module")
def cluster(local_cluster):
    with local_cluster(2) as made:
        yield made


@pytest.fixture
def client(cluster):
    from distributed import Client

    with Client(cluster, set_as_default=False) as made:
        made.wait_for_workers(2, timeout=60)
        yield made


def measured(there, arguments, jobs):
    notes = []
    return dict(there.measure(arguments, jobs, notes.append)), notes


def jobs_for(launch, *arrays, core="host", programs=1):
    return describe([launch(core, array, programs) for array in arrays], lambda argument: False)


def test_on_the_host(client, launch):
    there = fleet.Fleet(client)
    where = there.conditions("host")
    assert where.unit == MILLISECONDS and there.notes() == []
    found, notes = measured(there, *jobs_for(launch, *[np.zeros(16, np.float32)] * 5))
    assert sorted(found) == [0, 1, 2, 3, 4] and notes == []
    assert all(outcome.value > 0 for outcome in found.values())


def test_under_the_emulator(client, launch):
    there = fleet.Fleet(client)
    assert there.conditions("spacemit-x60").unit == INSTRUCTIONS
    arguments, jobs = jobs_for(launch, *[np.zeros(16, np.float32)] * 2, core="spacemit-x60")
    found, _ = measured(there, arguments, jobs)
    assert found[0].value == found[1].value > 0


def test_what_crashes_or_hangs_does_not_stop_the_others(client, launch):
    there = fleet.Fleet(client, seconds=1)
    there.conditions("host")
    array = np.zeros(16, np.float32)
    launches = [
        launch("host", array),
        launch("host", array, programs=1 << 24),
        launch("host", np.zeros(1, np.int32)),
        launch("host", array),
    ]
    found, notes = measured(there, *describe(launches, lambda argument: False))
    assert [found[n].reason for n in range(4)] == [None, "crashed: SIGSEGV", "took more than 1 s", None]
    assert notes == []


def test_a_worker_that_disappears(client, launch):
    there = fleet.Fleet(client)
    there.conditions("host")
    processes = client.run(os.getpid)
    arguments, jobs = jobs_for(launch, np.zeros(1, np.int32), *[np.zeros(16, np.float32)] * 3)
    there.seconds = 2
    notes, found = [], {}
    for number, outcome in there.measure(arguments, jobs, notes.append):
        if not found:  # one worker waits for the kernel that does not end; it is the one that goes
            (busy,) = (worker for worker, tasks in client.processing().items() if tasks)
            os.kill(processes[busy], signal.SIGKILL)
        found[number] = outcome
    assert notes == [f"worker {busy} was lost while it measured"]
    assert found[0].reason == "took more than 2 s"  # on the next worker
    assert all(found[n].value > 0 for n in (1, 2, 3))


class Gone:
    """A client whose workers never answer, and then are gone."""

    scheduler = "tcp://nowhere"

    def __init__(self, workers):
        self.workers = workers

    def nthreads(self):
        return dict.fromkeys(self.workers, 1)

    def submit(self, function, *args, workers, **options):
        (self.asked,) = workers
        return Silent()

    def lose(self, futures):
        """The worker that was asked last is gone."""
        if self.asked in self.workers:
            self.workers.remove(self.asked)

    def run(self, *args, **options):
        return {}


class Silent:
    status = "pending"

    def cancel(self):
        self.status = "cancelled"


def test_no_workers():
    with pytest.raises(
        LaunchError, match=r"no worker can measure kernels for core host:\n  there are no workers"
    ):
        fleet.Fleet(Gone([]), patience=0.1).conditions("host")


def test_workers_that_say_nothing(monkeypatch):
    there = fleet.Fleet(Gone(["a"]), patience=0.1)
    monkeypatch.setattr(there, "_wait", lambda futures: None)
    with pytest.raises(LaunchError, match=r"a: it said nothing for 0\.1 s"):
        there.conditions("host")


def test_the_last_worker_is_lost(launch, monkeypatch):
    client = Gone(["a"])
    there = fleet.Fleet(client, patience=0.1)
    there._core, there._wanted = "host", "fit"
    there._known = {"a": "fit", "b": "fit"}
    monkeypatch.setattr(there, "_wait", client.lose)
    found, notes = measured(there, *jobs_for(launch, np.zeros(16, np.float32)))
    assert found[0].reason == "not measured: no worker is left"
    assert notes == ["worker a was lost while it measured"]


def test_two_workers_are_lost_with_one_job(launch, monkeypatch):
    client = Gone(["a", "b"])
    there = fleet.Fleet(client, patience=0.1)
    there._core, there._wanted = "host", "fit"
    there._known = {"a": "fit", "b": "fit"}
    monkeypatch.setattr(there, "_wait", client.lose)
    found, notes = measured(there, *jobs_for(launch, np.zeros(16, np.float32)))
    assert found[0].reason == "2 workers were lost while they measured it" and len(notes) == 2


def test_workers_that_differ(client, monkeypatch):
    """Their numbers cannot be compared: those that are more stay."""
    there = fleet.Fleet(client)
    where = there.conditions("host")
    other, emulated = attrs.evolve(where, threads=99), attrs.evolve(where, unit=INSTRUCTIONS)
    answers = {"a": where, "b": other, "c": other, "d": emulated, "e": "there is no core 'host'"}
    monkeypatch.setattr(there, "_ask", lambda: there._known.update(answers))
    assert there.conditions("host") == other
    assert there.notes() == [
        f"worker a is not used: its milliseconds on {where.threads} threads are of another kind",
        f"worker d is not used: its instructions (emulated) on {where.threads} threads are of another kind",
        "worker e is not used: there is no core 'host'",
    ]


def test_another_machine(client, monkeypatch):
    there = fleet.Fleet(client)
    other = attrs.evolve(there.conditions("host"), digest="another")
    monkeypatch.setattr(there, "_ask", lambda: there._known.update(a=other))
    with pytest.raises(LaunchError, match="is not that of this machine"):
        there.conditions("host")


def test_a_client_of_an_event_loop():
    with pytest.raises(ConfigError, match="asynchronous"):
        fleet.Fleet(SimpleNamespace(asynchronous=True))


def test_which_fleet_is_in_use(client):
    assert fleet.current() is None
    with over(client, seconds=7):
        assert fleet.current().seconds == 7
    assert fleet.current() is None


def test_nobody_at_the_address():
    with (
        pytest.raises(LaunchError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"),
        fleet.connected("tcp://127.0.0.1:9", seconds=1, patience=0.3),
    ):
        pass


def test_by_address(cluster):
    with fleet.connected(cluster.scheduler_address, seconds=3) as there:
        assert there.conditions("host").unit == MILLISECONDS
