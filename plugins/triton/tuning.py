"""One tuning of an `Autotuner`: compiled by Triton, chosen and kept by `vertebra.core.tuning`."""

import attrs

from vertebra.core import select
from vertebra.core.errors import LaunchError, VertebraError
from vertebra.core.tuning import fleet, job, pruning, records, session, store
from vertebra.core.tuning.bench import Outcome
from vertebra.core.tuning.progress import Progress
from vertebra.plugins.triton.capture import capture

# What `triton.Config` says where its user says nothing.
_DEFAULTS = {"num_warps": 4, "num_stages": 3, "num_ctas": 1, "maxnreg": None, "ir_override": None}


def result_of(
    tuner, args, kwargs, key, configs, *, measurer=None, share=None, again=False, predict=False
) -> tuple[records.Result, bool]:
    """The result for these arguments, and whether it was found rather than measured.

    tuner: the `Autotuner`, whose `nargs` are set.  kwargs: as of its `run`, the grid among them.  key: the
    values that decide.  configs: what is left after the user's own pruning.  measurer: None for the
    fleet that is in use, and else this process.  share: of the configurations that are measured, None for
    that of the environment.  again: measure even where there is a result.  predict: also where none is
    pruned.
    """
    core = select.current_core()
    own = tuner._do_bench is not None  # the user's, which only this process can call
    measurer = None if own else measurer or fleet.current()
    conditions = measurer.conditions(core.name) if measurer else job.conditions_for(core.name)
    if own:
        conditions = attrs.evolve(conditions, unit=records.OWN)
    subject = _subject(tuner, kwargs, key, configs)
    path = store.chosen(_cache_folder())
    if not again and (found := store.find(path, subject.identity(conditions))) is not None:
        return found, True
    share = pruning.share() if share is None else share
    if tuner.perf_model is not None:
        share = 1.0  # the user's own model has chosen
    with Progress(f"tuning {subject.kernel} for {core.name}") as progress:
        candidates = _candidates(tuner, args, kwargs, configs, subject.configs, progress)
        if measurer is None:
            measure = _in_this_process(tuner, args, kwargs, configs)
        else:
            measure = _elsewhere(tuner, kwargs, configs[0], measurer, candidates, progress.warn)
        result = session.tune(
            subject, conditions, candidates, measure, share=share, progress=progress, predict=predict
        )
    store.keep(path, result)
    return result, False


def _cache_folder() -> str:
    from triton import knobs

    return knobs.cache.dir


def function_of(tuner):
    """The `JITFunction` inside the decorators."""
    from triton.runtime.jit import JITFunction

    fn = tuner
    while not isinstance(fn, JITFunction):
        fn = fn.fn
    return fn


def key_of(tuner, kwargs) -> tuple:
    """The values by which `Autotuner.run` tells calls apart, all arguments given by name."""
    given = {name: value for name, value in kwargs.items() if name in tuner.arg_names}
    values = [given[name] for name in tuner.keys if name in given]
    return (*values, *(str(value.dtype) for value in given.values() if hasattr(value, "dtype")))


def _subject(tuner, kwargs, key, configs) -> records.Subject:
    import importlib.metadata

    import triton

    fn = function_of(tuner)
    versions = f"vertebra {importlib.metadata.version('vertebra')}, triton {triton.__version__}"
    # "torch.float32" and NumPy's "float32" are one type.
    values = tuple(str(value).removeprefix("torch.") for value in key)
    given = _constants(fn, {**tuner.nargs, **kwargs}, configs)
    values += tuple(f"{name}={value}" for name, value in given.items())
    return records.Subject(fn.__name__, fn.cache_key, values, tuple(map(_settings, configs)), versions)


def _constants(fn, given, configs) -> dict:
    """What decides about the code beside the key: constants that no configuration sets, and options."""
    constants = {p.name for p in fn.params if p.is_constexpr}
    found = {p.name: p.default for p in fn.params if p.is_constexpr and p.has_default}
    found |= {name: value for name, value in given.items() if name in constants}
    others = {*fn.arg_names, "grid", "warmup"}
    found |= {name: value for name, value in given.items() if name not in others and value}
    by_config = {name for config in configs for name in config.kwargs}
    return {name: found[name] for name in sorted(found) if name not in by_config}


def _settings(config) -> dict[str, object]:
    """What a `triton.Config` sets, with hooks by their names."""
    found = dict(config.kwargs)
    chosen = {name: getattr(config, name) for name in _DEFAULTS}
    found |= {name: value for name, value in chosen.items() if value != _DEFAULTS[name]}
    if config.pre_hook is not None:
        hook = config.pre_hook
        found["pre_hook"] = getattr(hook, "__qualname__", type(hook).__name__)
    return records.plain(found)


def _candidates(tuner, args, kwargs, configs, settings, progress: Progress) -> list[session.Candidate]:
    progress.begin("compiling", len(configs))
    found = []
    for config, each in zip(configs, settings, strict=True):
        found.append(_candidate(tuner, args, kwargs, config, each))
        progress.step()
    return found


def _candidate(tuner, args, kwargs, config, settings) -> session.Candidate:
    from triton.compiler.errors import CompilationError, CompileTimeAssertionFailure
    from triton.runtime.errors import OutOfResources

    try:
        launch = capture(tuner, args, kwargs, config)
    except (CompilationError, CompileTimeAssertionFailure, OutOfResources, VertebraError) as error:
        return session.Candidate(settings, error=error)
    alike = (launch.binary.object, launch.grid) if config.pre_hook is None else None
    return session.Candidate(settings, launch, alike=alike)


def _elsewhere(tuner, kwargs, config, measurer, candidates, report):
    """Measures by `measurer`, on memory as it is after the hooks that come before a launch."""
    values = {**tuner.nargs, **kwargs, **config.all_kwargs()}
    hooked = tuner.user_defined_pre_hook or tuner.user_defined_post_hook
    changed = [values[name] for name in (*tuner.reset_to_zero, *tuner.restore_value)]

    def fresh(argument) -> bool:
        """Whether its memory has to be the same before every launch."""
        return hooked or any(argument is each for each in changed)

    measure = session.elsewhere(measurer, candidates, fresh, report)

    def with_hooks(chosen):
        tuner.pre_hook(values)
        try:
            yield from measure(chosen)
        finally:
            tuner.post_hook(values, exception=None)

    return with_hooks


def _in_this_process(tuner, args, kwargs, configs):
    """Measures by Triton's own `_bench`, with all hooks, on the arguments of the launch."""

    def measure(chosen):
        for number in chosen:
            try:
                median, *_ = tuner._bench(*args, config=configs[number], **kwargs)
            except LaunchError as error:
                yield number, Outcome(None, str(error))
            else:
                failed = median == float("inf")
                yield number, Outcome(None, "does not fit the core") if failed else Outcome(float(median))

    return measure
