"""Plans: transfers as data, which run on byte arrays."""

from typing import NamedTuple

from vertebra.core.layout.dtype import bits_of, decode, encode, storage
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.operand import Instruction, Operand, Step


class Move(NamedTuple):
    """One access of every thread.

    values: the registers of a thread that it moves, in the order of the bytes.
    addresses: one byte address per thread.
    """

    instruction: Instruction
    values: tuple[int, ...]
    addresses: tuple[int, ...]


class Accesses(NamedTuple):
    """Registers to memory (store) or back: every value by exactly one move."""

    moves: tuple[Move, ...]
    store: bool = True

    def run(self, registers, memory, dtype: str):
        """Moves bit patterns of `dtype`; registers (threads, values), memory: uint8."""
        import numpy as np

        size = bits_of(dtype)
        for move in self.moves:
            picked = list(move.values)
            length = len(picked) * size // 8
            where = np.array(move.addresses)[:, None] + np.arange(length)
            if self.store:
                memory[where] = to_bytes(registers[:, picked], size)
            else:
                registers[:, picked] = from_bytes(memory[where], size, len(picked))


class Rename(NamedTuple):
    """Destination value v of every thread is its source value sources[v]: no instruction."""

    sources: tuple[int, ...]

    def exchange(self, registers):
        return registers[:, list(self.sources)]


class Shuffle(NamedTuple):
    """Values change threads inside groups.

    source: (thread, value) of the source for every destination (thread, value), row by row.
    rounds: shuffle instructions per thread; each moves one 32-bit word into every lane.
    """

    source: tuple[tuple[tuple[int, int], ...], ...]
    rounds: int

    def exchange(self, registers):
        import numpy as np

        table = np.array(self.source)
        return registers[table[..., 0], table[..., 1]]


class RoundTrip(NamedTuple):
    """Through `bytes` bytes of memory: stores, a barrier, loads."""

    stores: Accesses
    loads: Accesses
    bytes: int

    def exchange(self, registers):
        import numpy as np

        bits = registers.dtype.itemsize * 8
        dtype = f"u{bits}"
        memory = np.zeros(self.bytes, np.uint8)
        self.stores.run(registers, memory, dtype)
        count = 1 + max(v for move in self.loads.moves for v in move.values)
        result = np.zeros((len(self.loads.moves[0].addresses), count), registers.dtype)
        self.loads.run(result, memory, dtype)
        return result


class Blocks(NamedTuple):
    """Memory to memory: for each (source, destination, bytes), so many bytes from address to address."""

    runs: tuple[tuple[int, int, int], ...]

    def copy(self, source, destination) -> None:
        for begin, to, count in self.runs:
            destination[to : to + count] = source[begin : begin + count]


class Plan(NamedTuple):
    """A transfer.

    method: what kind it is, for people.  body: one of the classes above, or a register program.
    order: its steps, with fences, arrivals and the edge on which the destination is reused.
    instructions: per thread (per tile for vector registers).  wavefronts, ideal: per group of threads.
    ways: of the worst conflict.  registers: 32-bit registers per thread that source and destination take.
    bytes: of destination memory.  cost: issue slots and wavefronts per group (see COST_OF_BARRIER).
    contraction: for a renumbered contraction, the source index at each destination index.
    refused: (width, why) for accesses that would have been wider.
    """

    method: str
    source: Operand
    destination: Operand
    body: object
    instructions: int
    cost: float
    order: tuple[Step, ...] = ()
    wavefronts: int = 0
    ideal: int = 0
    ways: int = 1
    registers: int = 0
    bytes: int = 0
    contraction: tuple[int, ...] = ()
    refused: tuple[tuple[int, str], ...] = ()

    def run(self, values, memory=None):
        """Carries it out.  values: what the source holds, as numbers (rows, columns) of the tile.

        Returns the destination: uint8 memory for memory, bit patterns (threads, values) for
        registers of threads, uint8 (registers, bytes) for vector registers.
        """
        return run(self, values, memory)


# What a barrier of all threads costs, in issue slots: the latency that it exposes.
COST_OF_BARRIER = 20


def convert(numbers, source: str, destination: str):
    """Bit patterns in `destination` of numbers that a register of type `source` holds."""
    return encode(decode(encode(numbers, source), source), destination)


