"""Ahead of time: one kernel in a Python file, to any stage up to its object.  (`library` makes libraries.)

>>> compile_file("add.py", "add_kernel", signature="*fp32,*fp32,*fp32,i32", constexpr="BLOCK=1024",
...              core="spacemit-x60", emit="asm").data
"""

import difflib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import Any

import attrs

from vertebra.core import abi, bounds, elf, select
from vertebra.core import compile as stages
from vertebra.core.command import check_readable
from vertebra.core.errors import CompileError, ConfigError, VertebraError
from vertebra.core.header import header
from vertebra.core.pipeline import STAGES
from vertebra.core.target import Core
from vertebra.plugins.triton.launcher import slot_names
from vertebra.plugins.triton.places import PLACED
from vertebra.plugins.triton.signature import Bound, Parameter, bind

# What one kernel by itself becomes.
EMITTED = STAGES[: STAGES.index("so")]


@attrs.frozen
class Artifact:
    """One kernel at one stage.

    data: text up to stage `asm`, bytes after it.  signature: Triton's type names of the run-time
    arguments, in slot order.  fields: their names.  header: the C header, at stage `obj`.
    """

    name: str
    emit: str
    core: Core
    data: Any
    signature: tuple[str, ...]
    fields: tuple[str, ...]
    header: str | None = None


def compile_file(
    path: str,
    kernel: str,
    *,
    signature: str,
    constexpr: str = "",
    core: str | None = None,
    emit: str = "obj",
    **options,
) -> Artifact:
    """The kernel named `kernel` in the Python file `path`, which is run to find it.

    signature, constexpr: as in `vertebra.plugins.triton.signature`.  core: a name or arch id, the
    current core by default.  emit: a stage before `so`.  options: as for a launch (`fast_math`, ...).
    Raises ConfigError, CompileError (Triton's complaints too), OSError.
    """
    if emit not in EMITTED:
        raise ConfigError(f"there is no stage {emit!r}", fix=f"the stages are {', '.join(EMITTED)}")
    chosen = select.find_core(core) if core else select.current_core()
    return compile_function(
        load_kernel(path, kernel), signature=signature, constexpr=constexpr, core=chosen, emit=emit, **options
    )


def load_kernel(path: str, name: str):
    """The `triton.JITFunction` called `name` in a Python file, without decorators around it."""
    import triton

    return _unwrap(load_decorated(path, name), triton)


def load_decorated(path: str, name: str):
    """The kernel called `name` in a Python file, with `triton.autotune` and the like around it."""
    import triton

    file = Path(path)
    check_readable(str(path))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file", fix="the kernel's file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except VertebraError:
        raise
    except Exception as error:  # whatever a user's file does
        raise ConfigError(
            f"{path}:{_line_in(path, error)}: running this file raises {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(str(file.parent.resolve()))
    found = {key: fn for key, value in vars(module).items() if (fn := _unwrap(value, triton)) is not None}
    if name in found:
        return getattr(module, name)
    if hasattr(module, name):
        raise ConfigError(
            f"{name} in {path} is a {type(getattr(module, name)).__name__}, not a Triton kernel",
            fix="put @triton.jit before it",
        )
    near = difflib.get_close_matches(name, found, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    listed = ", ".join(key for key in found) or "none"
    raise ConfigError(f"there is no kernel {name!r} in {path}", fix=f"{hint}kernels in it: {listed}")


def _line_in(path: str, error: Exception) -> int:
    """The line of `path` in which `error` was raised, 1 where that is unknown."""
    if isinstance(error, SyntaxError):
        return error.lineno or 1
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == Path(path)]
    return (lines[-1] if lines else None) or 1


def _unwrap(value, triton):
    """The kernel inside `triton.autotune` and `triton.heuristics`, or None where there is none."""
    while isinstance(value, triton.runtime.KernelInterface) and not isinstance(value, triton.JITFunction):
        value = value.fn
    return value if isinstance(value, triton.JITFunction) else None


def parameters_of(fn) -> list[Parameter]:
    """The parameters of a JIT function as plain data."""
    return [
        Parameter(p.name, p.is_constexpr, p.default if p.has_default else None, p.has_default)
        for p in fn.params
    ]


def make_ttir(fn, bound: Bound, core: Core, options: dict):
    """Triton's module of `fn` at stage `ttir`, and its context's options object.

    Raises CompileError with Triton's complaints.
    """
    import triton  # noqa: F401 - before the modules that Triton loads itself
    from triton._C.libtriton import ir
    from triton.compiler import ASTSource
    from triton.compiler.errors import CompilationError

    from vertebra.plugins.triton import compiler

    target = compiler.target_for(core)
    backend = compiler.VertebraBackend(target)
    chosen = backend.parse_options(options)
    names = list(bound.types)
    hints = {(names.index(name),): [["tt.divisibility", 16]] for name in bound.multiples}
    source = ASTSource(fn, bound.types, {name: constant(v) for name, v in bound.constants.items()}, hints)
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    functions = backend.get_codegen_implementation(chosen)
    try:
        module = source.make_ir(target, chosen, functions, backend.get_module_map(), context)
    except CompilationError as error:
        raise located(error, fn) from error
    return compiler.make_ttir(module, chosen), chosen


def constant(value):
    """A constant's value; 'tl.float32' names the type."""
    if isinstance(value, str) and value.startswith("tl."):
        import triton.language as tl

        found = getattr(tl, value[3:], None)
        if isinstance(found, tl.dtype):
            return found
    return value


def compile_function(fn, *, signature: str, constexpr: str, core: Core, emit: str, **options) -> Artifact:
    """As `compile_file`, for a JIT function that is at hand."""
    bound = bind(fn.__name__, parameters_of(fn), signature, constexpr)
    module, chosen = make_ttir(fn, bound, core, options)
    from vertebra.plugins.triton.compiler import argument_types, text_of

    name, kinds = module.get_entry_func_name(), argument_types(module)
    fields = tuple(slot for arg, kind in bound.runtime.items() for slot in slot_names(arg, kind))
    text, code = text_of(module), chosen.code_options()
    c_header = None
    if emit == "ttir":
        data: Any = text
    elif emit == "obj":
        binary = stages.compile(text, core, code, name=name, signature=kinds)
        data = binary.object
        if binary.bounds:
            fields += bounds.hidden_names(kinds, fields)
        serviced = not elf.undefined_symbols(binary.object).isdisjoint(abi.SERVICES)
        c_header = header(name, binary.signature, fields, binary.scratch_bytes, core.name, serviced=serviced)
    else:
        data = stages.render(text, emit, core, code, filename=inspect.getsourcefile(fn.fn) or "-")
    return Artifact(name, emit, core, data, kinds, fields, c_header)


def located(error, fn) -> CompileError:
    """Triton's complaint about `fn`, whose lines it counts from the `def`, at its place in the file."""
    from triton.compiler.errors import CompilationError
    from triton.runtime.jit import get_jit_fn_file_line

    inner = error
    while isinstance(inner.__cause__, CompilationError):
        inner = inner.__cause__
    file, begin = get_jit_fn_file_line(fn)
    node = error.node
    place = f'"{file}":{begin + node.lineno - 1}:{node.col_offset + 1}' if hasattr(node, "lineno") else None
    message = inner.error_message or str(inner)
    if said := PLACED.match(message):
        at = f'"{said[1]}":{said[2]}:{said[3]}'
        return CompileError(message[said.end() :], at=at, kernel=fn.__name__)
    if inner is not error:
        message += f"\nin a function that is called here: {str(inner).removesuffix(message).rstrip()}"
    return CompileError(message, at=place, kernel=fn.__name__)
