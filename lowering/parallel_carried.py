"""Tensors that iterations of a parallel loop carry: kept where each iteration has a slice of its own.

    %acc -> extract_slice %acc[f(%i), ...], ..., insert_slice %part into %acc[f(%i), ...] -> yield

where f grows by at least the slice's size from one iteration to the next: then no iteration sees what
another wrote, and all may work on one buffer.  Any other loop that carries a tensor becomes an ordinary one.
"""

from typing import Any

from vertebra.core.mlir import ir
from vertebra.dialects.constants import constant_of
from vertebra.lowering.affine_index import Affine, affine_of
from vertebra.lowering.parallel_loops import make_serial, parallel_loops

_DYNAMIC = ir.ShapedType.get_dynamic_size()
_FIX = "write each iteration's part with a slice of its own, or store it to memory"


def check_carried(module, core=None, options=None) -> None:
    """Makes loops serial that carry tensors in another way.

    Raises CompileError where iterations of such a loop wait for each other.
    """
    for loop in parallel_loops(module):
        arguments = list(loop.regions[0].blocks[0].arguments)[1:]
        *_, last = loop.regions[0].blocks[0].operations
        step = constant_of(loop.operands[2])
        apart = step is not None and all(
            _has_own_slices(loop, argument, last.operands[number], step)
            for number, argument in enumerate(arguments)
        )
        if arguments and not apart:
            make_serial(loop, "carry a tensor of which each may change what another reads", _FIX)


def _has_own_slices(loop, version: ir.Value, yielded: ir.Value, step: int) -> bool:
    """Whether the iterations touch slices of their own, from `version` to what they hand on."""
    block, windows = loop.regions[0].blocks[0], []
    while version != yielded:
        following = None
        for use in version.uses:
            user = use.owner.operation
            if user.block != block:
                return False
            if user.name == "tensor.insert_slice" and use.operand_number == 1 and following is None:
                following = user
            elif user.name != "tensor.extract_slice":
                return False
            windows.append(user)
        if following is None:
            return False
        version = following.result
    if len(list(version.uses)) != 1:
        return False
    rank = len(yielded.type.shape)
    return not windows or any(_apart(loop, [_window(w) for w in windows], d, step) for d in range(rank))


def _window(op) -> tuple[list, list]:
    """(offsets, sizes) of a slice: numbers where they are known."""
    segments = list(op.attributes["operandSegmentSizes"])
    first = 1 if op.name == "tensor.extract_slice" else 2
    at, found = sum(segments[:first]), []
    for name in ("static_offsets", "static_sizes", "static_strides"):
        entries = []
        for number in op.attributes[name]:
            dynamic = number == _DYNAMIC
            entries.append(op.operands[at] if dynamic else number)
            at += dynamic
        found.append(entries)
    offsets, sizes, strides = found
    return (offsets, sizes) if strides == [1] * len(strides) else ([None], [None])


def _apart(loop, windows, d: int, step: int) -> bool:
    """Whether dimension `d` alone keeps the windows of different iterations apart."""
    begin, end = [], []
    rest: Any = None
    for offsets, sizes in windows:
        offset = affine_of(offsets[d], loop) if d < len(offsets) and offsets[d] is not None else None
        if offset is None or not isinstance(sizes[d], int) or not offset.factor:
            return False
        where = Affine(offset.factor, 0, tuple(sorted(offset.others, key=lambda pair: hash(pair[0]))))
        if rest is not None and where != rest:
            return False
        rest = where
        begin.append(offset.constant)
        end.append(offset.constant + sizes[d])
    return max(end) - min(begin) <= abs(rest.factor) * step
