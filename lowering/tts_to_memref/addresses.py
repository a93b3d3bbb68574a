"""Scalar pointers as flat memrefs and offsets, and tensors of pointers as strided or looked-up addresses."""

from typing import NamedTuple

from vertebra.core.errors import CompileError
from vertebra.core.mlir import ir
from vertebra.dialects.tts import mixed
from vertebra.lowering.tt_to_tts import types
from vertebra.lowering.tt_to_tts.expr import Expr
from vertebra.lowering.tts_to_memref.build import DYNAMIC, Builder


class Addresses(NamedTuple):
    """Elements of a flat memref: at (i0, i1, ...) the one with number offset + the sum over d of

    strides[d] * i_d, or strides[d] * lookup[i_d] where d is `dim`, or
    (starts[d] + strides[d] * i_d) rem wraps[d] where wraps[d] is not 0.

    origin, array: of blocks, the position of the first element in the array and the array's sizes.
    scattered: a tensor of offsets, of any shape, instead of all but `offset`.
    """

    memref: ir.Value
    offset: Expr
    shape: list[int]
    strides: list[Expr] = []
    starts: list[Expr] = []
    wraps: list[Expr] = []
    dim: int | None = None
    lookup: ir.Value | None = None
    origin: list[Expr] | None = None
    array: list[Expr] | None = None
    scattered: ir.Value | None = None


class Pointers:
    """Finds out where pointers lead."""

    def __init__(self, build: Builder):
        self.build, self.table = build, build.table
        self._bases: dict[ir.Value, tuple[ir.Value, Expr]] = {}

    def base(self, pointer: ir.Value) -> tuple[ir.Value, Expr]:
        """The flat memref and the number of the element in it that a scalar pointer leads to."""
        if pointer not in self._bases:
            self._bases[pointer] = self._base(pointer)
        return self._bases[pointer]

    def _base(self, pointer: ir.Value) -> tuple[ir.Value, Expr]:
        owner = pointer.owner
        if isinstance(owner, ir.Block):
            first = owner.operations[0]
            return self._cast(pointer, first), 0
        op = owner.operation
        if op.name == "tt.addptr":
            memref, offset = self.base(op.operands[0])
            return memref, offset + self.table.value(op.operands[1])
        element = storage(pointer.type)
        if op.name == "tt.int_to_ptr":
            return self.build.view_of_address(op.operands[0], element, op), 0
        if op.name == "tt.bitcast":
            source = op.operands[0]
            if storage(source.type) == element:
                return self.base(source)
            return self.build.view_of_address(self.address(source, op), element, op), 0
        return self._cast(pointer, _after(op)), 0

    def _cast(self, pointer: ir.Value, at) -> ir.Value:
        kind = ir.MemRefType.get([DYNAMIC], storage(pointer.type))
        return self.build.op("builtin.unrealized_conversion_cast", [kind], [pointer], at).result

    def address(self, pointer: ir.Value, at) -> ir.Value:
        """The address that a scalar pointer holds, as an i64."""
        build, i64 = self.build, self.build.emitter.i64
        owner = pointer.owner
        if not isinstance(owner, ir.Block) and owner.operation.name == "tt.int_to_ptr":
            return owner.operation.operands[0]
        memref, offset = self.base(pointer)
        start = build.op("memref.extract_aligned_pointer_as_index", [build.index], [memref], at).result
        total = self.table.value(start) + offset * types.element_bytes(pointer.type)
        return build.op("arith.index_cast", [i64], [build.emit(total, at)], at).result

    def elements(self, pointer: ir.Value) -> Addresses:
        """Where a tensor of pointers, or a pointer to a block, leads."""
        owner = pointer.owner
        op = None if isinstance(owner, ir.Block) else owner.operation
        name = op.name if op is not None else None
        if name == "tts.make_tptr":
            return self._strided(op)
        if name == "tts.make_gather_scatter_tptr":
            return self._looked_up(op)
        if name == "tt.addptr":
            splat = op.operands[0].owner
            if not isinstance(splat, ir.Block) and splat.operation.name == "tt.splat":
                return self.scattered(splat.operation.operands[0], op.operands[1])
        raise CompileError(
            f"nothing is known of {pointer.type}",
            at=op if op is not None else pointer.location,
            fix="run tt-to-tts first",
        )

    def scattered(self, pointer: ir.Value, offsets: ir.Value) -> Addresses:
        """Elements at a tensor of offsets from a scalar pointer."""
        memref, offset = self.base(pointer)
        return Addresses(memref, offset, list(offsets.type.shape), scattered=offsets)

    def _entries(self, op, field: str) -> list[Expr]:
        return [e if isinstance(e, int) else self.table.value(e) for e in mixed(op.opview, field)]

    def _strided(self, op) -> Addresses:
        view = op.opview
        memref, offset = self.base(view.base)
        strides, starts = self._entries(op, "strides"), self._entries(op, "offsets")
        sizes = self._entries(op, "shape")
        shape = list(view.sizes)
        if not len(view.order):
            for start, wrap in zip(starts, sizes, strict=True):
                offset = offset + (start if _is_zero(wrap) else 0)
            return Addresses(memref, offset, shape, strides, starts, sizes)
        for start in starts:
            offset = offset + start
        if view.static_originalOffsets is not None:
            origin = self._entries(op, "originalOffsets")
        else:
            # Offsets are multiples of the strides.
            origin = [
                self.table.apply("div", o, self._nonzero(s)) for o, s in zip(starts, strides, strict=True)
            ]
        none = [0] * len(shape)
        return Addresses(memref, offset, shape, strides, none, none, origin=origin, array=sizes)

    def _nonzero(self, expr: Expr) -> Expr:
        return self.table.select(self.table.compare("eq", expr, 0), 1, expr)

    def _looked_up(self, op) -> Addresses:
        view = op.opview
        memref, offset = self.base(view.base)
        if view.gather_scatter_mask is not None:
            raise CompileError(
                "a gather with a mask of its own", at=op, fix="use the mask of the load or store"
            )
        for start in self._entries(op, "offsets"):
            offset = offset + start
        shape = list(view.sizes)
        none = [0] * len(shape)
        return Addresses(
            memref,
            offset,
            shape,
            self._entries(op, "strides"),
            none,
            none,
            view.gather_scatter_dim.value,
            view.gather_scatter_offset,
        )


def storage(kind: ir.Type) -> ir.Type:
    """The element type of the memref for a pointer of type `kind`: what it points to, pointers as i64."""
    element = types.element_of(kind)
    return ir.IntegerType.get_signless(64) if types.is_pointer(element) else element


def _is_zero(expr: Expr) -> bool:
    return isinstance(expr, int) and expr == 0


def _after(op):
    """The operation that follows `op`."""
    found = False
    for view in op.block.operations:
        if found:
            return view.operation
        found = view.operation == op
    raise AssertionError("a block ends in a terminator")
