"""The stages after `linalg` that all cores with vector registers share.

linalg --linalg_to_vector--> vectors over tensors --bufferisation--> `vector` stage
       --places of buffers, math, narrow floats--> --upstream conversions--> LLVM dialect
"""

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.core.pipeline import micro_kernels_of, panel_kernels_of, target_of
from vertebra.core.target import Pass
from vertebra.lowering import (
    address_views,
    bounds_checks,
    buffers,
    byte_masks,
    carried_buffers,
    check_tiles,
    debug_variables,
    empty_tensors,
    kernel_entry,
    outline_parallel,
    packs_to_matrices,
    parallel_buffers,
    rotated_loops,
)


def _vectorise(module, core, options) -> None:
    from vertebra.lowering.linalg_to_vector import linalg_to_vector

    linalg_to_vector(module, core.vector, micro_kernels_of(core), panel_kernels_of(core))


def _copies(module, core, options) -> None:
    from vertebra.lowering.linalg_to_vector import copies_to_vector

    copies_to_vector(module, core.vector)


def _math(module, core, options) -> None:
    from vertebra.lowering.math_to_arith import expand_math

    ldexp = target_of(core).ldexp
    expand_math(module.operation, fast=options.fast_math, ldexp=ldexp(core) if ldexp else None)


def _narrow_floats(module, core, options) -> None:
    from vertebra.lowering.narrow_floats import widen_arithmetic

    widen_arithmetic(module, core.vector)


def _float_bits(module, core, options) -> None:
    from vertebra.lowering.float_bits import floats_as_bits

    floats_as_bits(module, core.vector)


def check_converted(module, core, options) -> None:
    """Translation to LLVM IR would crash on anything that is not of the LLVM dialect."""

    left = []

    def visit(op):
        if not op.name.startswith(("llvm.", "builtin.module")):
            left.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(visit)
    if left:
        raise CompileError(
            f"{left[0].name} has no form in LLVM IR",
            at=left[0],
            fix="no lowering of the target takes this operation; `vertebra passes` lists them",
        )


CPU_STAGES = {
    "vector": (
        Pass("check-bounds", bounds_checks.check_bounds),
        Pass("check-tiles", check_tiles.check_tiles),
        Pass("packs-to-matrices", packs_to_matrices.packs_to_matrices),
        Pass("widen-carried-masks", byte_masks.widen_carried_masks),
        Pass("linalg-to-vector", _vectorise),
        # From the bottom up, since from the top down every constant that folding makes costs time that
        # grows with the number of constants.
        Pass("tidy", "canonicalize{top-down=false},cse,convert-elementwise-to-linalg"),
        Pass("split-empty-tensors", empty_tensors.split_empty_tensors),
        # An scf.if of tensors that start as tensor.empty, whose layout bufferisation does not know, would
        # otherwise get unknown strides, which vector transfers cannot take.
        Pass(
            "bufferise",
            "one-shot-bufferize{allow-return-allocs-from-loops=true"
            " unknown-type-conversion=identity-layout-map}",
        ),
        Pass("parallel-buffers", parallel_buffers.separate_buffers),
        Pass("carried-buffers", carried_buffers.place_carried_buffers),
        Pass("copies-to-vector", _copies),
        Pass("leftovers-to-loops", "convert-linalg-to-loops,canonicalize,cse"),
    ),
    "llvm": (
        Pass("outline-parallel", outline_parallel.outline_parallel),
        Pass("place-buffers", buffers.place_buffers),
        Pass("expand-math", _math),
        Pass("widen-narrow-floats", _narrow_floats),
        Pass("float-bits", _float_bits),
        Pass("address-views", address_views.define_address_views),
        Pass("describe-kernels", kernel_entry.describe_kernels),
        Pass("rotate-loops", rotated_loops.rotate_loops),
        Pass(
            "to-llvm",
            "expand-strided-metadata,lower-affine,convert-scf-to-cf,convert-vector-to-llvm,"
            "convert-to-llvm,reconcile-unrealized-casts",
        ),
        Pass("check-converted", check_converted),
        Pass("kernel-entry", kernel_entry.emit_entries),
        # The machine code stays the same to the byte, and compiling takes about five percent longer.
        Pass("debug-variables", debug_variables.describe_variables),
        Pass("line-tables", "ensure-debug-info-scope-on-llvm-func{emission-kind=Full}"),
    ),
}
