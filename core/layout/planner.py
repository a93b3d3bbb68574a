"""From one operand to another: the ways there, cheapest first."""

from vertebra.core.layout import tree
from vertebra.core.layout.blocks import block_plans
from vertebra.core.layout.dtype import bits_of
from vertebra.core.layout.exchange import exchange_plans
from vertebra.core.layout.lanes import lane_plans
from vertebra.core.layout.mapping import mapping_plans
from vertebra.core.layout.memory import access_plans
from vertebra.core.layout.operand import Operand, fits
from vertebra.core.layout.owners import check_tiles
from vertebra.core.layout.plan import Plan
from vertebra.core.layout.programs import program_plans
from vertebra.core.layout.swizzle import Xor


def plans(source: Operand, destination: Operand, *, width: int | None = None) -> tuple[Plan, ...]:
    """Every way from `source` to `destination`, cheapest first; the types may differ.

    width: bytes per access, where it has to be this one.
    Raises LayoutError for tiles of different sizes (with the mode), for a destination that is not
    injective (with the first two coordinates that collide), for a width that alignment or the
    layout forbids, and where there is no way.
    """
    check_tiles(source.shape, destination.shape)
    bits_of(source.dtype), bits_of(destination.dtype)
    source.check()
    destination.check()
    kinds = source.space.kind, destination.space.kind
    if kinds == ("tensor", "tensor"):
        found = mapping_plans(source, destination)
    elif kinds[0] == "lanes":
        found = lane_plans(source, destination)
    elif "vector" in kinds:
        found = program_plans(source, destination)
    elif source.owners is not None and destination.space.kind == "memory":
        found = access_plans(source, destination, width=width, store=True)
    elif source.owners is not None and destination.owners is not None:
        found = exchange_plans(source, destination)
    elif source.layout is not None and destination.owners is not None:
        found = access_plans(source, destination, width=width, store=False)
    else:
        found = block_plans(source, destination)
    return tuple(sorted(found, key=lambda plan: (plan.cost, plan.instructions)))


def plan(source: Operand, destination: Operand, *, width: int | None = None) -> Plan:
    """The cheapest way; see `plans`."""
    return plans(source, destination, width=width)[0]


def choose_swizzle(source: Operand, destination: Operand, *, candidates=None) -> tuple[Xor | None, Plan]:
    """The least swizzle that a free destination should have, and the plan with it.

    candidates: by default those that the destination's hardware knows; none at all is always one.
    Least in wavefronts first, then in bits.
    """
    offered = destination.space.swizzles if candidates is None else tuple(candidates)
    best = None
    for xor in (None, *sorted(offered, key=lambda x: x.bits)):
        if xor is not None and not fits(xor, destination):
            continue
        made = plan(source, destination._replace(swizzle=xor))
        if best is None or made.wavefronts < best[1].wavefronts:
            best = xor, made
    return best


def explain(a, b) -> str:
    """Why two layouts are not the same function, in which mode and from which coordinate on."""
    left, right = ([m.size for m in x.modes] if hasattr(x, "modes") else [x.size] for x in (a, b))
    for i, (x, y) in enumerate(zip(left, right, strict=False)):
        if x != y:
            return f"mode {i} has {x} elements in {a} and {y} in {b}"
    if tree.size(tuple(left)) != tree.size(tuple(right)):
        return f"{a} has {len(left)} modes and {b} has {len(right)}"
    first, second = a.offsets(), b.offsets()
    apart = (first != second).nonzero()[0]
    if not len(apart):
        return f"{a} and {b} are the same function"
    at = int(apart[0])
    coordinate, rest = [], at
    for extent in left:
        coordinate.append(rest % extent)
        rest //= extent
    mode = max((i for i, c in enumerate(coordinate) if c), default=0)
    return (
        f"mode {mode}: at {tuple(coordinate)} the first gives {first[at]} and the second {second[at]};"
        f" {len(apart)} of {len(first)} differ"
    )
