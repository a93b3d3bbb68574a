"""Measuring on the workers of a Dask cluster, each of which is a board or a machine of its own."""

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from vertebra.core import select
from vertebra.core.errors import ConfigError, LaunchError, VertebraError
from vertebra.core.tuning.bench import Bench, Outcome
from vertebra.core.tuning.job import Arguments, Job, conditions_for, digest_of
from vertebra.core.tuning.records import MILLISECONDS, Conditions

_LOOK = 0.5  # seconds between two looks at who is there
_ANSWER = 300.0  # seconds beyond a job's own, after which a worker that says nothing is lost
_ATTEMPTS = 2  # workers that may be lost with one job

# --- On a worker -----------------------------------------------------------------------------

_turn = threading.Lock()
_benches: dict[float, Bench] = {}
_arguments: dict[str, Arguments] = {}  # of the tuning that goes on


def _conditions(core: str) -> Conditions | str:
    """Those of this worker, or why it has none."""
    try:
        return conditions_for(core)
    except VertebraError as error:
        return str(error)


def _measure(job: Job, seconds: float, digest: str, arguments: Arguments | None) -> Outcome | None:
    """None where the arguments have to be sent first."""
    with _turn:
        if arguments is not None:
            _arguments.clear()
            _arguments[digest] = arguments
        if digest not in _arguments:
            return None
        return _benches.setdefault(seconds, Bench(seconds)).measure(_arguments[digest], job)


def _rest() -> None:
    """Ends the processes in which this worker has measured."""
    with _turn:
        while _benches:
            _benches.popitem()[1].close()
        _arguments.clear()


# --- On the machine that tunes ---------------------------------------------------------------


