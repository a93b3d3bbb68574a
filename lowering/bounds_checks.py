"""Checks, before every access to the memory of an argument, that it stays inside of the tensor's storage.

It looks at views of the kernel's arguments as the `linalg` stage has them: masks have become sizes
of views there, or branches around single accesses, so that what is checked is what is accessed.
Memory at an address that the kernel loads or computes from integers has no known extent and is not
checked.
"""

import re
from typing import NamedTuple

from vertebra.core.mlir import arith, ir, scf
from vertebra.lowering.service_calls import call_service, function_of, program_of, text_address
from vertebra.lowering.tt_to_func import BOUNDS

SERVICE = "vertebra_out_of_bounds"
_DYNAMIC = ir.ShapedType.get_dynamic_size()
# Operations that only make another view.
_VIEWS = ("memref.reinterpret_cast", "memref.subview", "memref.cast", "arith.select")
_ASKS = ("memref.extract_aligned_pointer_as_index", "memref.extract_strided_metadata", "memref.dim")
# Accesses of one element: name -> the place of the memref among the operands; the indices follow.
_SINGLE = {"memref.load": 0, "memref.store": 1, "memref.atomic_rmw": 1, "memref.generic_atomic_rmw": 0}
_READS = {"memref.copy": 1, "memref.load": 1}  # how many of the operands, from the first, are only read
_NAME = re.compile(r'loc\("([^"]+)"\(')


class _Argument(NamedTuple):
    """A pointer argument.  first, end: numbers of its storage's first element and of that behind its end."""

    name: str
    first: ir.Value
    end: ir.Value


class _View(NamedTuple):
    """Elements `offset` + sum of strides[d] * i_d of an argument's memory, 0 <= i_d < sizes[d].

    chosen: conditions under which it is this argument's memory.
    """

    argument: _Argument
    offset: ir.Value
    sizes: list
    strides: list
    chosen: tuple = ()


def check_bounds(module, core=None, options=None) -> None:
    """Adds the checks to every kernel of `module` that has the arguments for it (see `core/bounds.py`)."""
    if not options.bounds_check:
        return
    for function in module.body.operations:
        if BOUNDS in function.operation.attributes:
            _Checks(function.operation).run()


