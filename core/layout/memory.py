"""Between the registers of threads and memory: vector accesses, collective stores, single elements."""

from vertebra.core.layout.conflicts import wavefronts
from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.operand import Instruction, Operand
from vertebra.core.layout.ordering import steps_of
from vertebra.core.layout.plan import Accesses, Move, Plan, footprint, to_bytes


def access_plans(source: Operand, destination: Operand, *, width, store: bool) -> list[Plan]:
    """Stores into (or loads from) memory: as wide as possible, collective, and element by element."""
    threads, memory = (source, destination) if store else (destination, source)
    bits = bits_of(memory.dtype)
    addresses = memory.bit_addresses(bits)[threads.owners.table()]
    space = memory.space
    check_reach(addresses, memory)
    kinds = [i for i in (space.stores if store else space.loads) if width in (None, i.bytes)]
    if not kinds:
        legal = ", ".join(str(i.bytes) for i in (space.stores if store else space.loads)) or "none"
        raise LayoutError(f"{space.name} has no access of {width} bytes", fix=f"widths there: {legal}")
    found, refused, problem = [], [], None
    singles = tuple(i for i in kinds if not i.rows)
    try:
        moves = vector_moves(addresses, bits, singles, space.alignment, refused)
        found.append(_plan("direct", source, destination, moves, store, refused))
    except LayoutError as error:
        problem = error
    narrow = [i for i in singles if i.bytes * 8 == bits]
    if narrow and found and found[0].body.moves[0].instruction != narrow[0]:
        moves = vector_moves(addresses, bits, narrow, space.alignment, [])
        found.append(_plan("by element", source, destination, moves, store, ()))
    for collective in (i for i in kinds if i.rows):
        if moves := collective_moves(addresses, bits, collective, space.group):
            found.append(_plan("collective", source, destination, moves, store, ()))
    if not found:
        raise problem
    return found


def check_reach(addresses, memory: Operand) -> None:
    """Raises LayoutError where a thread would access another group's lanes of a memory cut into lanes."""
    space = memory.space
    if not space.lane_bytes:
        return
    import numpy as np

    lanes = addresses // (8 * space.lane_bytes) // space.group
    own = np.arange(len(addresses))[:, None] // space.group % 4
    wrong = np.argwhere(lanes != own)
    if len(wrong):
        t, v = wrong[0].tolist()
        first = own[t, 0] * space.group
        raise LayoutError(
            f"thread {t} value {v} lies in lane {addresses[t, v] // (8 * space.lane_bytes)} of {space.name},"
            f" and its group reaches lanes {first} to {first + space.group - 1} only"
        )


def vector_moves(addresses, bits: int, kinds, alignment: int, refused: list) -> tuple[Move, ...]:
    """Each value in the widest access that its neighbours and the alignment allow.

    addresses: bits, (threads, values).  Notes in `refused` (bytes, why) the widths that were too wide.
    Raises LayoutError for values that no access moves.
    """
    import numpy as np

    left = np.argsort(addresses[0], kind="stable")
    moves = []
    for kind in sorted(kinds, key=lambda i: -i.bytes):
        count = kind.bytes * 8 // bits
        if count == 0 or len(left) < count:
            continue
        if kind.bytes > alignment:
            refused.append((kind.bytes, f"the base is aligned to {alignment} bytes only"))
            continue
        good, bad = _cut(addresses, bits, left, count, kind.bytes * 8)
        for group in good:
            starts = addresses[:, group[0]] >> 3
            moves.append(Move(kind, tuple(group.tolist()), tuple(starts.tolist())))
        if len(bad):
            refused.append((kind.bytes, _why(addresses, bits, bad, count, kind.bytes)))
        left = bad
        if not len(left):
            break
    if len(left):
        raise LayoutError(
            f"value {left[0]} of a thread goes to bit {addresses[0, left[0]]}, which no access moves alone:"
            f" {'; '.join(why for _, why in refused) or f'elements have {bits} bits'}",
            fix="give each thread neighbouring elements that fill an access",
        )
    return tuple(moves)


def _cut(addresses, bits, order, count, width):
    """Groups of `count` values that every thread has side by side and aligned, and what is left over."""
    import numpy as np

    first = addresses[0, order]
    good, bad, i = [], [], 0
    starts = np.flatnonzero(first % width == 0).tolist()
    taken = np.zeros(len(order), bool)
    for i in starts:
        group = order[i : i + count]
        if len(group) < count or taken[i]:
            continue
        block = addresses[:, group]
        steps = block - block[:, :1]
        if (steps == np.arange(count) * bits).all() and not (block[:, 0] % width).any():
            good.append(group)
            taken[i : i + count] = True
    bad = order[~taken]
    return good, bad