def logical(numbers, shape):
    """The elements of a tile in the order of the logical index m + M * n."""
    import numpy as np

    table = np.asarray(numbers)
    if table.shape != tuple(shape):
        raise LayoutError(f"the values have shape {table.shape}, and the tile is {tuple(shape)}")
    return table.reshape(-1, order="F")


def run(plan: Plan, values, memory=None):
    import numpy as np

    source, destination = plan.source, plan.destination
    flat = logical(values, source.shape)
    patterns = convert(flat, source.dtype, destination.dtype)
    body = plan.body
    if hasattr(body, "execute"):
        return body.execute(flat)
    if isinstance(body, Blocks):
        bits = bits_of(source.dtype)
        held = np.zeros(footprint(source, bits), np.uint8)
        write(held, source.bit_addresses(bits), encode(flat, source.dtype), bits)
        memory = np.zeros(plan.bytes, np.uint8) if memory is None else memory
        body.copy(held, memory)
        return memory
    if isinstance(body, Accesses) and not body.store:
        bits = bits_of(source.dtype)
        held = np.zeros(footprint(source, bits), np.uint8)
        write(held, source.bit_addresses(bits), encode(flat, source.dtype), bits)
        owners = destination.owners
        result = np.zeros((owners.threads, owners.values), storage(source.dtype))
        body.run(result, held, source.dtype)
        return convert(decode(result, source.dtype), source.dtype, destination.dtype)
    if hasattr(body, "carry_out"):
        return _carry_out(plan, patterns)
    registers = patterns[source.owners.table()]
    if hasattr(body, "store_lanes"):
        memory = np.zeros(plan.bytes, np.uint8) if memory is None else memory
        body.store_lanes(registers, memory, bits_of(destination.dtype))
        return memory
    if isinstance(body, Accesses):
        memory = np.zeros(plan.bytes, np.uint8) if memory is None else memory
        body.run(registers, memory, destination.dtype)
        return memory
    return body.exchange(registers)


def _carry_out(plan: Plan, patterns):
    """Of tensors: the bytes of the destination, row by row."""
    import numpy as np

    lying = np.empty_like(patterns)
    lying[plan.source.layout.offsets()] = patterns
    return to_bytes(plan.body.carry_out(lying).reshape(1, -1), bits_of(plan.destination.dtype))[0]


def footprint(operand: Operand, bits: int) -> int:
    """Bytes from address 0 to the last element's end."""
    return int(operand.bit_addresses(bits).max() + bits + 7) // 8


def write(memory, bit_addresses, patterns, bits: int) -> None:
    """Puts bit patterns at bit addresses, one by one: the meaning of a layout, without any plan."""
    import numpy as np

    if bits >= 8:
        where = (bit_addresses >> 3)[:, None] + np.arange(bits // 8)
        memory[where] = to_bytes(patterns[:, None], bits)
        return
    for address, pattern in zip(bit_addresses.tolist(), patterns.tolist(), strict=True):
        shift = address & 7
        kept = int(memory[address >> 3]) & ~(((1 << bits) - 1) << shift)
        memory[address >> 3] = kept | pattern << shift


def read(memory, bit_addresses, bits: int, dtype: str):
    """The bit patterns at bit addresses."""
    import numpy as np

    if bits >= 8:
        where = (bit_addresses >> 3)[:, None] + np.arange(bits // 8)
        return from_bytes(memory[where], bits, 1)[:, 0].astype(storage(dtype))
    return memory[bit_addresses >> 3] >> (bit_addresses & 7).astype(np.uint8) & ((1 << bits) - 1)


def to_bytes(patterns, bits: int):
    """(n, k) patterns as (n, bytes), little endian; narrower than a byte: low ones first."""
    import numpy as np

    if bits >= 8:
        return np.ascontiguousarray(patterns).view(np.uint8).reshape(len(patterns), -1)
    per = 8 // bits
    split = patterns.reshape(len(patterns), -1, per).astype(np.uint8)
    return np.bitwise_or.reduce(split << (np.arange(per, dtype=np.uint8) * bits), axis=2)


def from_bytes(data, bits: int, count: int):
    """(n, count) patterns from (n, bytes): the inverse of `to_bytes`."""
    import numpy as np

    if bits >= 8:
        kind = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}[bits]
        return np.ascontiguousarray(data).view(kind).reshape(len(data), -1)
    per = 8 // bits
    split = data[..., None] >> (np.arange(per, dtype=np.uint8) * bits) & ((1 << bits) - 1)
    return split.reshape(len(data), -1)[:, :count]
