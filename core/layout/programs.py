"""Between whole vector registers: the shortest program of a core's own operations.

A wanted register turns into wanted inputs of an operation, and those into others, back to registers
that hold the source.  Running the program forwards on bytes is its proof.
"""

import contextlib
import itertools
from typing import NamedTuple

from vertebra.core.layout.dtype import bits_of, decode, encode
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.ordering import steps_of
from vertebra.core.layout.plan import Plan, footprint, write
from vertebra.core.layout.registers import ELEMENT, FREE, Operation, source_bytes, tokens_of
from vertebra.core.layout.transfers import transfer_plans

# How many operations may stand between a source register and a wanted one.
DEPTH = 4


class Node(NamedTuple):
    """One operation of a program; inputs name source registers (below `held`) or earlier results."""

    operation: Operation
    inputs: tuple[int, ...]


class Program(NamedTuple):
    """nodes in order; results: the values that are the destination's registers.

    held: how many source registers there are; value held + i is the result of node i.
    """

    source: Operand
    held: int
    nodes: tuple[Node, ...]
    results: tuple[int, ...]

    @property
    def text(self) -> tuple[str, ...]:
        """Assembly with s<i> for source registers and t<i> for results."""
        lines = []

        def name(i):
            return f"s{i}" if i < self.held else f"t{i - self.held}"

        for i, node in enumerate(self.nodes):
            named = [name(j) for j in node.inputs]
            lines += [line.format(*named, d=f"t{i}") for line in node.operation.text]
        return tuple(lines)

    def execute(self, flat):
        """The destination's registers, uint8 (registers, bytes), for the tile's elements by logical index."""
        import numpy as np

        values = list(source_bytes(self.source, flat))
        for node in self.nodes:
            values.append(node.operation.apply([values[i] for i in node.inputs]))
        return np.stack([values[i] for i in self.results])


def program_plans(source: Operand, destination: Operand) -> list[Plan]:
    """Programs in registers, for the contraction in its own order and in a cheaper one; through memory."""
    if source.space.kind != "vector":
        if destination.space.transfers:
            return transfer_plans(source, destination)
        raise LayoutError(f"nothing is known of loads into {destination.space.name}")
    if destination.space.kind == "memory":
        from vertebra.core.layout.handover import handover_plans

        found = handover_plans(source, destination)
        with contextlib.suppress(LayoutError):
            found += transfer_plans(source, destination)
        return [*found, _through_memory(source, destination)]
    if destination.space.kind != "vector":
        raise LayoutError(f"{source.name} is no layout of threads, which hold {destination.name}")
    found = []
    straight = search(source, destination)
    if straight is not None:
        name = _name(straight, source, destination)
        found.append(_plan(name, source, destination, straight))
    if destination.contraction is not None and (
        straight is None or _count(straight) > _least(source, straight)
    ):
        best, hunt = None, _Search(tokens_of(source), destination.space.operations)
        for order in renumberings(destination.shape[destination.contraction]):
            below = _count((best or (straight,))[0])
            made = search(source, destination, order, below=below, hunt=hunt, depth=_depth(straight))
            if made is not None:
                best = made, order
        if best is not None:
            made = _plan("registers, renumbered contraction", source, destination, best[0])
            found.append(made._replace(contraction=best[1]))
    found.append(_through_memory(source, destination))
    return found


def _name(program: Program, source: Operand, destination: Operand) -> str:
    if not program.nodes:
        return "identity"
    same = (source.layout.offsets() == destination.layout.offsets()).all()
    return "identity after conversion" if same and source.dtype != destination.dtype else "registers"


def renumberings(size: int):
    """Orders of a contraction that permute the bits of its index (none but the identity for odd sizes)."""
    if size & (size - 1):
        return
    width = size.bit_length() - 1
    for bits in itertools.permutations(range(width)):
        yield tuple(sum((k >> b & 1) << to for b, to in enumerate(bits)) for k in range(size))


def search(source: Operand, destination: Operand, contraction=None, *, below=None, hunt=None, depth=DEPTH):
    """The program with the fewest instructions at the least depth (up to `depth`), or None.

    below: only a program with fewer instructions than this.  A value is counted wherever it is used.
    hunt: an earlier search from the same registers, whose findings are used again.
    Raises LayoutError for registers of different widths.
    """
    if source.space.bits != destination.space.bits:
        raise LayoutError(
            f"{source.name} has registers of {source.space.bits} bits and {destination.name} of"
            f" {destination.space.bits}"
        )
    goals = tokens_of(destination, contraction)
    hunt = hunt or _Search(tokens_of(source), destination.space.operations)
    limit = below if below is not None else 1 << 30
    for level in range(depth + 1):
        found = []
        for goal in goals:
            found.append(hunt.solve(goal, level, limit))
            if found[-1] is None:
                break
        else:
            if sum(f[0] for f in found) < limit:
                return _program(source, len(hunt.held), found)
    return None


