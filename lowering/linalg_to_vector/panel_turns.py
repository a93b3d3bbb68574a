"""Products in a loop over K on an engine that keeps sums in registers: all turns at once, in the last one.

A turn notes where its operands are, and what goes on where the turn before ended is one run with it:
matrices that a loop walks along K are one run, over all of K.  In the last turn every panel of sums takes
up all runs before the next one begins.  Operands that will not stay where they are, and blocks at an edge,
are copied; when there is no more room for copies, the sums go to their panels in memory and come back.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.carried_products import Carried, Link
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.finishes import Extent
from vertebra.lowering.linalg_to_vector.lanes import Builder, Uniform, create
from vertebra.lowering.linalg_to_vector.loads import is_own_buffer
from vertebra.lowering.linalg_to_vector.memory_effects import writes
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.linalg_to_vector.panel_places import Later, Place
from vertebra.lowering.parallel_loops import inside

_RUNS = 64
_COPIES = 64  # of an operand, at most
_COPIES_BYTES = 1 << 18  # that these take, at most
_EQ, _ULE, _SGE = 0, 7, 5  # arith.cmpi predicates
_FIELDS = 5  # of a run: where A begins and its stride, the same of B, and the steps along K
_BEYOND = (1 << 63) - 1
_INDEX_BYTES = 8


def at_once(links: list[Link], ways: dict, kernels: dict) -> set:
    """The results of products that are multiplied in the last turn of the loop that they are in.

    ways: result -> `Carried`.  All that add to the same sums are, or none.
    """
    found, quiet = set(), {}
    for way in {way.result: way for way in ways.values()}.values():
        members = [link for link in links if (mine := ways.get(link.result)) and mine.result == way.result]
        kinds = [kernels[link.result] for link in members]
        block = members[0].owner.block
        if any(k.resident is None or k.mode != kinds[0].mode for k in kinds):
            continue
        if any(link.owner.block != block for link in members):
            continue
        loop = block.owner.operation
        key = loop.results[0]
        if key not in quiet:
            quiet[key] = not any(writes(op) for op in inside(loop))
        if quiet[key]:
            found |= {link.result for link in members}
    return found


def stays(b: Builder, memref):
    """Whether what a load reads from `memref` is there until the loop ends: a bool, or i1.

    Buffers of ours may be filled anew in every turn.
    """
    op = producer(memref)
    if op is not None and op.name == "arith.select":
        condition, *sides = op.operands
        yes, no = (stays(b, side) for side in sides)
        if yes is no:
            return yes
        if {yes, no} == {True, False}:
            return condition if yes else b.scalar(b.negate(Uniform(condition)))
        return False
    if op is not None and op.name == "memref.cast":
        return stays(b, op.operands[0])
    return not is_own_buffer(memref)


def _stored(b: Builder, number: Uniform, memref, *at: Uniform) -> None:
    ir.Operation.create("memref.store", [], [b.scalar(number), memref, *map(b.scalar, at)], _aligned(b))


def _loaded(b: Builder, memref, *at: Uniform) -> Uniform:
    return Uniform(create("memref.load", b.index, [memref, *map(b.scalar, at)], _aligned(b)))


def _aligned(b: Builder) -> dict:
    """Numbers in our own buffers are; without a word LLVM takes an index in two halves."""
    return {"alignment": b.constants.i64_attr(_INDEX_BYTES)}


@attrs.define
class _Counters:
    """Numbers in memory, by name."""

    memref: object
    names: tuple[str, ...]

    @classmethod
    def set(cls, b: Builder, **numbers: int) -> "_Counters":
        made = cls(panel_buffers.allocate([len(numbers)], b.index), tuple(numbers))
        for name, number in numbers.items():
            made.put(b, name, b.const(number))
        return made

    def get(self, b: Builder, name: str) -> Uniform:
        return _loaded(b, self.memref, b.const(self.names.index(name)))

    def put(self, b: Builder, name: str, number: Uniform) -> None:
        _stored(b, number, self.memref, b.const(self.names.index(name)))


class Runs:
    """The runs of one product in `loop`."""

    def __init__(self, scope: Scope, loop):
        self.scope, self.loop = scope, loop
        b = scope.builder(1)
        self.copies: list = []
        self.places: tuple[Place, ...] = ()
        with ir.InsertionPoint(loop), loop.location:
            self.table = panel_buffers.allocate([_RUNS + 1, _FIELDS], b.index)
            for field in range(_FIELDS):  # nothing goes on from there
                _stored(b, b.const(0), self.table, b.const(0), b.const(field))
            bounds = {
                f"{side}_{end}": 0 if end == "high" else _BEYOND for side in "ab" for end in ("low", "high")
            }
            self.state = _Counters.set(b, runs=0, copies=0, sound=1, **bounds)

    def later(self) -> Later:
        """For operands of this turn."""
        return Later(lambda memref: stays(self.scope.builder(1), memref), self._copy)

    def _copy(self, count: int):
        """A buffer of `count` bytes for this turn."""
        most = max(1, min(_COPIES, _COPIES_BYTES // count))
        with ir.InsertionPoint(self.loop), self.loop.location:
            buffers = panel_buffers.bytes_of(most * count)
        self.copies.append(most)
        b = self.scope.builder(1)
        at = b.mul(self.state.get(b, "copies"), b.const(count))
        type = ir.MemRefType.get([count], buffers.type.element_type)
        return create("memref.view", type, [buffers, b.scalar(at)])

    def note(self, places: tuple[Place, Place], steps: int, extents: bool) -> None:
        """The operands of this turn.  extents: whether it will be asked what has been read."""
        self.places = places
        b, state = self.scope.builder(1), self.state
        a, other = places
        begins, strides = (a.start, other.start), (a.stride, other.stride)
        count = state.get(b, "runs")
        old = [_loaded(b, self.table, count, b.const(field)) for field in range(_FIELDS)]
        on = None
        for place, begin, stride, (start, before) in zip(
            places, begins, strides, (old[0:2], old[2:4]), strict=True
        ):
            ahead = b.add(start, b.mul(old[4], place.step(b)))
            on = b.both(on, b.both(b.compare(_EQ, begin, ahead), b.compare(_EQ, stride, before)))
        run = b.select(on, count, b.add(count, b.const(1)))
        new = [begins[0], strides[0], begins[1], strides[1]]
        fields = [b.select(on, was, now) for was, now in zip(old, new, strict=False)]
        fields.append(b.select(on, b.add(old[4], b.const(steps)), b.const(steps)))
        for field, number in enumerate(fields):
            _stored(b, number, self.table, run, b.const(field))
        state.put(b, "runs", run)
        if self.copies:
            copied = b.binary("arith.maxsi", a.copied, other.copied)
            state.put(b, "copies", b.add(state.get(b, "copies"), copied))
        if extents:
            for side, place in zip("ab", places, strict=True):
                self._extend(b, side, place)

    def _extend(self, b: Builder, side: str, place: Place) -> None:
        """Copies are nobody else's."""
        lines, line = place.extent
        here = b.compare(_EQ, place.copied, b.const(0))
        high = b.add(b.add(place.start, b.mul(place.stride, b.const(lines - 1))), b.const(line))
        low = b.binary("arith.minsi", self.state.get(b, f"{side}_low"), place.start)
        high = b.binary("arith.maxsi", self.state.get(b, f"{side}_high"), high)
        self.state.put(b, f"{side}_low", b.select(here, low, self.state.get(b, f"{side}_low")))
        self.state.put(b, f"{side}_high", b.select(here, high, self.state.get(b, f"{side}_high")))
        up = b.compare(_SGE, place.stride, b.const(0))
        sound = b.select(up, self.state.get(b, "sound"), b.const(0))
        self.state.put(b, "sound", sound)

    def extents(self, b: Builder) -> list[Extent]:
        sound = b.compare(_EQ, self.state.get(b, "sound"), b.const(1))
        return [
            Extent(*(self.state.get(b, f"{side}_{end}") for end in ("low", "high")), sound) for side in "ab"
        ]

    def full(self, b: Builder) -> Uniform:
        """Whether there is no room for another turn (i1)."""
        full = b.compare(_EQ, self.state.get(b, "runs"), b.const(_RUNS))
        if self.copies:
            no_copy = b.compare(_SGE, self.state.get(b, "copies"), b.const(min(self.copies)))
            full = Uniform(create("arith.ori", b.constants.i1, [b.scalar(full), b.scalar(no_copy)]))
        return full

    def count(self, b: Builder) -> Uniform:
        return self.state.get(b, "runs")

    def operands(self, b: Builder, run: Uniform, p: Uniform, q: Uniform) -> tuple:
        """(A, B, steps) of a run for the panel whose first tile is (p, q)."""
        fields = [_loaded(b, self.table, run, b.const(field)) for field in range(_FIELDS)]
        steps = create("arith.index_cast", ir.IntegerType.get_signless(64), [b.scalar(fields[4])])
        sides = []
        for place, first, (start, stride) in zip(
            self.places, (p, q), (fields[0:2], fields[2:4]), strict=True
        ):
            sides.append(attrs.evolve(place, start=start, stride=stride).operand(b, first))
        return (*sides, steps)

    def forget(self, b: Builder) -> None:
        self.state.put(b, "runs", b.const(0))
        if self.copies:
            self.state.put(b, "copies", b.const(0))


