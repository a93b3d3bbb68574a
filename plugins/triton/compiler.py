"""Triton's back-end class: Triton makes `ttir`, vertebra the rest.

Import `triton` before this module; Triton loads it while it looks for its back ends.
"""

import functools
import json
import re

from triton._C.libtriton import ir, passes
from triton.backends.compiler import BaseBackend, GPUTarget

from vertebra.core import cache, hooks
from vertebra.core.select import find_core
from vertebra.core.target import Core
from vertebra.plugins.triton import autotune, imports, proton
from vertebra.plugins.triton.options import VertebraOptions, parse_options

BACKEND = "vertebra"
BINARY = "vbin"  # the last stage, and the suffix of its files in Triton's cache
_LOCATION = re.compile(r'(loc\("(?:[^"\\]|\\.)*":\d+:)(\d+)\)')
_FLOATS = {"f16": "fp16", "f32": "fp32", "f64": "fp64"}


autotune.install()
imports.install()
proton.install()


def target_for(core: Core) -> GPUTarget:
    """What Triton's interfaces call a target."""
    return GPUTarget(BACKEND, core.name, 1)


@functools.cache
def _core_digest(core: Core) -> str:
    return cache.key(core)


def make_ttir(module, options: VertebraOptions):
    """Triton's own clean-up passes on a fresh module, every call inlined; the `ttir` stage.

    Block pointers and tensor descriptors stay whole, except for descriptors that are
    arguments: those become a pointer, sizes and strides, which can be passed.
    """
    always_inline = ir.builder(module.context).get_bool_attr(False)

    def inline(op):
        if op.get_name() == "tt.func":
            module.get_function(op.get_str_attr("sym_name")).set_attr("noinline", always_inline)

    module.walk(inline)
    manager = ir.pass_manager(module.context)
    manager.enable_debug()
    passes.common.add_inliner(manager)
    if any("tensordesc" in kind for kind in argument_types(module)):
        passes.ttir.add_rewrite_tensor_descriptor_to_pointer(manager)
    passes.common.add_canonicalizer(manager)
    passes.ttir.add_combine(manager)
    passes.ttir.add_reorder_broadcast(manager)
    passes.common.add_cse(manager)
    passes.common.add_symbol_dce(manager)
    passes.ttir.add_loop_unroll(manager)
    manager.run(module, "make_ttir")
    return module


def text_of(module) -> str:
    """The module's text with source locations, whose columns start at 1 as MLIR's do; Triton's start at 0."""
    text = _LOCATION.sub(lambda found: f"{found[1]}{int(found[2]) + 1})", module.str())
    return proton.generic_records(text) if proton.is_instrumenting() else text


def argument_types(module) -> tuple[str, ...]:
    """The kernel's run-time arguments in Triton's type names ('*fp32', 'i32', ...)."""
    function = module.get_function(module.get_entry_func_name())
    return tuple(type_name(kind) for kind in module.get_function_signature(function))


def type_name(kind: str) -> str:
    """'*f32' -> '*fp32', '*!tt.ptr<f32>' -> '**fp32'; a type that is not spelt differently stays as it is."""
    if kind.startswith("*"):
        return "*" + type_name(kind[1:])
    if kind.startswith("!tt.ptr<"):
        return "*" + type_name(kind[8:-1])
    return _FLOATS.get(kind, kind)


def make_llir(module, metadata: dict, options: VertebraOptions, watch=None) -> str:
    """The `llir` stage: LLVM IR text, by way of vertebra's own stages.  watch: as of `core.compile`."""
    from vertebra.core import compile

    metadata["name"] = module.get_entry_func_name()
    metadata["signature"] = argument_types(module)
    core, code = find_core(options.core), options.code_options()
    return compile.render(text_of(module), "llir", core, code, watch=watch)


def watch_for(module, options: VertebraOptions):
    """What follows the compilation of `module`, as the environment asks; None where it does not."""
    from vertebra.core import dump

    if not dump.wanted():
        return None
    name, core = module.get_entry_func_name(), find_core(options.core)
    return dump.watch(text_of(module), name, core, options.code_options())


def make_binary(llir: str, metadata: dict, options: VertebraOptions, watch=None) -> bytes:
    """The `vbin` stage: one line of JSON, then the object.  watch: that of the `llir` stage."""
    from vertebra.core import compile

    binary = compile.compile(
        llir,
        find_core(options.core),
        options.code_options(),
        name=metadata["name"],
        signature=metadata["signature"],
        start="llir",
        watch=watch,
    )
    # Host code divides a budget by this number, so it is never 0.
    metadata["shared"] = max(1, binary.scratch_bytes)
    head = {
        "name": binary.name,
        "core": options.core,
        "signature": binary.signature,
        "scratch_bytes": binary.scratch_bytes,
        "bounds": binary.bounds,
        "arguments": binary.arguments.text,
    }
    return json.dumps(head).encode() + b"\n" + binary.object


def read_binary(data: bytes):
    """The `vertebra.core.runtime.Binary` in the bytes of a `vbin` stage."""
    from vertebra.core.buffers import Arguments
    from vertebra.core.runtime import Binary

    head, _, obj = data.partition(b"\n")
    fields = json.loads(head)
    return Binary(
        name=fields["name"],
        object=obj,
        scratch_bytes=fields["scratch_bytes"],
        signature=tuple(fields["signature"]),
        core=find_core(fields["core"]),
        bounds=fields["bounds"],
        arguments=Arguments.parse(fields["arguments"]),
    )


def _min_dot_size(lhs, rhs) -> tuple[int, int, int]:
    return (1, 1, 1)


class VertebraBackend(BaseBackend):
    """One per core; made by Triton for a target of backend "vertebra"."""

    binary_ext = BINARY

    def __init__(self, target: GPUTarget):
        super().__init__(target)
        from triton import knobs

        from vertebra.core import dump
        from vertebra.plugins.triton import arguments, cache_folder, paddings, places

        arguments.install()
        cache_folder.install()
        paddings.install()
        places.install()
        if dump.wanted():  # a kernel out of Triton's cache has no stages
            knobs.compilation.always_compile = True

    @staticmethod
    def supports_target(target: GPUTarget) -> bool:
        return target.backend == BACKEND

    def hash(self) -> str:
        return f"{BACKEND}-{_core_digest(find_core(self.target.arch))}-{hooks.fingerprint()}"

    def parse_options(self, options: dict) -> VertebraOptions:
        return parse_options(options, self.target.arch)

    def pack_metadata(self, metadata):
        return ()

    def get_codegen_implementation(self, options: VertebraOptions) -> dict:
        from vertebra.plugins.triton.float8 import convert_custom_types

        return {"min_dot_size": _min_dot_size, "convert_custom_types": convert_custom_types}

    def get_module_map(self) -> dict:
        """Interface module -> its implementation for this back end."""
        from vertebra.plugins.triton import libdevice

        return {"triton.language.extra.libdevice": libdevice}

    def load_dialects(self, context) -> None:
        """Triton's own dialects suffice, but for scopes inside of kernels that are to be profiled."""
        if proton.is_instrumenting():
            from triton._C.libtriton import proton as dialect

            dialect.load_dialects(context)

    def add_stages(self, stages: dict, options: VertebraOptions, language) -> None:
        watch = None

        def llir(module, metadata):
            nonlocal watch  # the same for all stages of a kernel
            watch = watch_for(module, options)
            return make_llir(module, metadata, options, watch)

        stages["ttir"] = lambda module, metadata: make_ttir(module, options)
        stages["llir"] = llir
        stages[BINARY] = lambda text, metadata: make_binary(text, metadata, options, watch)
