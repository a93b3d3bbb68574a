"""Sessions of `triton.profiler` for kernels that vertebra runs (see `proton.py`)."""

import collections
import contextlib
import sys
import threading
import traceback
import warnings
from pathlib import Path
from time import perf_counter_ns

from vertebra.core.errors import ConfigError
from vertebra.core.profile import formats, records
from vertebra.core.profile.session import Session
from vertebra.plugins.triton.proton import BACKEND, PACKAGE

INSTRUMENTATION = "instrumentation"
_FIRST = 1 << 20  # our sessions have numbers from here; the native library counts from 0


class Library:
    """What the modules of `triton.profiler` call; see their source for what each function does."""

    def __init__(self, native):
        self._native = native
        self._sessions: dict[int, Session] = {}
        self._kept: set[int] = set()  # sessions that end with the program only
        self._scopes = 0
        self._launches = threading.local()
        self._counting = contextlib.ExitStack()  # what runtimes count meanwhile

    def __getattr__(self, name: str):
        return getattr(self._native, name)

    # -- sessions

    def start(self, name: str, context: str, data: str, backend: str, mode: str) -> int:
        ours = backend == BACKEND or (backend == INSTRUMENTATION and mode.partition(":")[0] == BACKEND)
        if not ours:
            return self._native.start(name, context, data, backend, mode)
        if data not in formats.DEFAULT:
            raise ConfigError(f"there is no profile data {data!r}", fix="use tree or trace")
        if context not in ("shadow", "python"):
            raise ConfigError(f"there is no profile context {context!r}", fix="use shadow or python")
        if not self._sessions:
            self._listen(True)
        number = max(self._sessions, default=_FIRST - 1) + 1
        self._sessions[number] = Session(name, data, _frames if context == "python" else list)
        return number

    def _ours(self, session: int | None) -> list[Session]:
        found = self._sessions.items()
        return [each for number, each in found if session is None or number == session]

    def activate(self, session: int) -> None:
        self._switch(session, True)

    def deactivate(self, session: int, flushing: bool = False) -> None:
        self._switch(session, False)

    def activate_all(self) -> None:
        self._switch(None, True)

    def deactivate_all(self, flushing: bool = False) -> None:
        self._switch(None, False)

    def _switch(self, session: int | None, active: bool) -> None:
        for each in self._ours(session):
            each.active = active
        if session is None or session not in self._sessions:
            self._native_switch(session, active)

    def _native_switch(self, session: int | None, active: bool) -> None:
        what = "activate" if active else "deactivate"
        arguments = ([] if session is None else [session]) + ([] if active else [False])
        getattr(self._native, what if session is not None else f"{what}_all")(*arguments)

    def finalize(self, session: int, output_format: str = "") -> None:
        if session not in self._sessions:
            return self._native.finalize(session, output_format)
        ended = self._sessions[session]
        for loss in ended.losses:
            warnings.warn(loss, RuntimeWarning, stacklevel=3)
        try:
            formats.write(ended, _core_name(), output_format)
        finally:
            del self._sessions[session]
            if not self._sessions:
                self._listen(False)

    def finalize_all(self, output_format: str = "") -> None:
        for session in [number for number in self._sessions if number not in self._kept]:
            self.finalize(session, output_format)
        self._native.finalize_all(output_format)

    def get_data(self, session: int, phase: int = 0) -> str:
        if session not in self._sessions:
            return self._native.get_data(session, phase)
        import json

        self._sessions[session].settle()
        return json.dumps(formats.hatchet(self._sessions[session], _core_name()))

    # -- scopes

    def record_scope(self) -> int:
        if not self._sessions:
            return self._native.record_scope()
        self._scopes += 1
        return self._scopes

    def enter_scope(self, scope: int, name: str) -> None:
        for session in self._active():
            session.enter(scope, name)
        if not self._sessions:
            self._native.enter_scope(scope, name)

    def exit_scope(self, scope: int, name: str) -> None:
        for session in self._sessions.values():
            session.leave(scope)
        if not self._sessions:
            self._native.exit_scope(scope, name)

    def add_metrics(self, scope: int, metrics: dict, tensors: dict | None = None) -> None:
        numbers = {key: value.item() if hasattr(value, "item") else value for key, value in metrics.items()}
        for session in self._active():
            session.add(scope, numbers)
        if not self._sessions:
            self._native.add_metrics(scope, metrics, tensors or {})

    enter_op, exit_op = enter_scope, exit_scope

    def enter_state(self, name: str) -> None:
        if not self._sessions:
            self._native.enter_state(name)

    def exit_state(self) -> None:
        if not self._sessions:
            self._native.exit_state()

    def _active(self) -> list[Session]:
        return [session for session in self._sessions.values() if session.active]

    # -- launches

    def _listen(self, on: bool) -> None:
        from triton import knobs

        for chain, hook in (
            (knobs.runtime.launch_enter_hook, self._enter),
            (knobs.runtime.launch_exit_hook, self._exit),
        ):
            (chain.add if on else chain.remove)(hook)
        self._counting.close()
        if on:
            self._counting = _count_emulated()

    def _enter(self, metadata) -> None:
        records.take()  # of launches that failed or that nobody looked at
        self._launches.began = perf_counter_ns()

    def _exit(self, metadata) -> None:
        end = perf_counter_ns()
        start = getattr(self._launches, "began", end)
        kernel = metadata.data["function"]
        counted = getattr(getattr(kernel, "kernel", kernel), "counted", None)
        recordings = records.take()
        for session in self._active():
            session.launched(metadata.data["name"], start, end, counted, recordings)


