"""Tuning ahead of time: a kernel in a Python file, on arguments that are made up."""

import copy
from collections.abc import Callable, Mapping, Sequence

from vertebra.core import select
from vertebra.core.errors import ConfigError
from vertebra.core.target import Core
from vertebra.core.tuning.records import Result
from vertebra.plugins.triton import aot
from vertebra.plugins.triton.autotune import accept_numpy
from vertebra.plugins.triton.made_arguments import arguments
from vertebra.plugins.triton.signature import bind, parse_constants, split

_OF_CONFIG = ("num_warps", "num_stages", "num_ctas", "maxnreg")


def tune_file(
    path: str,
    kernel: str,
    *,
    signature: str,
    constexpr: str = "",
    configs: Sequence[str] = (),
    core: Core,
    values: Mapping[str, int],
    grid: str,
    measurer,
    share: float | None = None,
    again: bool = False,
    **options,
) -> Result:
    """The result for the kernel named `kernel` in the Python file `path`, found or measured and kept.

    signature, constexpr: as in `vertebra.plugins.triton.signature`, without what configurations set.
    configs: "BLOCK=64,num_warps=8" for each; by default those of the kernel's `triton.autotune`.
    values: of integer arguments; of pointers, how many elements.  grid: as for `grid_of`.  measurer,
    share, again: as of `tuning.result_of`.  Raises ConfigError, CompileError, LaunchError, OSError.
    """
    from vertebra.plugins.triton.tuning import key_of, result_of

    tuner, fixed = _tuner(aot.load_decorated(path, kernel), configs, path, kernel)
    accept_numpy(tuner)
    fn = _function(tuner)
    set_elsewhere = {name for config in tuner.configs for name in config.kwargs} | _heuristic_names(tuner.fn)
    set_elsewhere |= {name for heuristics in fixed for name in heuristics}
    left = [p for p in aot.parameters_of(fn) if p.name not in set_elsewhere]
    bound = bind(fn.__name__, left, signature, constexpr)
    types = {name: kind for name, kind in bound.types.items() if kind != "constexpr"}
    # Of these the signature says that they are 1.
    ones = {name: value for name, value in bound.constants.items() if not _is_constexpr(fn, name)}
    constants = {name: aot.constant(v) for name, v in bound.constants.items() if name not in ones}
    # Triton compares what these are, and cannot compare memory.
    tuner.keys = [name for name in tuner.keys if not types.get(name, "").startswith("*")]
    previous = select.current_core() if select.is_chosen() else None
    select.set_core(core.name)
    try:
        common = {**constants, **options, "grid": grid_of(grid), "warmup": False}
        kwargs = _called(types, values, {}, ones, fixed, common)
        tuner.nargs = {}
        chosen = tuner.prune_configs(kwargs)
        sizes = _sizes(tuner, kwargs, chosen, types, values)
        kwargs = _called(types, values, sizes, ones, fixed, common)
        return result_of(
            tuner,
            (),
            kwargs,
            key_of(tuner, kwargs),
            chosen,
            measurer=measurer,
            share=share,
            again=again,
            predict=True,
        )[0]
    finally:
        select.set_core(previous.name if previous else None)


def _called(types, values, sizes, ones, fixed, common) -> dict:
    """All that `Autotuner.run` is given, by name."""
    found = {**arguments(types, values, sizes), **ones, **common}
    for heuristics in fixed:
        for name, heuristic in heuristics.items():
            found[name] = heuristic(found)
    return found


def _tuner(decorated, configs: Sequence[str], path: str, kernel: str):
    """(the `Autotuner`, what heuristics around it set)"""
    import triton
    from triton.runtime.autotuner import Autotuner, Heuristics

    fixed, value = [], decorated
    while isinstance(value, Heuristics):
        fixed.append(value.values)
        value = value.fn
    if isinstance(value, Autotuner):
        tuner = copy.copy(value)
        if configs:
            tuner.configs = [_config(text) for text in configs]
        return tuner, fixed
    if not configs:
        raise ConfigError(
            f"{kernel} in {path} has no configurations to choose among",
            fix="put @triton.autotune(configs=[...], key=[...]) before it, or add --config 'BLOCK=64'",
        )
    fn = _function(decorated)
    keys = [p.name for p in fn.params if not p.is_constexpr]
    return triton.autotune([_config(text) for text in configs], key=keys)(decorated), []


def _config(text: str):
    import triton

    settings = parse_constants(text)
    options = {name: settings.pop(name) for name in _OF_CONFIG if name in settings}
    return triton.Config({name: aot.constant(value) for name, value in settings.items()}, **options)


def _function(decorated):
    from vertebra.plugins.triton.tuning import function_of

    return function_of(decorated)


def _heuristic_names(value) -> set[str]:
    found: set[str] = set()
    while hasattr(value, "fn") and hasattr(value, "values"):
        found |= set(value.values)
        value = value.fn
    return found


def _is_constexpr(fn, name: str) -> bool:
    return next(p.is_constexpr for p in fn.params if p.name == name)


def _sizes(tuner, kwargs, configs, types, values) -> dict[str, int]:
    """Pointer argument -> bytes: the most that any configuration takes.  Raises ConfigError."""
    from triton.compiler.errors import CompilationError

    from vertebra.core.errors import VertebraError
    from vertebra.plugins.triton.capture import capture

    asked = [name for name, kind in types.items() if kind.startswith("*") and name not in values]
    sizes = dict.fromkeys(asked, 0)
    for config in configs if asked else ():
        try:
            launch = capture(tuner, (), kwargs, config)
        except (CompilationError, VertebraError):
            continue  # told when it is tuned
        traffic = launch.predict().work.traffic
        for name in asked:
            if name in traffic:
                end = traffic[name].end
                if end is None:
                    raise ConfigError(
                        f"kernel {launch.binary.name}: how much of {name} it takes depends on data",
                        fix=f"add --args '{name}=...', its number of elements",
                    )
                sizes[name] = max(sizes[name], end)
    return sizes


def grid_of(text: str) -> Callable[[Mapping], tuple[int, ...]]:
    """The grid as Triton wants it, for 'cdiv(m, BLOCK_M) * cdiv(n, BLOCK_N), 4'.

    One to three expressions of numbers, arguments, constants of configurations, `cdiv`, `min` and `max`.
    Raises ConfigError, as the function does.
    """
    parts = split(text)
    if not 1 <= len(parts) <= 3:
        raise ConfigError(
            f"--grid: {text!r} is no grid", fix="write one to three numbers: 'cdiv(n, BLOCK),8'"
        )
    try:
        codes = [compile(part, "--grid", "eval") for part in parts]
    except SyntaxError as error:
        raise ConfigError(f"--grid: {text!r} is no expression: {error.msg}") from None

    def grid(meta: Mapping) -> tuple[int, ...]:
        known = {"cdiv": lambda a, b: -(-a // b), "min": min, "max": max, "__builtins__": {}}
        try:
            found = tuple(eval(code, known, dict(meta)) for code in codes)
        except Exception as error:  # whatever is in the text
            raise ConfigError(
                f"--grid: {text!r}: {type(error).__name__}: {error}",
                fix=f"use numbers, cdiv, min, max and {', '.join(meta)}",
            ) from None
        if not all(isinstance(n, int) and n >= 0 for n in found):
            raise ConfigError(f"--grid: {text!r} gives {found}", fix="let it give whole numbers")
        return found

    return grid
