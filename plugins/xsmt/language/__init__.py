"""`smt`: packed tiles, matrix dots, parallel loops and barriers in Triton kernels.

    import triton.language.extra.smt as smt

A matrix of R x C elements is packed with tile (p, q) as `[ceil(R/p), ceil(C/q), p, q]`, zeros
filling the last tiles.  Shapes and offsets count elements of the plain matrix.  All the
signatures that the language has had are accepted, told apart by the shape of the arguments.
"""

from vertebra.plugins.xsmt.language import loops, stores
from vertebra.plugins.xsmt.language.barriers import (
    barrier_arrive,
    barrier_set_expect,
    barrier_wait,
    global_mbarrier,
    mbarrier,
    mbarrier_copies,
)
from vertebra.plugins.xsmt.language.buffers import alloc, alloc_copies
from vertebra.plugins.xsmt.language.hints import compile_hint, get_num_of_thread
from vertebra.plugins.xsmt.language.loops import parallel
from vertebra.plugins.xsmt.language.matrix import dot
from vertebra.plugins.xsmt.language.sparse import expand
from vertebra.plugins.xsmt.language.views import descriptor_load, view

__all__ = [
    "alloc",
    "alloc_copies",
    "barrier_arrive",
    "barrier_set_expect",
    "barrier_wait",
    "compile_hint",
    "descriptor_load",
    "dot",
    "expand",
    "get_num_of_thread",
    "global_mbarrier",
    "mbarrier",
    "mbarrier_copies",
    "parallel",
    "view",
]

loops.install()
stores.install()