class Fleet:
    """The workers of a `distributed.Client` that can measure for a core.

    seconds: what one job may take.  patience: how long to wait for a worker where there is none.
    Raises ConfigError for a client that cannot be waited for.
    """

    def __init__(self, client, *, seconds: float = 60.0, patience: float = 60.0):
        if getattr(client, "asynchronous", False):
            raise ConfigError(
                "the client is asynchronous, and launches wait for their result",
                fix="use distributed.Client(...) outside of an event loop",
            )
        self.seconds, self._patience = seconds, patience
        self._client = client
        self._known: dict[str, Conditions | str] = {}  # by address
        self._wanted: Conditions | None = None

    def conditions(self, core: str) -> Conditions:
        """Those of the workers that are used: they measure time rather than count, and most agree with them.

        Raises LaunchError where no worker can run kernels for `core`.
        """
        self._known, self._wanted, self._core = {}, None, core
        self._ask()
        found = [each for each in self._known.values() if isinstance(each, Conditions)]
        if not found:
            reasons = [f"{address}: {why}" for address, why in self._known.items()]
            raise LaunchError(
                f"no worker can measure kernels for core {core}:\n  "
                + ("\n  ".join(reasons) or "there are no workers"),
                fix="start `dask worker` on a machine that runs them, with vertebra installed",
            )
        here = digest_of(select.find_core(core))
        self._wanted = max(
            found, key=lambda each: (each.digest == here, each.unit == MILLISECONDS, found.count(each))
        )
        if self._wanted.digest != here:
            raise LaunchError(
                f"core {core} of the workers is not that of this machine, whose code they cannot run",
                fix="tune on a machine of the same kind, with the same version of vertebra",
            )
        return self._wanted

    def notes(self) -> list[str]:
        """Of workers that are not used, why."""
        return [
            f"worker {address} is not used: "
            + (
                each
                if isinstance(each, str)
                else f"its {each.unit} on {each.threads} threads are of another kind"
            )
            for address, each in self._known.items()
            if each != self._wanted
        ]

    def measure(
        self, arguments: Arguments, jobs: Sequence[Job], report: Callable[[str], object]
    ) -> Iterator[tuple[int, Outcome]]:
        """(number of the job, what became of it), as they end.  report: told of workers that are lost."""
        todo, attempts = deque(range(len(jobs))), Counter[int]()
        running: dict[str, tuple[int, Any, float]] = {}  # worker -> job, future, when it began
        has: set[str] = set()  # addresses of workers that have been sent the arguments
        for note in self.notes():
            report(note)
        try:
            while todo or running:
                there = self._usable()
                idle = [address for address in there if address not in running]
                while todo and idle:
                    number, address = todo.popleft(), idle.pop()
                    running[address] = (number, self._start(address, jobs[number], arguments, has), _now())
                if not running and not self._await_worker():
                    for number in todo:
                        yield number, Outcome(None, "not measured: no worker is left")
                    return
                self._wait([future for _, future, _ in running.values()])
                for address, (number, future, began) in list(running.items()):
                    outcome, lost = self._look(address, future, began, address in there)
                    if outcome is None and not lost:
                        continue
                    del running[address]
                    if outcome is _AGAIN:
                        has.discard(address)
                        todo.appendleft(number)
                    elif outcome is not None:
                        yield number, outcome
                    else:
                        attempts[number] += 1
                        report(f"worker {address} was lost while it measured")
                        if attempts[number] < _ATTEMPTS:
                            todo.append(number)
                        else:
                            yield (
                                number,
                                Outcome(None, f"{_ATTEMPTS} workers were lost while they measured it"),
                            )
        finally:
            for _, future, _ in running.values():
                future.cancel()
            with contextlib.suppress(OSError):
                self._client.run(_rest, workers=list(self._usable()), on_error="ignore")

    def _start(self, address: str, job: Job, arguments: Arguments, has: set[str]):
        sent = None if address in has else arguments
        has.add(address)
        return self._client.submit(
            _measure, job, self.seconds, arguments.digest, sent, workers=[address], pure=False
        )

    def _look(self, address: str, future, began: float, there: bool) -> tuple[Outcome | None, bool]:
        """(what became of it, if anything did; whether the worker is lost)"""
        if future.status == "finished":
            outcome = future.result()
            return (_AGAIN if outcome is None else outcome), False
        if future.status == "error":
            error = future.exception()
            if type(error).__name__ == "KilledWorker":
                return None, True
            return Outcome(None, f"worker {address} fails: {type(error).__name__}: {error}"), False
        if future.status != "pending" or not there:
            future.cancel()
            return None, True
        if _now() - began > self.seconds + _ANSWER:
            future.cancel()
            self._known[address] = f"it said nothing for {self.seconds + _ANSWER:g} s"
            return None, True
        return None, False

    def _wait(self, futures: list) -> None:
        from distributed import wait

        # `wait` knows the current client only.
        with self._client.as_current(), contextlib.suppress(TimeoutError):
            wait(futures, timeout=_LOOK, return_when="FIRST_COMPLETED")

    def _ask(self) -> None:
        """Asks workers that have not been asked before what they can do."""
        there = self._addresses()
        asked = {
            address: self._client.submit(_conditions, self._core, workers=[address], pure=False)
            for address in there
            if address not in self._known
        }
        until = _now() + self._patience
        while (waiting := [f for f in asked.values() if f.status == "pending"]) and _now() < until:
            self._wait(waiting)
        for address, future in asked.items():
            if future.status == "finished":
                self._known[address] = future.result()
            elif future.status == "error":
                error = future.exception()
                self._known[address] = f"{type(error).__name__}: {error}"
            else:
                self._known[address] = f"it said nothing for {self._patience:g} s"
                future.cancel()

    def _addresses(self) -> set[str]:
        try:
            return set(self._client.nthreads())
        except OSError as error:
            raise LaunchError(f"the scheduler {self._client.scheduler} does not answer: {error}") from None

    def _usable(self) -> set[str]:
        """The addresses of workers that are there and may be used; new ones are asked first."""
        there = self._addresses()
        if not there <= set(self._known):
            self._ask()
        return {address for address in there if self._known.get(address) == self._wanted}

    def _await_worker(self) -> bool:
        until = _now() + self._patience
        while not self._usable():
            if _now() > until:
                return False
            time.sleep(_LOOK)
        return True


_AGAIN = Outcome(None, "again")
_now = time.monotonic


_current: ContextVar[Fleet | None] = ContextVar("fleet", default=None)


def current() -> Fleet | None:
    """The fleet that measures, None where this machine does."""
    return _current.get()


@contextlib.contextmanager
def used(fleet: Fleet) -> Iterator[None]:
    token = _current.set(fleet)
    try:
        yield
    finally:
        _current.reset(token)


@contextlib.contextmanager
def connected(address: str, *, seconds: float, patience: float = 10.0) -> Iterator[Fleet]:
    """The fleet behind a scheduler's address, which has `patience` seconds to answer.

    Raises ConfigError, LaunchError.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("Dask distributed is not installed", fix="pip install 'vertebra[tune]'") from None
    try:
        client = Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as error:
        raise LaunchError(
            f"no scheduler answers at {address}: {error}",
            fix="start `dask scheduler`, which prints its address",
        ) from None
    with client:
        yield Fleet(client, seconds=seconds)
