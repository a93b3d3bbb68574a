"""Memory to memory: pack, unpack and repack as runs of bytes that both sides keep together."""

from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.plan import Blocks, Plan, footprint


def block_plans(source: Operand, destination: Operand) -> list[Plan]:
    """One plan: the longest common runs, cut to the destination's widest access where it has any.

    Raises LayoutError for a change of type, which takes registers, and for runs that are no bytes.
    """
    import numpy as np

    if source.dtype != destination.dtype:
        raise LayoutError(
            f"{source.dtype} to {destination.dtype} from memory to memory: converting takes registers",
            fix="go through an operand in registers",
        )
    bits = bits_of(source.dtype)
    a, b = source.bit_addresses(bits), destination.bit_addresses(bits)
    order = np.argsort(b, kind="stable")
    a, b = a[order], b[order]
    breaks = np.flatnonzero((np.diff(a) != bits) | (np.diff(b) != bits)) + 1
    starts = np.concatenate([[0], breaks])
    counts = np.diff(np.concatenate([starts, [len(a)]])) * bits
    if (counts % 8).any() or (a[starts] % 8).any() or (b[starts] % 8).any():
        raise LayoutError(
            f"runs of {int(counts.min())} bits between {source.name} and {destination.name} are no bytes"
        )
    widest = max((i.bytes for i in destination.space.stores), default=0)
    runs = tuple(
        zip((a[starts] // 8).tolist(), (b[starts] // 8).tolist(), (counts // 8).tolist(), strict=True)
    )
    accesses = sum(-(-n // widest) if widest else 1 for _, _, n in runs)
    return [
        Plan(
            "block copy",
            source,
            destination,
            Blocks(runs),
            instructions=2 * accesses,
            cost=2 * accesses,
            bytes=footprint(destination, bits),
        )
    ]
