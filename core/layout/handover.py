"""From sums in vector registers to a panel in memory that the next product reads.

The elements are converted where they are.  Then vectors of a loop are stored, joined by the store where
tiles of sums are narrower than those of the panel; or a core's own operations put registers together
first.  What one instruction does to a group of registers counts once.
"""

from collections import Counter
from typing import NamedTuple

from vertebra.core.layout.algebra import composition
from vertebra.core.layout.dtype import bits_of, decode, encode, storage
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.inverse import left_inverse
from vertebra.core.layout.lanes import LANES, Stores, lane_plans
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.owners import Owners
from vertebra.core.layout.plan import Plan, footprint
from vertebra.core.layout.programs import Program, search

_MOST_VECTORS = 8  # that one store weaves


class Converted(NamedTuple):
    """Vectors of sums, converted and then stored.  owners: (lane, vector) -> logical index."""

    source: Operand
    destination: Operand
    owners: Owners
    stores: Stores

    def execute(self, flat):
        """The panel's bytes, for the tile's elements by logical index."""
        import numpy as np

        bits = bits_of(self.destination.dtype)
        held = decode(encode(flat, self.source.dtype), self.source.dtype)
        made = encode(held, self.destination.dtype)[self.owners.table()]
        memory = np.zeros(footprint(self.destination, bits), np.uint8)
        self.stores.store_lanes(made.astype(storage(self.destination.dtype)), memory, bits)
        return memory


class Assembled(NamedTuple):
    """The panel's registers by a program, and then stored one after the other."""

    program: Program
    bytes: int

    def execute(self, flat):
        """As `Converted.execute`."""
        return self.program.execute(flat).reshape(-1)[: self.bytes]


def handover_plans(source: Operand, destination: Operand) -> list[Plan]:
    """The ways from vector registers to memory that keep every element in registers until it is stored."""
    found = converted_plans(source, destination)
    lying = destination._replace(space=source.space)
    program = search(source, lying)
    if program is not None:
        bits = bits_of(destination.dtype)
        size = footprint(destination, bits)
        done = Counter(node.operation for node in program.nodes)
        count = sum(-(-times // o.group) * o.count for o, times in done.items())
        count += _groups(source, size * 8)
        body = Assembled(program, size)
        found.append(_plan("registers, then stores", source, destination, body, count))
    return found


def converted_plans(source: Operand, destination: Operand) -> list[Plan]:
    """Those of conversions and stores alone, which any core's vectors do: with as few vectors as it takes."""
    try:
        held = left_inverse(source.layout)
    except LayoutError:
        return []
    total = source.layout.size
    for count in range(1, _MOST_VECTORS + 1):
        if total % count:
            continue
        try:
            owners = Owners(composition(held, Layout((total // count, count))), source.shape)
            vectors = Operand("sums", source.shape, destination.dtype, LANES, owners=owners)
            ways = lane_plans(vectors, destination)
        except LayoutError:
            continue
        for way in ways:
            if way.method not in ("direct", "woven"):
                continue
            stores = _groups(source, total * bits_of(destination.dtype))
            instructions = count * _conversions(source, destination, total // count) + stores
            # A store that weaves costs as much as one of each of its vectors.
            woven = way.method == "woven"
            name = "identity" if source.dtype == destination.dtype else "conversion in place"
            body = Converted(source, destination, owners, way.body)
            made = _plan(name + ", woven by the store" * woven, source, destination, body, instructions)
            return [made._replace(cost=instructions + (count - 1 if woven else 0))]
    return []


def _conversions(source: Operand, destination: Operand, lanes: int) -> int:
    """Instructions that halve (or double) the elements of a vector until they are of the other type."""
    wide, narrow = (bits_of(x.dtype) for x in (source, destination))
    count = int(source.dtype != destination.dtype and wide == narrow)
    while wide != narrow:
        count += _groups(source, lanes * max(wide, narrow))
        wide, narrow = (wide // 2, narrow) if wide > narrow else (wide, narrow // 2)
    return count


def _groups(source: Operand, bits: int) -> int:
    """Instructions on all of `bits` bits in registers."""
    return -(-bits // (source.space.bits * source.space.group))


def _plan(method, source, destination, body, instructions) -> Plan:
    bits = bits_of(destination.dtype)
    return Plan(
        method,
        source,
        destination,
        body,
        instructions=instructions,
        cost=instructions,
        registers=-(-footprint(source, bits_of(source.dtype)) * 8 // source.space.bits),
        bytes=footprint(destination, bits),
    )