def _why(addresses, bits, order, count, width):
    """The first reason why `count` values do not make one access of `width` bytes."""
    for t in range(len(addresses)):
        row = sorted(addresses[t, order].tolist())
        start = row[0]
        run = next((i for i, a in enumerate(row) if a != start + i * bits), len(row))
        if start % (8 * width):
            return f"thread {t} starts at byte {start // 8}, which is no multiple of {width}"
        if run < count:
            return f"thread {t} has {run} neighbours of {bits} bits, and {width} bytes take {count}"
    return f"the threads' neighbours are different values, and {width} bytes take {count} of the same"


def collective_moves(addresses, bits: int, kind: Instruction, group: int) -> tuple[Move, ...]:
    """Stores of whole matrices, whose fragments the lanes hold word by word; () where they do not.

    A move's addresses are the rows': lane l of a group names row l % rows of matrix l // rows.
    """
    import numpy as np

    threads, values = addresses.shape
    per_word = 32 // bits
    words = kind.row_bytes // 4
    if threads % group or per_word == 0 or kind.rows * words != group or values % (per_word * kind.matrices):
        return ()
    order = np.argsort(addresses[0], kind="stable").reshape(-1, per_word)
    block = addresses[:, order]  # (threads, words of a thread, elements of a word)
    if (block - block[..., :1] != np.arange(per_word) * bits).any():
        return ()
    rows = block[..., 0].reshape(-1, kind.rows, words, len(order))
    if (rows - rows[:, :, :1] != (np.arange(words) * 32)[:, None]).any() or (
        rows[:, :, 0] % (8 * kind.row_bytes)
    ).any():
        return ()
    starts = rows[:, :, 0] >> 3  # (groups, rows, words of a thread)
    moves = []
    for first in range(0, len(order), kind.matrices):
        named = starts[:, :, first : first + kind.matrices].transpose(0, 2, 1).reshape(-1)
        picked = order[first : first + kind.matrices].reshape(-1)
        moves.append(Move(kind, tuple(picked.tolist()), tuple(named.tolist())))
    return tuple(moves)


def _plan(method, source, destination, moves, store, refused) -> Plan:
    import numpy as np

    threads, memory = (source, destination) if store else (destination, source)
    bits = bits_of(memory.dtype)
    space, group = memory.space, min(memory.space.group, threads.owners.threads)
    fronts = ideal = 0
    ways = 1
    if space.banks is not None:
        for kind in dict.fromkeys(move.instruction for move in moves):
            same = [move for move in moves if move.instruction == kind]
            width = kind.row_bytes or kind.bytes
            some = wavefronts(np.array([m.addresses for m in same]), width, space.banks, group)
            least = max(1, group * max(width, space.banks.bytes) // space.banks.row) * len(same)
            fronts, ways = fronts + some, max(ways, -(-some // least))
        ideal = max(1, threads.owners.values * bits // 8 * group // space.banks.row)
    registers = threads.owners.values * (bits_of(source.dtype) + bits_of(destination.dtype)) // 32
    body = (Accesses if not moves[0].instruction.rows else Collective)(moves, store)
    return Plan(
        method,
        source,
        destination,
        body,
        instructions=len(moves),
        cost=max(len(moves), fronts),
        order=steps_of(source, destination, f"{len(moves)} x {moves[0].instruction.name}", store),
        wavefronts=fronts,
        ideal=ideal,
        ways=ways,
        registers=registers,
        bytes=footprint(memory, bits),
        refused=tuple(refused),
    )


class Collective(Accesses):
    """Moves whose addresses are those of rows, spread over the lanes of a group."""

    __slots__ = ()

    def run(self, registers, memory, dtype: str):
        """As `Accesses.run`: word w of row r of matrix i comes from lane r * words + w, word i."""
        import numpy as np

        size = bits_of(dtype)
        for move in self.moves:
            kind = move.instruction
            words = kind.row_bytes // 4
            group = kind.rows * words
            data = to_bytes(registers[:, list(move.values)], size).reshape(
                -1, kind.rows, words, kind.matrices, 4
            )
            data = data.transpose(0, 3, 1, 2, 4).reshape(-1, kind.row_bytes)
            assert len(data) == len(move.addresses) == len(registers) // group * kind.matrices * kind.rows
            memory[np.array(move.addresses)[:, None] + np.arange(kind.row_bytes)] = data