class InstrumentationHook:
    """For a session with backend "instrumentation": scopes inside of kernels are compiled from now on."""

    priority = 0  # among hooks, see triton.profiler.hooks

    def __init__(self, mode=None):
        self.mode = mode

    def activate(self) -> None:
        self._switch(True)

    def deactivate(self) -> None:
        self._switch(False)

    def _switch(self, on: bool) -> None:
        from triton import knobs

        sys.modules[f"{PACKAGE}.flags"].flags.instrumentation_on = on
        knobs.compilation.instrumentation_mode = BACKEND if on else ""

    def init_handle(self, *_) -> None:
        """A kernel needs nothing when it is loaded."""

    enter = exit = init_handle


def _count_emulated() -> contextlib.ExitStack:
    """Lets the runtimes that emulate count instructions until it is closed, since their time says nothing.

    Every kernel keeps its own count.
    """
    from vertebra.core import hooks

    stack = contextlib.ExitStack()
    for runtime in hooks.runtimes().values():
        if hasattr(runtime, "counting"):
            stack.enter_context(runtime.counting(collections.deque(maxlen=0)))
    return stack


def _frames() -> list[str]:
    """The Python frames around a launch, the outermost first, as `file:line@function`."""
    inside = tuple(str(Path(module.__file__).parent) for module in (sys.modules["triton"], formats))
    stack = [
        f for f in traceback.extract_stack() if not f.filename.startswith((*inside, __file__, "<string>"))
    ]
    return [f"{frame.filename}:{frame.lineno}@{frame.name}" for frame in stack]


def _core_name() -> str:
    from vertebra.core import select

    return select.current_core().name


def _is_active() -> bool:
    import triton

    return triton.runtime.driver.active.get_current_target().backend == BACKEND


def serve() -> None:
    """Puts `Library` into the modules of `triton.profiler`, which have been imported."""
    modules = [m for name, m in sys.modules.items() if name.startswith(PACKAGE) and hasattr(m, "libproton")]
    native = next(m.libproton for m in modules)
    if isinstance(native, Library):
        return
    library = Library(native)
    for module in modules:
        module.libproton = library
    profile, scope = (sys.modules[f"{PACKAGE}.{name}"] for name in ("profile", "scope"))
    select_backend, set_metric_kernels = profile._select_backend, scope.set_metric_kernels
    profile._select_backend = lambda: BACKEND if _is_active() else select_backend()
    theirs = profile.InstrumentationHook
    profile.InstrumentationHook = lambda mode: InstrumentationHook(mode) if _is_active() else theirs(mode)
    # On the CPU metrics are numbers, which need no kernel to be read.
    scope.set_metric_kernels = lambda: None if _is_active() else set_metric_kernels()
