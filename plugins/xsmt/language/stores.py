"""Stores to memory of a program's own, which convert to the memory's element type.

Stock Triton stores to pointers to blocks what has exactly their element type.  `install` wraps the
one function that checks this, and changes it for what `alloc`, `alloc_copies` and `view` give.
"""

import functools

from triton.language.semantic import TritonSemantic

from vertebra.plugins.xsmt.language.arguments import MemoryType

_PLAIN_STORE = TritonSemantic._store_block_pointer


@functools.wraps(_PLAIN_STORE)
def _store_block_pointer(self, ptr, val, *rest):
    block = ptr.type.element_ty
    if isinstance(block, MemoryType):
        val = self.cast(val, block.element_ty)
    return _PLAIN_STORE(self, ptr, val, *rest)


def install() -> None:
    """A second time changes nothing."""
    TritonSemantic._store_block_pointer = _store_block_pointer
