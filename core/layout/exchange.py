"""From the registers of threads to registers of threads."""

from vertebra.core.layout.conflicts import wavefronts
from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.operand import Banks, Instruction, Operand, Step
from vertebra.core.layout.plan import COST_OF_BARRIER, Accesses, Move, Plan, Rename, RoundTrip, Shuffle


def exchange_plans(source: Operand, destination: Operand) -> list[Plan]:
    """Nothing, another numbering of the contraction, shuffles, or a round trip through memory."""
    import numpy as np

    a, b = source.owners, destination.owners
    if a.threads != b.threads:
        raise LayoutError(
            f"{source.name} has {a.threads} threads and {destination.name} {b.threads}",
            fix="use the same number of threads on both sides",
        )
    wanted, held = b.table(), a.table()
    same = _local(wanted, held)
    if same is not None:
        return [_plan("identity", source, destination, Rename(same), 0, 0)]
    found = []
    if destination.contraction is not None and (order := _renumbering(a, b, destination.contraction)):
        renamed = _renamed(wanted, b.shape, destination.contraction, order)
        found.append(
            _plan(
                "renumbered contraction", source, destination, Rename(_local(renamed, held)), 0, 1
            )._replace(contraction=tuple(order))
        )
    owner = np.empty(held.max() + 1, np.int64)
    place = np.empty(held.max() + 1, np.int64)
    threads, values = np.indices(held.shape)
    owner[held[::-1]], place[held[::-1]] = threads[::-1], values[::-1]
    fetched = np.stack([owner[wanted], place[wanted]], -1)
    group = source.space.group
    if (fetched[..., 0] // group == np.arange(len(wanted))[:, None] // group).all():
        rounds = _rounds(fetched, bits_of(destination.dtype))
        table = tuple(tuple(map(tuple, row)) for row in fetched.tolist())
        found.append(_plan("shuffle", source, destination, Shuffle(table, rounds), rounds, rounds))
    found.append(_round_trip(source, destination, wanted, held))
    return found


def _local(wanted, held):
    """The source value for each destination value where the same ones serve every thread, else None."""
    import numpy as np

    if wanted.shape[1] > held.shape[1]:
        return None
    order = np.argsort(held[0], kind="stable")
    at = np.searchsorted(held[0][order], wanted[0])
    if (at >= len(order)).any() or (held[0][order[at]] != wanted[0]).any():
        return None
    sources = order[at]
    return tuple(sources.tolist()) if (held[:, sources] == wanted).all() else None


def _renumbering(a, b, axis: int):
    """A source index for each index of the contraction such that each thread has what it needs, or None.

    Indices along the contraction can take each other's place where the same threads own them, row
    by row; within such a class the order is kept.
    """
    import numpy as np

    def signatures(owners):
        owner = np.full(owners.shape, -1, np.int64).reshape(-1, order="F")
        table = owners.table()
        owner[table] = np.arange(len(table))[:, None]
        tile = owner.reshape(owners.shape, order="F")
        return [row.tobytes() for row in np.moveaxis(tile, axis, 0)]

    have: dict[bytes, list[int]] = {}
    for n, signature in enumerate(signatures(a)):
        have.setdefault(signature, []).append(n)
    order, used = [], dict.fromkeys(have, 0)
    for signature in signatures(b):
        if signature not in have or used[signature] == len(have[signature]):
            return None
        order.append(have[signature][used[signature]])
        used[signature] += 1
    return order


def _renamed(wanted, shape, axis: int, order):
    """Logical indices with the coordinate along `axis` replaced by order[coordinate]."""
    import numpy as np

    before = int(np.prod(shape[:axis], dtype=np.int64))
    along = wanted // before % shape[axis]
    return wanted + (np.array(order)[along] - along) * before


def _rounds(fetched, bits: int) -> int:
    """Shuffles of 32-bit words: per destination word, one for each lane that some thread needs it from.

    The values a lane sends towards one destination word travel packed, as many words as they fill.
    """
    import numpy as np

    threads, values, _ = fetched.shape
    per_word = max(1, 32 // bits)
    own = np.arange(threads)
    total = 0
    for first in range(0, values, per_word):
        lanes = np.sort(fetched[:, first : first + per_word, 0], 1)
        if (lanes == own[:, None]).all():
            continue
        sources = 1 + (np.diff(lanes, axis=1) != 0).sum(1).max()
        sent = np.unique(fetched[:, first : first + per_word].reshape(-1, 2) @ (1 << 20, 1)) >> 20
        words = -(-int(np.bincount(sent).max()) // per_word)
        total += int(sources) * words
    return total


def _round_trip(source, destination, wanted, held) -> Plan:
    """Through scratch memory in the destination's order, so that the loads are wide."""
    import numpy as np

    bits = bits_of(destination.dtype)
    size = max(1, bits // 8)
    threads, values = wanted.shape
    position = np.empty(wanted.max() + 1, np.int64)
    position[wanted] = (np.arange(threads)[:, None] * values + np.arange(values)) * size
    element = Instruction("store", size)
    stores = tuple(Move(element, (v,), tuple(position[held[:, v]].tolist())) for v in range(held.shape[1]))
    wide = size
    while wide < 16 and values * size % (2 * wide) == 0:
        wide *= 2
    count = wide // size
    load = Instruction("load", wide)
    loads = tuple(
        Move(load, tuple(range(v, v + count)), tuple(position[wanted[:, v]].tolist()))
        for v in range(0, values, count)
    )
    banks = source.space.banks or Banks()
    fronts = wavefronts(np.array([m.addresses for m in stores]), size, banks, source.space.group)
    fronts += wavefronts(np.array([m.addresses for m in loads]), wide, banks, source.space.group)
    count = len(stores) + len(loads)
    scratch = threads * values * size
    body = RoundTrip(Accesses(stores), Accesses(loads, store=False), scratch)
    made = _plan("round trip", source, destination, body, count, max(count, fronts) + COST_OF_BARRIER)
    order = (
        *made.order,
        Step("store", f"{len(stores)} x {size}-byte store", f"{threads} threads"),
        Step("arrive", "barrier of all threads", f"{threads} threads", "scratch full", threads),
        Step("load", f"{len(loads)} x {wide}-byte load", f"{threads} threads"),
        Step(
            "arrive",
            "barrier before the scratch is used again",
            f"{threads} threads",
            "scratch empty",
            threads,
        ),
    )
    return made._replace(bytes=scratch, wavefronts=fronts, order=order)


def _plan(method, source, destination, body, instructions, cost) -> Plan:
    steps = [*source.before]
    who = f"{source.owners.threads} threads"
    if source.dtype != destination.dtype:
        steps.append(Step("convert", f"convert {source.dtype} to {destination.dtype}", who))
    if instructions and isinstance(body, Shuffle):
        steps.append(Step("convert", f"{instructions} shuffles inside a group", who))
    registers = source.owners.values * bits_of(source.dtype) + destination.owners.values * bits_of(
        destination.dtype
    )
    return Plan(
        method,
        source,
        destination,
        body,
        instructions=instructions,
        cost=cost,
        order=(*steps, *destination.after),
        registers=registers // 32,
    )
