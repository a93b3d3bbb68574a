"""From LLVM IR text to machine code, by llvmlite where it can, by clang where it cannot.

A *target* here is anything with `.triple`, `.cpu`, `.features` (names with their sign, '+v') and `.abi`.

Kernels arrive as explicit vector code, so that the ten passes of `_PIPELINE` do as well as LLVM's
O2 pipeline in a quarter of its time (softmax 6 ms of 26, a 64x64x32 product 16 of 70, on a busy
machine), with kernels as fast.  Levels 1 to 3 of code generation gave the same code in the same time.
"""

import contextlib
import functools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import attrs
import llvmlite
import llvmlite.binding as binding

from vertebra.core import abi, cache, elf, toolchain
from vertebra.core.errors import BackendError, ToolError
from vertebra.core.llvm_syntax import downgrade

__all__ = [
    "Module",
    "check_symbols",
    "check_target",
    "downgrade",
    "emit_assembly",
    "emit_object",
    "host_cpu",
    "optimize",
]

# Seconds that code generation in a process of its own may take.
TIMEOUT = 120.0

_INLINE_ASSEMBLY = re.compile(r'^module asm |\basm (?:\w+ )*"', re.MULTILINE)
_EXPORTED = re.compile(r"^define (?!internal\b|private\b)[^@\n]*@([\w.$-]+)", re.MULTILINE)
# Functions of compiler-rt: whoever links an object links them too.  The wheel's has none for bfloat.
_COMPILER_RT = re.compile(
    r"__(?:(?:trunc|extend)[hsdxt]f[hsdxt]f2|fix(?:uns)?[hsdxt]f[sdt]i|float(?:un)?[sdt]i[hsdxt]f"
    r"|u?(?:div|mod|divmod|mul)[sdt]i[34]|mulo[sdt]i4|(?:ashl|ashr|lshr)[sdt]i3"
    r"|(?:clz|ctz|ffs|parity|popcount|bswap)[sdt]i2|(?:add|sub|mul|div)[sdxt]f3|neg[sdxt]f2"
    r"|(?:eq|ne|lt|le|gt|ge|unord)[sdxt]f2|powi[sdxt]f2|atomic_\w+|sync_\w+)"
)
# What surrounds the reason when LLVM ends its process.
_NOISE = re.compile(r"#\d+ |Stack dump|PLEASE submit|\d+\.\s|Fatal Python|Current thread")
_PROBE = "define void @probe() { ret void }"


@attrs.frozen
class Module:
    """LLVM IR that is ready for code generation.

    kernels: the functions that it exports.  inline_assembly: whether any is inside.
    """

    ref: binding.ModuleRef
    kernels: tuple[str, ...]
    inline_assembly: bool

    def __str__(self) -> str:
        return str(self.ref)


def host_cpu() -> tuple[str, tuple[str, ...]]:
    """LLVM's name for this machine's processor and the features it has, each with its sign."""
    return binding.get_host_cpu_name(), tuple(binding.get_host_cpu_features().flatten().split(","))


# Functions that are to be inlined say so: llvmlite offers no other inliner by itself.
_PIPELINE = (
    "always_inliner",
    "global_dead_code_eliminate",
    "sroa",
    "simplify_cfg",
    "instruction_combine",
    "loop_simplify",
    "loop_rotate",
    "new_gvn",
    "instruction_combine",
    "simplify_cfg",
)


def optimize(text: str, target, *, vectorize: bool = False) -> Module:
    """Parses LLVM IR `text` (in LLVM 22's syntax) and cleans it up for code generation.

    vectorize: run LLVM's O2 pipeline instead, with its loop and straight-line vectorizers, for
    kernels made of scalar loops.  Raises BackendError where the text is not valid IR, or the
    target is not one.
    """
    kernels = tuple(_EXPORTED.findall(text))
    machine = _machine(target)
    try:
        # Not in a context of its own: where a cycle is collected, llvmlite may free it before the module.
        ref = binding.parse_assembly(text)
        ref.triple = machine.triple
        ref.data_layout = str(machine.target_data)
        ref.verify()
    except RuntimeError as error:
        raise BackendError(
            f"{_names(kernels)}: LLVM IR is not valid: {_quote(text, str(error))}",
            fix="pass what the MLIR bindings print through downgrade() first; else a lowering made it wrong",
        ) from None
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=2))
    if vectorize:
        builder.getModulePassManager().run(ref, builder)
    else:
        manager = binding.create_new_module_pass_manager()
        for name in _PIPELINE:
            getattr(manager, f"add_{name}_pass")()
        manager.run(ref, builder)
    return Module(ref, kernels, bool(_INLINE_ASSEMBLY.search(text)))


