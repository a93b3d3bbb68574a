"""The left factor of matrix products read where a kernel's argument lies in memory, without a copy.

Only the run-time values of a load tell whether that is possible: that nothing of it is masked, and that
no sums go over it before it is read.  Where it is not, A is copied, and the copy is read the same way.
"""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import MicroKernel
from vertebra.lowering.linalg_to_vector import panel_buffers
from vertebra.lowering.linalg_to_vector.access import Strided, shape_of, view_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, limits_of, vector_nest
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Affine, Builder, Chunk, Uniform, create
from vertebra.lowering.linalg_to_vector.loads import Load
from vertebra.lowering.linalg_to_vector.loops import either, loop
from vertebra.lowering.linalg_to_vector.micro_kernel import Part
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.linalg_to_vector.packing import signed
from vertebra.lowering.linalg_to_vector.sums import Goal
from vertebra.lowering.linalg_to_vector.tile_sums import added
from vertebra.lowering.linalg_to_vector.whole_loads import tests_of

_WORD = 32  # bits of one step of one row
_FEW_COLUMNS = 128  # below which adding up the rows of A takes a part of the time that counts
_SPAN = 5  # rows that one base register reaches: 0, 1, 2, 3 and 4 strides beyond it
_LINE = 64  # bytes that come from memory together
_MOST_LINES = 4  # of a row, that one tile fetches for those of the next rows
_CHAINS = 4  # of sums that do not wait for each other
_SLE, _SGE = 3, 5  # arith.cmpi predicates


