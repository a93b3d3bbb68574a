"""Triton's own autotuner on vertebra's cores: pruned by the roofline, with results that are kept.

`install` wraps two methods of `Autotuner`.  Where vertebra is the active driver, `run` keeps a choice for
each core and always asks `check_disk_cache`, which Triton asks where results are to be kept, and
which here finds the result or tunes.  Arguments, keys, hooks and the launch stay Triton's.
"""

import functools
import sys
import time

from vertebra.core import select

_MODULE = "triton.runtime.autotuner"


class _Finder:
    """Finds no module; the first import after Triton's autotuner has been defined wraps it."""

    def find_spec(self, fullname, path=None, target=None):
        if hasattr(sys.modules.get(_MODULE), "Autotuner"):
            sys.meta_path.remove(self)
            _wrap(sys.modules[_MODULE].Autotuner)
        return None


def install() -> None:
    """Idempotent.  This module is loaded while Triton's autotuner is, which is then wrapped later."""
    if hasattr(sys.modules.get(_MODULE), "Autotuner"):
        _wrap(sys.modules[_MODULE].Autotuner)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _wrap(cls) -> None:
    if not hasattr(cls.run, "vertebra"):
        cls.run, cls.check_disk_cache = _around_run(cls.run), _around_check(cls.check_disk_cache)


@functools.cache
def _known():
    """Triton's driver slot and our driver's class, which cannot be imported as early as this module."""
    from triton.runtime.driver import driver

    from vertebra.plugins.triton.driver import VertebraDriver

    return driver, VertebraDriver


def _is_ours() -> bool:
    driver, ours = _known()
    return type(driver.active) is ours


class _Choices:
    """What has been chosen for an `Autotuner`: for each core, Triton's key -> configuration.

    call: arguments of the launch that goes on.
    """

    def __init__(self, tuner):
        from triton import knobs

        self.by_core: dict[str, dict] = {}
        self.call: tuple | None = None
        self.interpreted = knobs.runtime.interpret
        accept_numpy(tuner)


def _around_run(plain_run):
    @functools.wraps(plain_run)
    def run(self, *args, **kwargs):
        if len(self.configs) < 2 or not _is_ours():
            return plain_run(self, *args, **kwargs)
        choices = self.__dict__.get("_vertebra")
        if choices is None:
            choices = self._vertebra = _Choices(self)
        if choices.interpreted:
            return plain_run(self, *args, **kwargs)
        self.cache = choices.by_core.setdefault(select.current_core().name, {})
        self.cache_results = True
        choices.call = args, kwargs
        try:
            return plain_run(self, *args, **kwargs)
        finally:
            choices.call = None

    run.vertebra = True
    return run


def _around_check(plain_check):
    @functools.wraps(plain_check)
    def check_disk_cache(self, tuning_key, configs, bench_fn):
        choices = self.__dict__.get("_vertebra")
        if choices is None or choices.call is None:
            return plain_check(self, tuning_key, configs, bench_fn)
        from vertebra.plugins.triton.tuning import result_of

        began = time.time()
        args, kwargs = choices.call
        result, found = result_of(self, args, kwargs, tuning_key, configs)
        self.bench_time = time.time() - began
        self.cache[tuning_key] = chosen = configs[result.best]
        self.configs_timings = {
            config: [float("inf") if trial.measured is None else trial.measured] * 3
            for config, trial in zip(configs, result.trials, strict=True)
        }
        if not found:
            self.pre_hook({**self.nargs, **kwargs, **chosen.all_kwargs()}, reset_only=True)
        return found

    return check_disk_cache


def accept_numpy(tuner) -> None:
    """Triton's hooks for `reset_to_zero` and `restore_value` know tensors only; these know arrays too."""
    if tuner.user_defined_pre_hook or tuner.user_defined_post_hook:
        return
    if not tuner.reset_to_zero and not tuner.restore_value:
        return
    kept: dict = {}

    def pre_hook(kwargs, reset_only=False):
        for name in tuner.reset_to_zero:
            kwargs[name][...] = 0
        if not reset_only:
            kept.update({name: _copy_of(kwargs[name]) for name in tuner.restore_value})

    def post_hook(kwargs, exception):
        for name in tuner.restore_value:
            kwargs[name][...] = kept.pop(name)

    tuner.pre_hook, tuner.post_hook = pre_hook, post_hook


def _copy_of(array):
    return array.clone() if hasattr(array, "clone") else array.copy()
