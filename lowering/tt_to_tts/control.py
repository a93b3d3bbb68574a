"""Gives loops and branches the values that a plan says they carry besides their own."""

from vertebra.core.mlir import ir
from vertebra.lowering.tt_to_tts.expr import Atom
from vertebra.lowering.tt_to_tts.form import Form
from vertebra.lowering.tt_to_tts.merges import Item, Plan
from vertebra.lowering.tt_to_tts.write import Writer, kind_of


def rebuild(op, plan: Plan, writer: Writer, rewrite_region) -> bool:
    """Replaces `op` by one that carries the plan's items too; its old shell stays, empty, until the end.

    rewrite_region: called with the number of each region once its contents are in place.
    Returns whether there is a shell to erase.
    """
    if not plan.results and not any(plan.leave) and not plan.enter:
        for i, region in enumerate(op.regions):
            if len(region.blocks):
                rewrite_region(i)
        return False

    def make(items: list[Item], at) -> list[ir.Value]:
        return [_make(item, writer, at) for item in items]

    passed = plan.leave[0]
    operands = [*op.operands, *make(plan.enter, op)]
    old_results = list(op.results)
    kinds = [v.type for v in old_results] + [_type(item, writer) for item in passed]
    new = ir.Operation.create(
        op.name,
        kinds,
        operands,
        {name: op.attributes[name] for name in op.attributes},
        regions=len(op.regions),
        loc=op.location,
        ip=ir.InsertionPoint(op),
    )
    for symbol, value in zip(plan.results, list(new.results)[len(old_results) :], strict=True):
        writer.bind(symbol, value)
    entering = [_type(item, writer) for item in plan.enter]
    for i, region in enumerate(op.regions):
        extra_kinds = entering if i == 0 else kinds[len(old_results) :]
        block = _move(region.blocks[0], new.regions[i], extra_kinds, plan.arguments[i], writer)
        rewrite_region(i)
        *_, last = block.operations
        extra = make(plan.leave[i], last)
        ir.Operation.create(
            last.operation.name, [], [*last.operands, *extra], loc=last.location, ip=ir.InsertionPoint(last)
        )
        last.operation.erase()
    for old, value in zip(old_results, new.results, strict=False):
        writer.replace(old, value)
    return True


def _move(block: ir.Block, region: ir.Region, kinds, symbols: list[Atom], writer: Writer) -> ir.Block:
    old = list(block.arguments)
    extra = kinds if symbols else []
    locations = [a.location for a in old] + [block.owner.location] * len(extra)
    target = region.blocks.append(*[a.type for a in old], *extra, arg_locs=locations)
    for before, after in zip(old, target.arguments, strict=False):
        writer.replace(before, after)
    for symbol, value in zip(symbols, list(target.arguments)[len(old) :], strict=True):
        writer.bind(symbol, value)
    for op in list(block.operations):
        target.append(op)
    return target


def _type(item: Item, writer: Writer) -> ir.Type:
    if isinstance(item, Atom):
        return writer.i64
    if isinstance(item, Form):
        return ir.RankedTensorType.get(list(item.shape), writer.i64)
    return writer.index


def _make(item: Item, writer: Writer, at) -> ir.Value:
    if isinstance(item, Atom):
        return writer.address(item, kind_of(item), at)
    if isinstance(item, Form):
        return writer.offsets(item, at, narrow=False)
    return writer.emit(item, at)