@attrs.frozen
class RowsInPlace:
    """A at `address`, with `stride` bytes from row to row: index values.

    depth: K.  excesses: memref of b_offset times the sums of the rows at hand, or None without a b_offset.
    """

    kernel: MicroKernel
    address: object
    stride: object
    depth: int
    excesses: object | None

    @property
    def chunk(self) -> int:
        return self.depth

    def tile(self, b: Builder, prefix: list[Chunk], first: Uniform, rows: int) -> "_Tile":
        """The rows first <= i < first + rows."""
        at = b.add(Uniform(self.address), b.mul(first, Uniform(self.stride)))
        bases = [b.add(at, b.mul(Uniform(self.stride), b.const(r))) for r in range(0, rows, _SPAN)]
        return _Tile(self.kernel, Uniform(self.stride), tuple(bases), rows)

    def excess(self, b: Builder, row: int, type):
        """What is too much in the sums of row number `row` of those at hand, in every lane of `type`."""
        value = create("memref.load", type.element_type, [self.excesses, b.scalar(b.const(row))])
        return create("vector.broadcast", type, [value])

    def fetch(self, b: Builder, first: Uniform, rows: int, turn: Uniform, turns: int) -> None:
        """Brings the share that `turn` of `turns` has of the rows first <= i < first + rows into the cache.

        It may reach beyond A, and beyond all memory: such a fetch does nothing.
        """
        row_bytes = self.depth // self.kernel.shape[2] * _WORD // 8
        lines = min(_MOST_LINES, -(-row_bytes // (turns * _LINE)))
        start = b.add(Uniform(self.address), b.mul(first, Uniform(self.stride)))
        start = b.add(start, b.mul(turn, b.const(lines * _LINE)))
        for r in range(rows):
            left = b.add(start, b.mul(Uniform(self.stride), b.const(r)))
            for line in range(lines):
                _prefetch(_pointer(b, b.add(left, b.const(line * _LINE))))

    def take_up(self, b: Builder, first: Uniform, rows: int) -> None:
        """Makes the rows first <= i < first + rows those at hand."""
        if self.excesses is None:
            return
        _, n, k = self.kernel.shape
        element, acc = ir.Type.parse(self.kernel.a), ir.Type.parse(self.kernel.acc)
        words, lanes = ir.VectorType.get([n * k], element), ir.VectorType.get([n], acc)
        weight = b.constants.splat(words, signed(self.kernel.b_offset, element))
        zero = b.constants.splat(lanes, 0)
        count, step = self.depth // (n * k), n * _WORD // 8
        chains = next(c for c in (_CHAINS, 2, 1) if count % c == 0)
        start = b.add(Uniform(self.address), b.mul(first, Uniform(self.stride)))

        def row(r: Uniform, carried: list) -> list:
            left = b.add(start, b.mul(r, Uniform(self.stride)))

            def turn(p: Uniform, sums: list) -> list:
                at = b.add(left, b.mul(p, b.const(step)))
                pieces = [_load(_pointer(b, b.add(at, b.const(c * step))), words) for c in range(chains)]
                return [self.kernel.by_lanes(x, weight, s) for x, s in zip(pieces, sums, strict=True)]

            sums = loop(b, 0, count, chains, [zero] * chains, turn)
            kind = {"kind": ir.Attribute.parse("#vector.kind<add>")}
            total = create("vector.reduction", acc, [added(sums)], kind)
            ir.Operation.create("memref.store", [], [total, self.excesses, b.scalar(r)])
            return carried

        loop(b, 0, rows, 1, [], row)


@attrs.frozen
class _Tile:
    """Some rows.  bases: addresses of every _SPAN-th one."""

    kernel: MicroKernel
    stride: Uniform
    bases: tuple[Uniform, ...]
    rows: int

    def read(self, b: Builder, piece: Uniform, step: Uniform) -> list:
        """The k elements of every row at `step`.

        LLVM knows nothing of the pointers but that they are new in every turn, so that it keeps to few of
        them.  It would else make one for each row, count them all up, and spill what then lacks registers.
        """
        ahead = b.mul(step, b.const(_WORD // 8))
        bases = [_opaque(_pointer(b, b.add(base, ahead))) for base in self.bases]
        strides = [b.scalar(b.mul(self.stride, b.const(r))) for r in range(min(_SPAN, self.rows))]
        found = []
        for row in range(self.rows):
            at = bases[row // _SPAN]
            if row % _SPAN:
                at = _beyond(at, strides[row % _SPAN])
            word = ir.IntegerType.get_signless(_WORD)
            words = create("vector.broadcast", ir.VectorType.get([1], word), [_load(at, word)])
            type = ir.VectorType.get([self.kernel.shape[2]], ir.Type.parse(self.kernel.a))
            found.append(create("vector.bitcast", type, [words]))
        return found


def kernel_in_place(scope: Scope, value, part: Part, unsigned: bool) -> MicroKernel | None:
    """The kernel that may read `value`, (M, K), where it is; None where a copy is as good, or needed."""
    kernel = part.kernel.plain or part.kernel
    m, n, k = kernel.shape
    type = value.type.element_type
    if not scope.unit.scaled_index or value.type.rank != 2 or unsigned or kernel.a != str(type):
        return None
    if m > 1 or k * type.width != _WORD or kernel.a_offset:
        return None
    if shape_of(value)[1] % (n * k) or part.stop - part.start < _FEW_COLUMNS:
        return None
    load, view = _source(scope, value)
    if view is None or (load.other is not None and tests_of(load) is None):
        return None
    return kernel


def rows_in_place(scope: Scope, value, kernel: MicroKernel, goal: Goal | None) -> RowsInPlace:
    """value: (M, K), for which `kernel_in_place` has found `kernel`."""
    b = scope.builder(1)
    rows, depth = shape_of(value)
    element = value.type.element_type
    size = element.width // 8
    load, view = _source(scope, value)
    stride = b.mul(view.strides[0], b.const(size))
    start = _start_of(b, view, size)
    tests = [] if load.other is None else [_compare(b, *test) for test in tests_of(load)]
    if goal is not None:
        tests.append(_apart(b, start, stride, (rows, depth * size), goal))
    copy = panel_buffers.allocate([rows * depth], element)

    def copied() -> list:
        _copy(scope, value, copy)
        return [b.scalar(_start_of(b, Strided(copy, b.const(0), ()), size)), b.scalar(b.const(depth * size))]

    def there() -> list:
        return [b.scalar(start), b.scalar(stride)]

    if not tests:
        address, stride = there()
    else:
        whole = tests[0]
        for test in tests[1:]:
            whole = b.both(whole, test)
        address, stride = either(b.scalar(whole), [b.index, b.index], there, copied)
    excesses = None
    if kernel.b_offset:
        excesses = panel_buffers.allocate([scope.unit.registers], ir.Type.parse(kernel.acc))
    return RowsInPlace(kernel, address, stride, depth, excesses)


def _source(scope: Scope, value) -> tuple[Load | None, Strided | None]:
    """The load that is `value`, and the view it reads if that runs along rows."""
    op = producer(value)
    load = scope.plan.load_of(op) if op is not None and scope.plan.inlines(op) else None
    if load is None or len(load.low) != 2:
        return None, None
    view = view_of(scope.builder(1), load.view)
    along = view is not None and len(view.strides) == 2 and view.strides[1].const == 1
    return load, view if along else None


def _start_of(b: Builder, view: Strided, size: int) -> Uniform:
    base = Uniform(create("memref.extract_aligned_pointer_as_index", b.index, [view.base]))
    return b.add(base, b.mul(view.offset, b.const(size)))


def _compare(b: Builder, predicate: int, left, right) -> Chunk:
    left, right = (x if isinstance(x, Uniform) else _uniform(b, x) for x in (left, right))
    return b.compare(predicate, left, right)


def _uniform(b: Builder, x) -> Uniform:
    return b.const(x) if isinstance(x, int) else Uniform(x)


def _apart(b: Builder, start: Uniform, stride: Uniform, size: tuple[int, int], goal: Goal) -> Chunk:
    """Whether sums that go to their goal early leave all of A alone: both grow, and do not meet."""
    rows, row_bytes = size
    stop = b.add(start, b.add(b.mul(stride, b.const(rows - 1)), b.const(row_bytes)))
    bits = goal.view.base.type.element_type.width // 8
    first = _start_of(b, goal.view, bits)
    step = b.mul(goal.view.strides[0], b.const(bits))
    high, wide = shape_of(goal.value)
    last = b.add(first, b.add(b.mul(step, b.const(high - 1)), b.const(wide * bits)))
    before, after = b.compare(_SLE, last, start), b.compare(_SGE, first, stop)
    apart = Uniform(create("arith.ori", b.constants.i1, [b.scalar(before), b.scalar(after)]))
    for grows in (stride, step):
        apart = b.both(apart, b.compare(_SGE, grows, b.const(0)))
    return apart


def _copy(scope: Scope, value, buffer) -> None:
    sizes = shape_of(value)

    def body(ev: Evaluator, idx: list[Chunk], carried: list) -> list:
        row, column = idx
        base = column.base if isinstance(column, Affine) else column
        at = ev.b.add(ev.b.mul(row, ev.b.const(sizes[1])), base)
        at = Affine(at, ev.b.const(1)) if isinstance(column, Affine) else at
        ev.memory.store(ev.at(value, idx), buffer, at)
        return carried

    vector_nest(scope, sizes, scope.width([value]), [], body, limits_of(scope, [value], [0, 1]))


# -- pointers


def _pointer(b: Builder, address: Uniform):
    word = create("arith.index_cast", ir.IntegerType.get_signless(64), [b.scalar(address)])
    return create("llvm.inttoptr", ir.Type.parse("!llvm.ptr"), [word])


def _opaque(pointer):
    return create("llvm.intr.launder.invariant.group", pointer.type, [pointer])


def _beyond(pointer, offset):
    """`pointer` and `offset` bytes, an index value."""
    i64 = ir.IntegerType.get_signless(64)
    attributes = {
        "elem_type": ir.TypeAttr.get(ir.IntegerType.get_signless(8)),
        "rawConstantIndices": ir.DenseI32ArrayAttr.get([-(1 << 31)]),
    }
    return create(
        "llvm.getelementptr", pointer.type, [pointer, create("arith.index_cast", i64, [offset])], attributes
    )


def _prefetch(pointer) -> None:
    """For reading, into the first cache."""
    i32 = ir.IntegerType.get_signless(32)
    how = {"rw": 0, "hint": 3, "cache": 1}
    attributes = {name: ir.IntegerAttr.get(i32, value) for name, value in how.items()}
    ir.Operation.create("llvm.intr.prefetch", [], [pointer], attributes)


def _load(pointer, type):
    alignment = {"alignment": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 1)}
    return create("llvm.load", type, [pointer], alignment)
