"""What becomes of a Triton kernel, as `vertebra.core.explain` shows it."""

import inspect
from collections.abc import Mapping

from vertebra.core import bounds, select
from vertebra.core.explain.page import Report
from vertebra.core.explain.report import Launch, explain
from vertebra.core.target import Core
from vertebra.plugins.triton import aot
from vertebra.plugins.triton.options import parse_options


def explain_file(
    path: str,
    kernel: str,
    *,
    signature: str,
    constexpr: str = "",
    core: str | None = None,
    values: Mapping[str, int] | None = None,
    grid: tuple[int, int, int] | None = None,
    **options,
) -> Report:
    """The report on the kernel `kernel` in the Python file `path`; arguments as of `aot.compile_file`.

    values, grid: integer arguments by name, and programs, of a launch whose roofline is shown.
    """
    fn = aot.load_kernel(path, kernel)
    chosen = select.find_core(core) if core else select.current_core()
    return explain_function(
        fn, signature=signature, constexpr=constexpr, core=chosen, values=values, grid=grid, **options
    )


def explain_function(
    fn, *, signature: str, constexpr: str = "", core: Core, values=None, grid=None, **options
) -> Report:
    """As `explain_file`, for a JIT function that is at hand.  Raises ConfigError, CompileError."""
    artifact = aot.compile_function(
        fn, signature=signature, constexpr=constexpr, core=core, emit="ttir", **options
    )
    arguments = ", ".join(
        f"{name}: {kind}" for name, kind in zip(artifact.fields, artifact.signature, strict=True)
    )
    _, at = inspect.getsourcelines(fn.fn)
    code, names = parse_options(options, core.name).code_options(), artifact.fields
    if code.bounds_check:
        names += bounds.hidden_names(artifact.signature, names)
    return explain(
        artifact.data,
        core,
        code,
        kernel=artifact.name,
        file=inspect.getsourcefile(fn.fn) or "-",
        at=at,
        launch=Launch(names, values or {}, grid) if grid else None,
        facts=(("arguments", arguments), ("constants", constexpr or "none")),
    )