class _Checks:
    def __init__(self, function):
        self.function = function
        self.index = ir.IndexType.get()
        self.arguments: dict[ir.Value, _Argument] = {}

    def run(self) -> None:
        block = self.function.regions[0].blocks[0]
        accesses = self._accesses()
        places = [entry.value for entry in self.function.attributes[BOUNDS]]
        with ir.InsertionPoint.at_block_begin(block), self.function.location:
            for pointer, before in zip(places[::2], places[1::2], strict=True):
                self._add(pointer, *(block.arguments[before + i] for i in range(2)))
        for op, place, indices in accesses:
            with ir.InsertionPoint(op), op.location:
                for view in self._views(op.operands[place]):
                    self._check(op, place, view, indices)
        del self.function.attributes[BOUNDS]

    def _add(self, pointer: int, before: ir.Value, behind: ir.Value) -> None:
        argument = self.function.regions[0].blocks[0].arguments[pointer]
        size = self._constant(max(8, argument.type.element_type.width) // 8)
        first, end = (arith.divsi(arith.index_cast(self.index, n), size) for n in (before, behind))
        first = arith.subi(self._constant(0), first)
        name = _NAME.match(str(argument.location))
        self.arguments[argument] = _Argument(name[1] if name else f"argument {pointer}", first, end)

    def _accesses(self) -> list[tuple]:
        """(operation, place of a memref among its operands, its indices or None for the whole view)."""
        found = []

        def visit(op):
            if op.name in _SINGLE:
                place = _SINGLE[op.name]
                found.append((op, place, list(op.operands)[place + 1 :]))
            elif op.name not in (*_VIEWS, *_ASKS, "func.call", "scf.yield"):
                memrefs = [i for i, v in enumerate(op.operands) if isinstance(v.type, ir.MemRefType)]
                found.extend((op, place, None) for place in memrefs)
            return ir.WalkResult.ADVANCE

        self.function.walk(visit)
        return found

    def _views(self, value: ir.Value) -> list[_View]:
        """What `value` may be a view of, as operations before the insertion point; nothing that is local."""
        if value in self.arguments:
            return [_View(self.arguments[value], self._constant(0), [], [self._constant(1)])]
        op = None if isinstance(value.owner, ir.Block) else value.owner.operation
        name = op.name if op is not None else None
        if name == "memref.reinterpret_cast":
            offset, sizes, strides = self._parts(op)
            return [
                v._replace(offset=offset[0], sizes=sizes, strides=strides)
                for v in self._views(op.operands[0])
            ]
        if name == "memref.subview":
            return [self._subview(op, v) for v in self._views(op.operands[0])]
        if name == "memref.cast":
            return self._views(op.operands[0])
        if name == "arith.select":
            condition, *sides = op.operands
            otherwise = arith.xori(condition, arith.constant(condition.type, 1))
            return [
                v._replace(chosen=(*v.chosen, chosen))
                for side, chosen in zip(sides, (condition, otherwise), strict=True)
                for v in self._views(side)
            ]
        if name == "func.call" and isinstance(source := self._address_of(op.operands[0]), ir.Value):
            return self._views(source)
        return []

    def _address_of(self, value: ir.Value):
        """The memref whose address the integer `value` is, where nothing is added to it."""
        for name in ("arith.index_cast", "memref.extract_aligned_pointer_as_index"):
            if isinstance(value.owner, ir.Block) or value.owner.operation.name != name:
                return None
            value = value.owner.operation.operands[0]
        return value

    def _subview(self, op, source: _View) -> _View:
        offsets, sizes, steps = self._parts(op)
        offset = source.offset
        for start, stride in zip(offsets, source.strides, strict=True):
            offset = arith.addi(offset, arith.muli(start, stride))
        strides = [arith.muli(a, b) for a, b in zip(steps, source.strides, strict=True)]
        return source._replace(offset=offset, sizes=sizes, strides=strides)

    def _parts(self, op) -> list[list]:
        """offsets, sizes and strides of a view operation, as values."""
        dynamic = iter(list(op.operands)[1:])
        return [
            [next(dynamic) if n == _DYNAMIC else self._constant(n) for n in op.attributes[f"static_{field}"]]
            for field in ("offsets", "sizes", "strides")
        ]

    def _check(self, op, place: int, view: _View, indices) -> None:
        zero, one = self._constant(0), self._constant(1)
        low = high = view.offset
        inside = list(view.chosen)
        if indices is not None:
            for index, stride in zip(indices, view.strides, strict=True):
                low = high = arith.addi(low, arith.muli(index, stride))
        else:
            for size, stride in zip(view.sizes, view.strides, strict=True):
                reach = arith.muli(arith.subi(size, one), stride)
                low = arith.addi(low, arith.minsi(reach, zero))
                high = arith.addi(high, arith.maxsi(reach, zero))
                inside.append(arith.cmpi(arith.CmpIPredicate.sgt, size, zero))
        below = arith.cmpi(arith.CmpIPredicate.slt, low, view.argument.first)
        bad = arith.ori(below, arith.cmpi(arith.CmpIPredicate.sge, high, view.argument.end))
        for condition in inside:
            bad = arith.andi(bad, condition)
        element = arith.select(below, low, high)
        verb = "reads" if place < _READS.get(op.name, 0) else "accesses" if "atomic" in op.name else "writes"
        branch = scf.IfOp(bad)
        with ir.InsertionPoint(branch.then_block):
            i64 = ir.IntegerType.get_signless(64)
            numbers = (element, view.argument.first, view.argument.end)
            what = text_address(op, self._what(op, view, verb))
            operands = [what, *(arith.index_cast(i64, n) for n in numbers), *program_of(op)]
            call_service(op, SERVICE, operands)
            scf.YieldOp([])

    def _what(self, op, view: _View, verb: str) -> bytes:
        from vertebra.core.errors import kernel_of, place_of

        place = place_of(op.location) or f"kernel {kernel_of(function_of(op))}"
        return f"{place}: {verb} {view.argument.name} out of bounds:".encode() + b"\0"

    def _constant(self, number: int) -> ir.Value:
        return arith.constant(self.index, number)