def last_turn(b: Builder, loop) -> Uniform:
    """Whether this turn of `loop` is its last one (i1)."""
    _, high, step = list(loop.operands)[:3]
    turn = loop.regions[0].blocks[0].arguments[0]
    return b.compare(_ULE, b.sub(Uniform(high), Uniform(turn)), Uniform(step))


def no_turn(b: Builder, loop) -> Uniform:
    """Whether `loop` has none (i1)."""
    low, high = list(loop.operands)[:2]
    return b.compare(_SGE, Uniform(low), Uniform(high))


@attrs.define
class Gathering:
    """The products of a loop that add to the same sums.

    loop: the innermost one.  state: counters: "begun" is 1 where sums are in their panels, "done" where they
    are finished.  ending: see `finishes`.  row: the address of the row at which they begin, if not at zero.
    """

    loop: object
    way: Carried
    sums: object
    buffer: object
    state: _Counters
    ending: object = None
    row: Uniform | None = None
    runs: list[Runs] = attrs.field(factory=list)

    @classmethod
    def of(cls, scope: Scope, op, way: Carried, sums, buffer, ending) -> "Gathering":
        loop, b = op.block.owner.operation, scope.builder(1)
        with ir.InsertionPoint(loop), loop.location:
            state = _Counters.set(b, begun=0, done=0)
        return cls(loop, way, sums, buffer, state, ending)

    @property
    def begins_anew(self) -> bool:
        """Whether sums begin at zero, or at a row, in the first turn; else at what the panels hold."""
        return (self.way.zero or self.row is not None) and self.way.loop == self.loop

    def note(self, places: tuple[Place, Place], runs: Runs, steps: int) -> None:
        runs.note(places, steps, self.ending is not None)
        self.runs.append(runs)

    def due(self, b: Builder) -> Uniform:
        """Whether what has been noted is to be multiplied now (i1)."""
        due = last_turn(b, self.loop)
        for runs in self.runs:
            due = Uniform(create("arith.ori", b.constants.i1, [b.scalar(due), b.scalar(runs.full(b))]))
        return due

    def first(self, b: Builder) -> Uniform:
        return b.compare(_EQ, self.state.get(b, "begun"), b.const(0))
