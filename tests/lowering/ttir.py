"""Triton's IR of a kernel, made without a GPU: for tests of the lowerings."""

import triton  # noqa: F401 - its compiler modules import each other only after it
from triton._C.libtriton import ir, passes
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import CUDABackend
from triton.compiler import ASTSource

FP8 = ("fp8e5", "fp8e4nv", "fp8e4b15", "fp8e4b8", "fp8e5b16")


def ttir_of(fn, signature: dict[str, str], constexprs: dict | None = None, attrs: dict | None = None) -> str:
    """The text of the `ttir` stage of kernel `fn`, with source locations.

    signature: parameter name -> Triton's type name ('*fp32', 'i32', ...); parameters in
    `constexprs` (name -> value) need no entry.  attrs: {(index,): [["tt.divisibility", 16]]}.
    Block pointers and tensor descriptors stay as they are.
    """
    constexprs = constexprs or {}
    full = {p: "constexpr" if p in constexprs else signature[p] for p in fn.arg_names}
    source = ASTSource(fn, full, constexprs, attrs)
    target = GPUTarget("cuda", 90, 32)
    backend = CUDABackend(target)
    options = backend.parse_options({"supported_fp8_dtypes": FP8, "sanitize_overflow": False})
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    functions = backend.get_codegen_implementation(options)
    module = source.make_ir(target, options, functions, backend.get_module_map(), context)
    manager = ir.pass_manager(context)
    passes.common.add_inliner(manager)
    passes.common.add_canonicalizer(manager)
    passes.ttir.add_combine(manager)
    passes.ttir.add_reorder_broadcast(manager)
    passes.common.add_cse(manager)
    passes.common.add_symbol_dce(manager)
    passes.ttir.add_loop_unroll(manager)
    manager.run(module, "make_ttir")
    return module.str()
