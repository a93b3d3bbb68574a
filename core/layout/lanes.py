"""From the vectors of a loop to memory: whole, woven word by word, turned, or scattered.

A vector of a loop is no register of a certain core: it has as many lanes as the loop takes at once.
Owners describe them, lanes in the place of threads and vectors in that of values.
"""

from typing import NamedTuple

from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout, join
from vertebra.core.layout.operand import Instruction, Operand, Space
from vertebra.core.layout.owners import Owners
from vertebra.core.layout.plan import Plan, footprint, to_bytes

# Its stores: the words that a scattering one moves, and that are woven.
LANES = Space("lanes", "lanes", stores=tuple(Instruction(f"{n}-byte words", n) for n in (8, 4, 2, 1)))


class Stores(NamedTuple):
    """Vectors stored one by one or joined; positions and lengths count elements.

    method: "direct" each vector as it is; "woven" the words of a group take turns in one long vector;
    "turned" word q of every vector of a group makes vector q; "scattered" each vector's runs go their
    own ways.
    groups: the vectors that are joined, in order.  word: what stays together.
    starts: where each stored vector begins, group after group.
    run: what lies side by side in memory.  pitch: from one run of a scattered vector to the next.
    moved: bits of the words that are scattered; a run may be several.
    """

    method: str
    groups: tuple[tuple[int, ...], ...]
    word: int
    starts: tuple[int, ...]
    run: int
    pitch: int = 0
    moved: int = 0

    def store_lanes(self, registers, memory, bits: int) -> None:
        """Bit patterns (lanes, vectors) of `bits` bits into uint8 memory."""
        import numpy as np

        starts = iter(self.starts)
        for group in self.groups:
            words = registers[:, list(group)].T.reshape(len(group), -1, self.word)
            if self.method == "woven":
                made = words.swapaxes(0, 1).reshape(1, -1)
            elif self.method == "turned":
                made = words.swapaxes(0, 1).reshape(words.shape[1], -1)
            else:
                made = words.reshape(len(group), -1)
            for vector in made:
                data = to_bytes(vector.reshape(-1, self.run), bits)
                at = (next(starts) + np.arange(len(data)) * self.pitch) * bits // 8
                memory[at[:, None] + np.arange(data.shape[1])] = data


def vectors(shape: tuple[int, int], axis: int) -> Owners:
    """A tile of `shape` (M, N) as vectors along mode `axis`, one for each index of the other mode."""
    along, other = (1, shape[0]) if axis == 0 else (shape[0], 1)
    return Owners(join(Layout(shape[axis], along), Layout(shape[1 - axis], other)), tuple(shape))


def lane_plans(source: Operand, destination: Operand) -> list[Plan]:
    """Every way to store the vectors of `source`.

    Raises LayoutError for another size of elements, and where no way serves all vectors alike.
    """
    bits = bits_of(destination.dtype)
    if bits_of(source.dtype) != bits:
        raise LayoutError(
            f"{source.name} has elements of {bits_of(source.dtype)} bits and {destination.name} of {bits}",
            fix="convert the vectors first",
        )
    if bits < 8:
        raise LayoutError(f"elements of {bits} bits share bytes: take pairs of them for elements of 8 bits")
    if destination.swizzle is not None:
        raise LayoutError(f"{destination.name} has a swizzle, which vectors of a loop do not follow")
    table = destination.layout.offsets()[source.owners.table()]
    lanes, count = table.shape
    word = _word(table)
    widths = [8 * i.bytes for i in source.space.stores]
    found = []
    if word == lanes:
        each = tuple((v,) for v in range(count))
        found.append((Stores("direct", each, lanes, tuple(table[0].tolist()), lanes), count, count))
    else:
        joins = word * bits in widths or (bits in widths and word == 1)
        if joins and (body := _woven(table, word)):
            found.append((body, count + len(body.groups), 2 * count))
        if joins and (body := _turned(table, word)):
            steps = count * count.bit_length()
            found.append((body, steps, steps))
        if body := _scattered(table, word, bits, widths):
            parts = word * bits // body.moved
            found.append((body, count * parts, count * lanes // word * parts + 1))
    if not found:
        raise LayoutError(
            f"runs of {word} elements of {source.name} lie unevenly in {destination.name}: "
            f"{' '.join(map(str, table[::word, 0][:6].tolist()))} ...",
            fix="take vectors that stay within one level of tiles",
        )
    return [
        Plan(
            body.method,
            source,
            destination,
            body,
            instructions=instructions,
            cost=cost,
            registers=-(-count * lanes * bits // 32),
            bytes=footprint(destination, bits),
        )
        for body, instructions, cost in found
    ]


def _word(table) -> int:
    """The longest run of lanes that are neighbours in memory, in every vector, by which all are cut."""
    import numpy as np

    breaks = np.flatnonzero((np.diff(table, axis=0) != 1).any(axis=1)) + 1
    return int(np.gcd.reduce([len(table), *breaks.tolist()]))


def _pitch(table, word: int) -> int | None:
    """The step from each run to the next, where all vectors have the same."""
    steps = table[word::word] - table[:-word:word]
    return int(steps[0, 0]) if (steps == steps[0, 0]).all() else None


def _woven(table, word: int) -> Stores | None:
    """Groups of vectors whose words, in turn, are one run."""
    import numpy as np

    pitch = _pitch(table, word)
    together = (pitch or 0) // word
    if pitch is None or pitch % word or together < 2 or table.shape[1] % together:
        return None
    groups = table[0].argsort(kind="stable").reshape(-1, together)
    firsts = table[0][groups]
    if (firsts - firsts[:, :1] != np.arange(together) * word).any():
        return None
    starts, chosen = tuple(firsts[:, 0].tolist()), tuple(map(tuple, groups.tolist()))
    return Stores("woven", chosen, word, starts, len(table) * together)


def _turned(table, word: int) -> Stores | None:
    """As many vectors as each has words, which make as many runs of the words of one lane."""
    import numpy as np

    lanes, count = table.shape
    if count * word != lanes or count & (count - 1):
        return None
    order = table[0].argsort(kind="stable")
    firsts = table[::word][:, order]
    if (firsts - firsts[:, :1] != np.arange(count) * word).any():
        return None
    return Stores("turned", (tuple(order.tolist()),), word, tuple(firsts[:, 0].tolist()), lanes)


def _scattered(table, word: int, bits: int, widths) -> Stores | None:
    """Runs at one distance, in the widest words that divide them."""
    pitch = _pitch(table, word)
    moved = max(
        (w for w in widths if word * bits % w == 0 and pitch is not None and pitch * bits % w == 0), default=0
    )
    if not moved:
        return None
    each = tuple((v,) for v in range(table.shape[1]))
    return Stores("scattered", each, word, tuple(table[0].tolist()), word, pitch, moved)
