"""Element by element: masks and addresses without structure, and atomics on tensors."""

from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.lowering.tts_to_memref.addresses import Addresses
from vertebra.lowering.tts_to_memref.build import Builder

Bounds = list


class Element:
    """Builds the scalar code for one element, at the end of a block or before an operation."""

    def __init__(self, block: ir.Block | None, location: ir.Location, before=None):
        self.block, self.location = block, location
        self._point = ir.InsertionPoint(block if before is None else before)
        self.index = ir.IndexType.get()

    def op(self, name: str, results, operands, /, regions: int = 0, **attributes) -> ir.Operation:
        return ir.Operation.create(
            name,
            list(results),
            list(operands),
            attributes,
            regions=regions,
            loc=self.location,
            ip=self._point,
        )

    def value(self, name: str, kind: ir.Type, /, *operands: ir.Value, **attributes) -> ir.Value:
        return self.op(name, [kind], operands, **attributes).result

    def branch(self, condition: ir.Value | None, kinds, then: Callable, other: Callable) -> list[ir.Value]:
        """The results of `then` where the condition holds (or there is none), else those of `other`."""
        if condition is None:
            return then(self)
        made = self.op("scf.if", kinds, [condition], regions=2)
        for region, build in zip(made.regions, (then, other), strict=True):
            if not kinds and build is other:
                break
            inner = Element(region.blocks.append(), self.location)
            inner.op("scf.yield", [], build(inner))
        return list(made.results)


def each(build: Builder, where: Addresses, inputs: list, out: ir.Value, body: Callable, at) -> ir.Value:
    """A tensor of what `body` gives for every element, in row-major order.

    inputs: tensors of the same shape, or None.  out: the tensor whose elements `body` also gets,
    and whose type the result has.  body: called with (element, address, inputs, out); it returns a value.
    address: the number of the element in `where.memref`.
    """
    shape = where.shape
    rank = len(shape)
    identity = ir.AffineMap.get_identity(rank)
    tensors = [(v, identity) for v in inputs if v is not None]
    if where.scattered is not None:
        tensors.append((where.scattered, identity))
    elif where.lookup is not None:
        tensors.append((where.lookup, ir.AffineMap.get(rank, 0, [ir.AffineDimExpr.get(where.dim)])))
    maps = [m for _, m in tensors] + [identity]
    numbers = _numbers(build, where, at)
    parallel = ir.Attribute.parse("#linalg.iterator_type<parallel>")
    made = build.op(
        "linalg.generic",
        [out.type],
        [v for v, _ in tensors] + [out],
        at,
        regions=1,
        indexing_maps=ir.ArrayAttr.get([ir.AffineMapAttr.get(m) for m in maps]),
        iterator_types=ir.ArrayAttr.get([parallel] * rank),
        operandSegmentSizes=ir.DenseI32ArrayAttr.get([len(tensors), 1]),
    )
    kinds = [v.type.element_type for v, _ in tensors] + [out.type.element_type]
    block = made.regions[0].blocks.append(*kinds, arg_locs=[at.location] * len(kinds))
    element = Element(block, at.location)
    arguments = list(block.arguments)
    given = iter(arguments)
    elements = [None if v is None else next(given) for v in inputs]
    found = arguments[-2] if len(tensors) > sum(v is not None for v in inputs) else None
    address = _address(element, where, numbers, found)
    element.op("linalg.yield", [], [body(element, address, elements, arguments[-1])])
    return made.result


def empty(build: Builder, kind: ir.RankedTensorType, at) -> ir.Value:
    """A tensor without contents."""
    return build.op("tensor.empty", [kind], [], at).result


def within(build: Builder, shape: list[int], bounds: "Bounds | None", at) -> Callable:
    """A function that gives the condition that an element lies within bounds, or None for all of them."""
    if bounds is None:
        return lambda element: None
    limits = [(build.emit(lo, at), build.emit(hi, at)) for lo, hi in bounds]

    def condition(element: Element) -> ir.Value:
        total = None
        i1 = ir.IntegerType.get_signless(1)
        for d, ((lo, hi), values) in enumerate(zip(bounds, limits, strict=True)):
            for code, bound, value in ((_SGE, lo, values[0]), (_SLT, hi, values[1])):
                if isinstance(bound, int) and bound == (0 if code == _SGE else shape[d]):
                    continue
                predicate = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), code)
                here = _index(element, d)
                held = element.value("arith.cmpi", i1, here, value, predicate=predicate)
                total = held if total is None else element.value("arith.andi", i1, total, held)
        return total

    return condition


_SLT, _SGE = 2, 5


def _index(element: Element, d: int) -> ir.Value:
    dim = ir.IntegerAttr.get(ir.IntegerType.get_signless(64), d)
    return element.value("linalg.index", element.index, dim=dim)


def _numbers(build: Builder, where: Addresses, at) -> dict:
    """The scalars that addresses are made of, as values before the operation."""
    numbers = {}
    for field in ("strides", "starts", "wraps"):
        for d, expr in enumerate(getattr(where, field)):
            if not (isinstance(expr, int) and expr == 0):
                plain = field == "strides" and isinstance(expr, int) and expr == 1
                numbers[field, d] = None if plain else build.emit(expr, at)
    if not (isinstance(where.offset, int) and where.offset == 0):
        numbers["offset"] = build.emit(where.offset, at)
    return numbers


def _address(element: Element, where: Addresses, numbers: dict, found: ir.Value | None) -> ir.Value:
    index = element.index
    parts = [numbers["offset"]] if "offset" in numbers else []

    def add(a, b):
        return element.value("arith.addi", index, a, b)

    def times(value, factor):
        return value if factor is None else element.value("arith.muli", index, value, factor)

    if found is not None and found.type != index:
        found = element.value("arith.index_cast", index, found)
    if where.scattered is not None:
        parts.append(found)
    for d, size in enumerate(where.shape if where.scattered is None else []):
        if ("strides", d) not in numbers:
            continue
        if d != where.dim and size == 1 and ("wraps", d) not in numbers:
            continue
        at = times(found if d == where.dim else _index(element, d), numbers["strides", d])
        if ("wraps", d) in numbers:
            if ("starts", d) in numbers:
                at = add(at, numbers["starts", d])
            at = element.value("arith.remsi", index, at, numbers["wraps", d])
        parts.append(at)
    if not parts:
        return element.value("arith.constant", index, value=ir.IntegerAttr.get(index, 0))
    total = parts[-1]
    for part in parts[:-1]:
        total = add(total, part)
    return total
