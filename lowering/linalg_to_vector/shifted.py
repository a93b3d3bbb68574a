"""Whether one tensor holds the rows of another, so many rows further down."""

from collections import Counter

from vertebra.core.mlir import ir
from vertebra.dialects.constants import constant_of
from vertebra.lowering.linalg_to_vector.access import mixed, same
from vertebra.lowering.linalg_to_vector.loads import Load, match_load
from vertebra.lowering.linalg_to_vector.operations import body_names, producer

_CASTS = ("arith.index_cast", "arith.extsi", "arith.index_castui")
_BOUNDS = ("arith.minsi", "arith.maxsi")
_MOST_TERMS = 64
_VIEWS = {f"memref.{name}" for name in ("alloc", "reinterpret_cast", "subview", "cast")}
_PLAIN_DIALECTS = ("arith", "math", "tensor")

# A sum of products: the sorted numbers of their factors -> how often it is in the sum.
Polynomial = Counter


class Numbers:
    """Integers as polynomials of values that nothing is known of."""

    def __init__(self):
        self._names: dict = {}

    def polynomial(self, value) -> Polynomial:
        """Of an SSA value, or an int.  Sums and products are taken not to wrap, as addresses do not."""
        if isinstance(value, int):
            return _without_zeros({(): value})
        known = constant_of(value)
        if known is not None:
            return _without_zeros({(): known})
        op = producer(value)
        if op is not None and op.name in _CASTS:
            return self.polynomial(op.operands[0])
        if op is not None and op.name in ("arith.addi", "arith.subi", "arith.muli"):
            left, right = (self.polynomial(v) for v in op.operands)
            if op.name == "arith.muli" and len(left) * len(right) <= _MOST_TERMS:
                return _product(left, right)
            if op.name != "arith.muli":
                return plus(left, right, -1 if op.name == "arith.subi" else 1)
        name = self._names.setdefault(value, len(self._names))
        return Counter({(name,): 1})

    def bounded(self, value) -> tuple[Polynomial, frozenset]:
        """(what is bounded, its bounds) of min(max(x, 0), n) and the like: (kind, number) each."""
        bounds = set()
        while not isinstance(value, int) and (op := producer(value)) is not None and op.name in _BOUNDS:
            numbers = [constant_of(v) for v in op.operands]
            if numbers.count(None) != 1:
                break
            (number,) = (n for n in numbers if n is not None)
            bounds.add((op.name, number))
            value = op.operands[numbers.index(None)]
        return self.polynomial(value), frozenset(bounds)


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    found: Counter = Counter()
    for a, m in left.items():
        for b, n in right.items():
            found[tuple(sorted((*a, *b)))] += m * n
    return _without_zeros(found)


def plus(left: Polynomial, right: Polynomial, factor: int = 1) -> Polynomial:
    found = Counter(left)
    for term, count in right.items():
        found[term] += factor * count
    return _without_zeros(found)


def _without_zeros(terms) -> Polynomial:
    return Counter({term: count for term, count in terms.items() if count})


def begins_below(upper, lower, rows: int) -> bool:
    """Whether row i of tensor `lower` is row i + rows of what `upper` is a part of, wherever both have it.

    Both are parts of one tensor, or are loaded from one place in memory, with masks that go with it.
    """
    if upper.type != lower.type or upper.type.rank != 2:
        return False
    ops = [producer(value) for value in (upper, lower)]
    if any(op is None for op in ops) or ops[0].name != ops[1].name:
        return False
    if ops[0].name == "tensor.extract_slice":
        return _slices(*ops, rows)
    if ops[0].name != "bufferization.to_tensor":
        return False
    loads = [match_load(op, mixed) for op in ops]
    return all(load is not None for load in loads) and _loads(*loads, list(upper.type.shape), rows)


def _slices(upper, lower, rows: int) -> bool:
    if upper.operands[0] != lower.operands[0]:
        return False
    ones = all(mixed(op, "strides", 3) == [1, 1] for op in (upper, lower))
    first, second = (mixed(op, "offsets", 1) for op in (upper, lower))
    return (
        ones and all(isinstance(x, int) for x in (*first, *second)) and second == [first[0] + rows, first[1]]
    )