def _program(source: Operand, held: int, found) -> Program:
    nodes, value = [], {}

    def emit(step) -> int:
        _, operation, inputs, goal = step
        if operation is None:
            return inputs
        if goal not in value:
            at = tuple(map(emit, inputs))
            nodes.append(Node(operation, at))
            value[goal] = held + len(nodes) - 1
        return value[goal]

    results = tuple(map(emit, found))
    return Program(source, held, tuple(nodes), results)


class _Search:
    """Backwards from wanted registers, with what is known about each of them."""

    def __init__(self, held, operations):
        import numpy as np

        self.held = held
        self.operations = sorted(operations, key=lambda o: o.count)
        self.fan = max((o.inputs for o in self.operations), default=2)
        self.known: dict = {}
        self.holder = np.zeros(1 + int((held >> 3 & ELEMENT).max()), np.int64)
        for i, register in enumerate(held):
            self.holder[register[register != FREE] >> 3 & ELEMENT] = i

    def solve(self, goal, depth: int, limit: int):
        """(cost below `limit`, operation or None, inputs' solutions or the held register, goal), or None."""
        key = goal.tobytes()
        known = self.known.get((key, depth))
        if known is not None and (known[0] is not None or known[1] >= limit):
            return known[0] if known[0] is None or known[0][0] < limit else None
        best = self._held(goal, key)
        most = sum(self.fan**level for level in range(depth))
        if best is None and depth and self._least(goal) <= min(limit - 1, most):
            for operation in self.operations:
                least = min(limit, best[0] if best else limit)
                if operation.count >= least:
                    break
                inputs = operation.wanted(goal)
                if inputs is None or any(i.tobytes() == key for i in inputs):
                    continue
                parts, cost = [], operation.count
                for part in inputs:
                    one = self.solve(part, depth - 1, least - cost)
                    if one is None:
                        break
                    parts.append(one)
                    cost += one[0]
                else:
                    if cost < least:
                        best = cost, operation, tuple(parts), key
        self.known[key, depth] = best, limit
        return best

    def _least(self, goal) -> int:
        """Operations that join the registers with the goal's elements, each as many as it can."""
        registers = set(self.holder[goal[goal != FREE] >> 3 & ELEMENT].tolist())
        return -(-(len(registers) - 1) // max(self.fan - 1, 1))

    def _held(self, goal, key):
        fits = ((goal == self.held) | (goal == FREE)).all(1)
        return (0, None, int(fits.argmax()), key) if fits.any() else None


def _depth(program: Program | None) -> int:
    """Operations on the longest way from a source register to a result."""
    if program is None:
        return DEPTH
    depth = [0] * program.held
    for node in program.nodes:
        depth.append(1 + max(depth[i] for i in node.inputs))
    return max(depth)


def _least(source: Operand, program: Program) -> int:
    """No program has fewer operations: each joins as many registers as it reads."""
    most = max((len(node.inputs) for node in program.nodes), default=2)
    return -(-(program.held - len(program.results)) // max(1, most - 1))


def _count(program: Program | None) -> int:
    """Instructions; without a program, more than any has."""
    return 1 << 30 if program is None else sum(node.operation.count for node in program.nodes)


def _plan(method, source, destination, program: Program) -> Plan:
    count = _count(program)
    registers = program.held + len(program.nodes)
    return Plan(method, source, destination, program, instructions=count, cost=count, registers=registers)


class Spill(NamedTuple):
    """Through memory: the registers are stored as they lie, and read back element by element in order."""

    source: Operand
    destination: Operand

    def execute(self, flat):
        import numpy as np

        bits = bits_of(self.destination.dtype)
        length = max(self.destination.space.bits // 8, 1)
        held = source_bytes(self.source, flat).reshape(-1)
        wide = bits_of(self.source.dtype) // 8
        at = self.source.bit_addresses(8 * wide) // 8
        values = held[at[:, None] + np.arange(wide)].copy().view(f"u{wide}")[:, 0]
        memory = np.zeros(-(-footprint(self.destination, bits) // length) * length, np.uint8)
        patterns = encode(decode(values, self.source.dtype), self.destination.dtype)
        write(memory, self.destination.bit_addresses(bits), patterns, bits)
        return memory.reshape(-1, length) if self.destination.space.kind == "vector" else memory


def _through_memory(source: Operand, destination: Operand) -> Plan:
    """Store, then load each run of elements that both sides keep together."""
    import numpy as np

    bits = bits_of(destination.dtype)
    wide = bits_of(source.dtype)
    a, b = source.bit_addresses(wide), destination.bit_addresses(bits)
    order = np.argsort(b, kind="stable")
    runs = 1 + int(((np.diff(a[order]) != wide) | (np.diff(b[order]) != bits)).sum())
    registers = -(-int(a.max() + wide) // source.space.bits)
    narrowing = registers if wide != bits else 0
    count = registers + narrowing + runs
    made = Plan(
        "round trip through memory" if destination.space.kind == "vector" else "store",
        source,
        destination,
        Spill(source, destination),
        instructions=count,
        cost=count + 1,
        bytes=footprint(destination, bits),
    )
    if destination.space.kind != "memory" or destination.owners is None:
        return made
    return made._replace(order=steps_of(source, destination, "store", True))
