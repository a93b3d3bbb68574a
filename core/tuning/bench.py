"""Measuring in a process of its own, which may crash or hang without harm."""

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

import attrs

from vertebra.core.tuning.job import Arguments, Job, conditions_for
from vertebra.core.tuning.records import Conditions

_SIZE = struct.Struct("<Q")
# For what comes before a kernel runs: Python, and the emulator's runner, which is built on first use.
_START = 120.0


@attrs.frozen
class Outcome:
    """value: what was measured; None where `reason` says why not."""

    value: float | None
    reason: str | None = None


def send(connection: socket.socket, thing: object) -> None:
    data = pickle.dumps(thing, protocol=pickle.HIGHEST_PROTOCOL)
    connection.sendall(_SIZE.pack(len(data)) + data)


def receive(connection: socket.socket):
    """The next object.  Raises EOFError where the other side has gone, TimeoutError."""
    (size,) = _SIZE.unpack(_exactly(connection, _SIZE.size))
    return pickle.loads(_exactly(connection, size))


def _exactly(connection: socket.socket, count: int) -> bytearray:
    received = bytearray()
    while len(received) < count:
        try:
            part = connection.recv(min(count - len(received), 1 << 20))
        except ConnectionError:
            part = b""
        if not part:
            raise EOFError
        received += part
    return received


class Bench:
    """Measures jobs one after the other.  seconds: what one may take."""

    def __init__(self, seconds: float = 60.0):
        self.seconds = seconds
        self._process: subprocess.Popen | None = None
        self._connection: socket.socket | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it stays as long as the bench
        self._given: str | None = None  # digest of the arguments that the process has

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def measure(self, arguments: Arguments, job: Job) -> Outcome:
        try:
            connection = self._started()
            if self._given != arguments.digest:
                send(connection, arguments)
                self._given = arguments.digest
            send(connection, (job, self.seconds))
            connection.settimeout(self.seconds + _START)
            answer = receive(connection)
        except TimeoutError:
            self._end(kill=True)
            return Outcome(None, f"took more than {self.seconds:g} s")
        except (EOFError, ConnectionError):
            return Outcome(None, self._how_it_ended())
        return Outcome(answer) if isinstance(answer, float) else Outcome(None, answer)

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is None:
            assert self._connection is not None
            return self._connection
        self._end()
        ours, theirs = socket.socketpair()
        self._errors.seek(0)
        self._errors.truncate()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "vertebra.core.tuning.child", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # kernels may print
                stderr=self._errors,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "VERTEBRA_TIMEOUT": f"{self.seconds:g}"},
            )
        finally:
            theirs.close()
        self._connection = ours
        return ours

    def _how_it_ended(self) -> str:
        assert self._process is not None
        try:
            status = self._process.wait(10)
        except subprocess.TimeoutExpired:
            status = 0
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        self._end(kill=True)
        if status == -signal.SIGALRM:
            return f"took more than {self.seconds:g} s"
        if status < 0:
            return f"crashed: {signal.Signals(-status).name}"
        return f"ended with status {status}: {said[-1] if said else 'and said nothing'}"

    def _end(self, *, kill: bool = False) -> None:
        if self._connection is not None:
            self._connection.close()  # which a process that waits takes as the end
        if self._process is not None:
            if not kill:
                try:
                    self._process.wait(self.seconds)
                except subprocess.TimeoutExpired:
                    kill = True
            if kill:
                self._process.kill()
                self._process.wait()
        self._process = self._connection = self._given = None

    def close(self) -> None:
        self._end()


class Here:
    """A `Bench` of this machine, as what measures a tuning."""

    def __init__(self, seconds: float = 60.0):
        self._bench = Bench(seconds)

    def conditions(self, core: str) -> Conditions:
        return conditions_for(core)

    def measure(
        self, arguments: Arguments, jobs: Sequence[Job], report: Callable[[str], object]
    ) -> Iterator[tuple[int, Outcome]]:
        """(number of the job, what became of it), as they end.  report: told of other events."""
        with self._bench as bench:
            for number, job in enumerate(jobs):
                yield number, bench.measure(arguments, job)
