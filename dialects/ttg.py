"""The one operation of Triton's GPU dialect that a kernel can write itself: `tl.debug_barrier()`."""

from vertebra.core.attributes import EnumAttr
from vertebra.core.dialect import Dialect

_KINDS = ("local", "global_read", "global_write", "tensor_read", "tensor_write")


def _combinations() -> dict[str, int]:
    """Keyword -> bits; bit i stands for the i-th kind."""
    names = {n: "|".join(k for i, k in enumerate(_KINDS) if n >> i & 1) for n in range(1 << len(_KINDS))}
    return {name: n for n, name in {**names, 0: "none", (1 << len(_KINDS)) - 1: "all"}.items()}


class Ttg(Dialect, name="ttg"):
    """What Triton adds to a kernel for the threads of a GPU.

    Source: Triton 3.7.1, whose printed IR is the reference for every name and number here.
    """


class AddrSpace(EnumAttr, cases=_combinations()):
    """Kinds of accesses to memory: a set of bits, printed as `local|global_read`, `none` or `all`."""


class BarrierOp(Ttg.Operation, name="barrier"):
    """All threads of a program get here before any goes on, and see what the others wrote before.

    addrSpace: the accesses that it orders
    """

    addrSpace: AddrSpace
    assembly = "$addrSpace attr-dict"
