"""tt -> tts: finds the structure of memory accesses, true on every target.

Tensors of pointers, block pointers and tensor descriptors become `tts` operations that
state base, strides, offsets and bounds as numbers; loops carry numbers instead of
pointers; masks become bounds.  What has no structure becomes a gather or a scatter.

After this, a memory operation stands on one of
  - `tts.make_tptr` or `tts.make_gather_scatter_tptr` (tts.load and tts.store with bounds;
    tt.load, tt.store and atomics with a mask that stays a tensor),
  - a scalar pointer and a tensor of offsets (tts.gather, tts.scatter; atomics on
    `tt.addptr (tt.splat base), offsets`),
  - a scalar pointer: an argument, moved by `tt.addptr`, or made by `tt.int_to_ptr`.
"""

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts.analysis import Analysis
from vertebra.lowering.tt_to_tts.dead import remove_dead
from vertebra.lowering.tt_to_tts.expr import Table
from vertebra.lowering.tt_to_tts.merges import merged
from vertebra.lowering.tt_to_tts.rewrite import Rewriter
from vertebra.lowering.tt_to_tts.write import Writer


def tt_to_tts(module, core=None, options=None) -> None:
    """Rewrites the memory operations of every function in `module`, in place.

    Raises CompileError for pointers that have no meaning on the way, such as a block
    pointer that changes its block shape in a loop.
    """
    with module.context, ir.Location.unknown():
        for view in module.body.operations:
            function = view.operation
            if function.name.endswith(".func") and len(function.regions[0].blocks):
                Rewriter(Analysis(Table(), merged), Writer()).function(function)
                remove_dead(function)
