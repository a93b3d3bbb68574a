"""The structured loads of the `linalg` stage, as the operations that they are made of."""

import attrs

from vertebra.lowering.linalg_to_vector.operations import producer


@attrs.define
class Load:
    """A structured load: `bufferization.to_tensor` of a buffer that one copy (and a fill) made.

    view: the memref that is read; element i of the result is view[i - low].
    low, sizes: ints or index values.  other: the scalar outside, None where all is inside.
    pieces: the operations that it stands for.
    """

    view: object
    low: list
    sizes: list
    other: object | None
    pieces: list


def match_load(op, mixed) -> Load | None:
    """The structured load that `op`, a to_tensor, ends; None when its buffer is made another way."""
    buffer = op.operands[0]
    alloc = producer(buffer)
    if alloc is None or alloc.name != "memref.alloc":
        return None
    shape = list(buffer.type.shape)
    other, copies, pieces = None, [], [alloc]
    low, sizes = [0] * len(shape), shape
    for use in buffer.uses:
        user = use.owner.operation
        if user == op.operation:
            continue
        if user.name == "linalg.fill" and use.operand_number == 1 and other is None:
            other = user.operands[0]
            pieces.append(user)
        elif user.name == "memref.copy" and use.operand_number == 1:
            copies.append(user)
        elif user.name == "memref.subview":
            inner = [u.owner.operation for u in user.results[0].uses]
            if len(inner) != 1 or inner[0].name != "memref.copy" or inner[0].operands[1].owner != user:
                return None
            copies.append(inner[0])
            low, sizes = mixed(user, "offsets", 1), mixed(user, "sizes", 2)
            pieces.append(user)
        else:
            return None
    if len(copies) != 1 or (other is None and len(pieces) > 1):
        return None
    view = copies[0].operands[0]
    source = producer(view)
    if source is not None and source.name == "memref.subview" and len(list(view.uses)) == 1:
        pieces.append(source)
    return Load(view, low, sizes, other, [op.operation, copies[0], *pieces])


def is_own_buffer(memref) -> bool:
    """Whether `memref` is part of a buffer that the function allocates."""
    op = producer(memref)
    while op is not None and op.name in ("memref.subview", "memref.reinterpret_cast", "memref.cast"):
        op = producer(op.operands[0])
    return op is not None and op.name == "memref.alloc"
