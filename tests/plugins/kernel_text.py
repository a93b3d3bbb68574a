"""The `ttir` stage of a kernel, as the compiler gets it."""

import triton  # noqa: F401 - its compiler modules import each other only after it
from triton._C.libtriton import ir
from triton.compiler import ASTSource

from vertebra.core.select import find_core
from vertebra.plugins.triton.compiler import VertebraBackend, make_ttir, target_for, text_of


def ttir(fn, signature: dict[str, str], **constants) -> str:
    """Text of `fn` after Triton's own clean-up.  signature: parameter -> Triton's type name."""
    kinds = {p: "constexpr" if p in constants else signature[p] for p in fn.arg_names}
    source = ASTSource(fn, kinds, constants)
    backend = VertebraBackend(target_for(find_core("host")))
    options = backend.parse_options({})
    context = ir.context()
    ir.load_dialects(context)
    functions = backend.get_codegen_implementation(options)
    module = source.make_ir(backend.target, options, functions, backend.get_module_map(), context)
    return text_of(make_ttir(module, options))