def emit_object(module: Module, target, *, isolated: bool = False) -> bytes:
    """An ELF relocatable object of `module`, position independent.

    isolated: generate the code in a process of its own, so that an internal error of LLVM, which
    ends its process, is a BackendError too (about 0.1 s more).  Raises BackendError, also where
    the code needs a function that kernels cannot have (see `vertebra.core.abi`).
    """
    obj = _emit(module, target, "object", isolated)
    check_symbols(obj, module.kernels)
    return obj


def emit_assembly(module: Module, target, *, isolated: bool = False) -> str:
    """The assembly text of `module`; `isolated` and errors as in `emit_object`."""
    return _emit(module, target, "assembly", isolated).decode()


def check_symbols(obj: bytes, kernels: tuple[str, ...] = ()) -> None:
    """Raises BackendError where the object `obj` needs a function that no runtime brings along."""
    missing = {n for n in elf.undefined_symbols(obj) if not _COMPILER_RT.fullmatch(n)}
    missing -= set(abi.UNDEFINED_ALLOWED)
    if missing:
        raise BackendError(
            f"{_names(kernels)}: the machine code calls {', '.join(sorted(missing))}; "
            f"kernels may call {', '.join(abi.UNDEFINED_ALLOWED)} and nothing else",
            fix="before the llir stage, lower the operation that ends in such a call to arithmetic "
            "(__trunc..bf2 is a conversion to bfloat: shift and round the bits as integers)",
        )


def helpers_of(objects: Iterable[bytes]) -> tuple[str, ...]:
    """The functions of compiler-rt that objects leave to others and that the library of an older C compiler
    lacks: those of half precision."""
    names: set[str] = set().union(*map(elf.undefined_symbols, objects))
    return tuple(sorted(name for name in names if _COMPILER_RT.fullmatch(name) and "hf" in name))


def check_target(target) -> None:
    """Raises BackendError where LLVM does not know the target's processor, one of its features, or its ABI.

    LLVM only warns of an unknown feature, and ends the process at some unknown processors, so
    this asks it in a process of its own (0.1 s).
    """
    unsigned = [f for f in target.features if f[:1] not in ("+", "-")]
    if unsigned:
        raise BackendError(
            f"features without a sign: {', '.join(unsigned)}", fix=f"write +{unsigned[0]} or -{unsigned[0]}"
        )
    complaints = _worker(_PROBE, target, "object").stderr.decode(errors="replace")
    if complaints:
        raise BackendError(
            f"LLVM {'.'.join(map(str, binding.llvm_version_info))} does not take target {target.triple}, "
            f"cpu {target.cpu!r}, abi {target.abi!r}, or one of its features: {_reason(complaints)}",
            fix="correct the core's record; LLVM's names are those of `clang --print-supported-extensions`",
        )


def _emit(module: Module, target, kind: str, isolated: bool) -> bytes:
    if module.inline_assembly and not _parses_assembly(target.triple):
        return _emit_by_clang(module, target, kind)
    if isolated:
        done = _worker(str(module), target, kind)
        if done.returncode:
            raise BackendError(
                f"{_names(module.kernels)}: code generation for {target.triple} (cpu {target.cpu!r}) failed "
                f"with status {done.returncode}: {_reason(done.stderr.decode(errors='replace'))}",
                fix="an operation or type has no code on this processor; lower it to one that has",
            )
        return done.stdout
    machine = _machine(target)
    return machine.emit_object(module.ref) if kind == "object" else machine.emit_assembly(module.ref).encode()


