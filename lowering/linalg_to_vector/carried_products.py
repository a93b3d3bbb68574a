"""Products whose sums travel round loops that do nothing else with them."""

from collections.abc import Callable

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.parallel_loops import PARALLEL

PRODUCT = "linalg.matmul"


@attrs.frozen
class Carried:
    """The way of a product's sums round loops.

    loop: the outermost scf.for.  number: which of its results they are.  zero: they begin at zero.
    """

    loop: object
    number: int
    zero: bool

    @property
    def start(self):
        return self.loop.operands[3 + self.number]

    @property
    def result(self):
        return self.loop.results[self.number]


@attrs.frozen
class Link:
    """Something that adds to sums.

    owner: the last of its operations.  start, result: the sums before and after.
    """

    owner: object
    start: object
    result: object


def carried_sums(link: Link, links: list[Link], alike: Callable) -> Carried | None:
    """The loops round which the sums of `link` travel; None where they do anything else there.

    Several links may add to them one after the other: those that are alike(link, other).
    """
    block, found = link.owner.block, None
    near = [other for other in links if other.owner.block == block and alike(link, other)]
    start, end = _first(link, near), _last(link, near)
    while True:
        loop_op = block.owner
        if loop_op is None or loop_op.name != "scf.for" or not _is_argument(start, block):
            break
        if PARALLEL in loop_op.attributes:
            break  # its turns may run at once
        number = next(i for i, a in enumerate(block.arguments) if a == start) - 1
        uses, ends = _live_uses(start), _live_uses(end)
        if number < 0 or len(uses) != 1 or len(ends) != 1:
            break
        if ends[0].owner.operation.name != "scf.yield" or ends[0].operand_number != number:
            break
        loop_op = loop_op.operation
        found = Carried(loop_op, number, False)
        start, end, block = found.start, found.result, loop_op.block
    return attrs.evolve(found, zero=is_zero(start)) if found else None


def _first(link: Link, links: list[Link]):
    """What the first of the links that add to the sums of `link` starts from."""
    start = link.start
    while before := [x for x in links if x.result == start]:
        if len(_live_uses(start)) != 1:
            break
        start = before[0].start
    return start


def _last(link: Link, links: list[Link]):
    """The sums after the last of the links that add to those of `link`."""
    end = link.result
    while len(_live_uses(end)) == 1 and (after := [x for x in links if x.start == end]):
        end = after[0].result
    return end


def _live_uses(value) -> list:
    """The uses of `value` but for those of views and copies that nobody looks at."""
    return [use for use in value.uses if not _is_dead(use.owner.operation)]


def _is_dead(op) -> bool:
    pure = op.name.startswith("tensor.") or op.name == "linalg.transpose"
    return pure and not any(_live_uses(result) for result in op.results)


def _is_argument(value, block) -> bool:
    return isinstance(value.owner, ir.Block) and value.owner == block


def is_zero(value) -> bool:
    """Whether every element of tensor `value` is known to be zero."""
    op = producer(value)
    if op is None:
        return False
    if op.name == "arith.constant":
        attribute = op.attributes["value"]
        if isinstance(attribute, ir.DenseElementsAttr):
            if not attribute.is_splat:
                return False
            attribute = attribute.get_splat_value()
        # Not -0.0: a sum that starts there may stay there.
        return str(attribute).split(" ")[0] in ("0", "0.000000e+00")
    if op.name in ("linalg.fill", "tensor.splat"):
        return is_zero(op.operands[0])
    return False