def _loads(upper: Load, lower: Load, shape: list[int], rows: int) -> bool:
    views = [_whole_view(load.view) for load in (upper, lower)]
    if any(view is None for view in views) or views[0].operands[0] != views[1].operands[0]:
        return False
    strides = [mixed(view, "strides", 3) for view in views]
    offsets = [mixed(view, "offsets", 1)[0] for view in views]
    numbers = Numbers()
    places = [numbers.polynomial(offset) for offset in offsets]
    steps = [[numbers.polynomial(s) for s in group] for group in strides]
    if steps[0] != steps[1] or plus(places[1], places[0], -1) != _product(
        steps[0][0], numbers.polynomial(rows)
    ):
        return False
    return _masks(upper, lower, shape, rows, numbers)


def _whole_view(view):
    """The reinterpret_cast that `view` is, or the beginning of."""
    op = producer(view)
    while op is not None and op.name == "memref.subview":
        if mixed(op, "offsets", 1) != [0, 0] or mixed(op, "strides", 3) != [1, 1]:
            return None
        op = producer(op.operands[0])
    return op if op is not None and op.name == "memref.reinterpret_cast" else None


def _masks(upper: Load, lower: Load, shape: list[int], rows: int, numbers: Numbers) -> bool:
    """Whether rows are masked off by where they are in memory, and columns alike."""
    if upper.low != [0, 0] or lower.low != [0, 0] or not _equal_others(upper.other, lower.other):
        return False
    (upper_rows, upper_columns), (lower_rows, lower_columns) = upper.sizes, lower.sizes
    if not (same(upper_columns, lower_columns) or _equal_bounded(numbers, upper_columns, lower_columns, 0)):
        return False
    if isinstance(upper_rows, int) or isinstance(lower_rows, int):
        return upper_rows == lower_rows == shape[0]
    _, bounds = numbers.bounded(upper_rows)
    exact = bounds == {("arith.minsi", shape[0]), ("arith.maxsi", 0)}
    return exact and _equal_bounded(numbers, upper_rows, lower_rows, -rows)


def _equal_bounded(numbers: Numbers, upper, lower, difference: int) -> bool:
    if isinstance(upper, int) or isinstance(lower, int):
        return False
    (first, one), (second, two) = numbers.bounded(upper), numbers.bounded(lower)
    return one == two and plus(second, first, -1) == numbers.polynomial(difference)


def _equal_others(upper, lower) -> bool:
    if upper is None or lower is None or upper == lower:
        return (upper is None) == (lower is None)
    constants = [producer(value) for value in (upper, lower)]
    if any(op is None or op.name != "arith.constant" for op in constants):
        return False
    return constants[0].attributes["value"] == constants[1].attributes["value"]


# -- whether values that are computed later than they were meant to be are the same


def undisturbed(values: list, first, last) -> bool:
    """Whether nothing that `values` are loaded from may change between where they come from and `last`.

    first, last: operations of one block.  Loads of `values` further up count from where they are; those in
    other blocks are refused.
    """
    operations = [op.operation for op in last.block.operations]
    begin = operations.index(first)
    for value in values:
        for op in _sources(value):
            if op.block != last.block:
                return False
            begin = min(begin, operations.index(op))
    return all(_harmless(op) for op in operations[begin : operations.index(last)])


def _sources(value) -> list:
    """The copies that fill the buffers of loads that `value` is computed from."""
    found, seen, todo = [], set(), [value]
    while todo:
        v = todo.pop()
        op = producer(v)
        if v in seen or op is None or not isinstance(v.type, ir.RankedTensorType):
            continue
        seen.add(v)
        op = op.operation
        if op.name == "bufferization.to_tensor":
            load = match_load(op, mixed)
            found.append(load.pieces[1] if load else op)
        todo += [x for x in op.operands if isinstance(x.type, ir.RankedTensorType)]
    return found


def _harmless(op) -> bool:
    """Whether `op` writes nothing but a buffer of its own."""
    if op.name in (*_VIEWS, "bufferization.to_tensor") or op.name.partition(".")[0] in _PLAIN_DIALECTS:
        return True
    if op.name in ("memref.copy", "linalg.fill") and not len(op.results):
        return _is_own(op.operands[1])
    if op.name.startswith("linalg.") and len(op.results):
        return all(name.partition(".")[0] in ("arith", "math", "linalg", "tensor") for name in body_names(op))
    return False


def _is_own(memref) -> bool:
    op = producer(memref)
    while op is not None and op.name in ("memref.subview", "memref.cast"):
        op = producer(op.operands[0])
    return op is not None and op.name == "memref.alloc"