def _emit_by_clang(module: Module, target, kind: str) -> bytes:
    """What `_emit` returns, made by clang: llvmlite parses no assembly but that of its own machine."""
    with tempfile.TemporaryDirectory(prefix="vertebra-") as folder:
        source, out = Path(folder) / "kernel.ll", Path(folder) / "out"
        source.write_text(str(module))
        # The module has been through a pipeline already; a second one would unroll loops again.
        options = ["-fPIC", "-O2", "-Xclang", "-disable-llvm-passes", "-Wno-override-module"]
        options += ["-c" if kind == "object" else "-S", str(source), "-o", str(out)]
        try:
            toolchain.run_compiler([*_clang_target(target), *options], timeout=TIMEOUT)
        except ToolError as error:
            raise BackendError(
                f"{_names(module.kernels)}: {error.message}",
                fix=error.fix or "the inline assembly, or the features of the core, may be wrong",
            ) from None
        return out.read_bytes()


def _clang_target(target) -> list[str]:
    """The compiler wheel's options for `target`: it spells a cpu with its features in one word."""
    cpu = (target.cpu or "generic").replace("-", "_")
    if cpu == "generic" and target.triple.startswith("riscv64"):
        cpu = "generic_rv64"
    cpu += "".join(f[0] + f[1:].replace("-", "_") for f in target.features)
    return ["-target", toolchain.zig_triple(target.triple), f"-mcpu={cpu}"]


def _parses_assembly(triple: str) -> bool:
    return triple.split("-")[0] == binding.get_process_triple().split("-")[0]


def _machine(target):
    return _create_machine(target.triple, target.cpu, tuple(target.features), target.abi)


@functools.cache
def _create_machine(triple: str, cpu: str, features: tuple[str, ...], abi_name: str):
    _initialize()
    _check_once(_Target(triple, cpu, features, abi_name))
    try:
        family = binding.Target.from_triple(triple)
    except RuntimeError as error:
        raise BackendError(f"LLVM makes no code for {triple!r}: {error}", fix="correct the triple") from None
    return family.create_target_machine(
        cpu=cpu, features=",".join(features), opt=2, reloc="pic", codemodel="small", abiname=abi_name
    )


@functools.cache
def _initialize() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    binding.initialize_native_asmparser()
    # Of a function with more basic blocks than this, CodeGenPrepare looks only at what it has changed
    # again, not at everything: linear time instead of quadratic.
    binding.set_option("vertebra", "-cgpp-huge-func=200")


@attrs.frozen
class _Target:
    triple: str
    cpu: str
    features: tuple[str, ...]
    abi: str


def _check_once(target: _Target) -> None:
    """`check_target`, once for each machine: the verdict is kept in the cache folder."""
    if (target.cpu, target.features) == host_cpu() or (not target.cpu and not target.features):
        return
    name = cache.key(attrs.astuple(target), llvmlite.__version__)[:24]
    mark = cache.cache_dir() / "targets" / name
    if mark.exists():
        return
    check_target(target)
    with contextlib.suppress(OSError):  # a folder that cannot be written costs time, never the result
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _worker(text: str, target, kind: str) -> subprocess.CompletedProcess:
    """Code generation for LLVM IR `text` in a process of its own; `stdout` has the bytes."""
    request = {"kind": kind, "triple": target.triple, "cpu": target.cpu}
    request |= {"features": list(target.features), "abi": target.abi, "text": text}
    try:
        return subprocess.run(
            [sys.executable, "-m", "vertebra.core.llvm_worker"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"code generation for {target.triple} took more than {TIMEOUT:.0f} s") from None


def _names(kernels: tuple[str, ...]) -> str:
    return f"kernel {', '.join(kernels)}" if kernels else "module without kernels"


def _reason(stderr: str) -> str:
    """The lines of LLVM's last words that tell something: no banner, no stack."""
    lines = [line.strip() for line in stderr.splitlines()]
    kept = [line for line in lines if line and not _NOISE.match(line)]
    return "; ".join(dict.fromkeys(kept))[:500] or "no message"


def _quote(text: str, message: str) -> str:
    """LLVM's `message` with the line of `text` that it points at."""
    found = re.search(r"<string>:(\d+):\d+: error: (.*)", message)
    if not found:
        return " ".join(message.split())
    lines = text.splitlines()
    number = int(found[1])
    line = lines[number - 1].strip() if number <= len(lines) else ""
    return f"line {number}: {found[2]}: {line[:200]}"
