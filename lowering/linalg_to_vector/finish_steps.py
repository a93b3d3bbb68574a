"""The operations between a product's sums and their store, as steps that engines know."""

import math

import attrs

from vertebra.core.mlir import ir
from vertebra.lowering.linalg_to_vector.access import view_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.loads import Load
from vertebra.lowering.linalg_to_vector.operations import is_elementwise, is_tensor, producer
from vertebra.lowering.linalg_to_vector.whole_loads import tests_of

# Operation -> step.
_WITH_OPERAND = {
    "arith.addf": "add",
    "arith.mulf": "scale",
    "arith.maximumf": "max",
    "arith.minimumf": "min",
    "arith.maxnumf": "maxnum",
    "arith.minnumf": "minnum",
}
_ALONE = {
    "arith.sitofp": "convert",
    "math.floor": "floor",
    "math.ceil": "ceil",
    "math.trunc": "trunc",
    "math.roundeven": "round",
}
_ROUNDING = ("floor", "ceil", "trunc", "round")
_OF_CONSTANTS = ("maxnum", "minnum")
_NARROWING = ("arith.truncf", "arith.fptosi")


@attrs.frozen
class Step:
    """A step of `vertebra.core.target.Finish` before its operand has an address.

    value: None, a float, a scalar in f32, or a tensor: one whose rows are alike, or its columns, or one that
    is loaded.  line: "row" or "column" for the former, load: the load of the latter.
    """

    operation: str
    value: object = None
    load: Load | None = None
    line: str = ""

    @property
    def kind(self) -> str:
        """What the operand is: "", "number", "row", "column" or the type of a matrix."""
        if self.value is None:
            return ""
        if isinstance(self.value, float) or not is_tensor(self.value):
            return "number"
        return self.line or str(self.value.type.element_type)

    @property
    def name(self) -> str:
        return self.operation if self.kind in ("", "number") else f"{self.operation} {self.kind}"


def start_steps(scope: Scope, start) -> tuple[Step, ...] | None:
    """The steps that add matrix `start`, where the sums begin at zero instead; None for others."""
    if start is None:
        return ()
    if not isinstance(start.type.element_type, ir.F32Type):
        return None
    step = _with(scope, "add", start)
    return (step,) if step else None


def chain_and_steps(scope: Scope, sums) -> tuple[list, tuple[Step, ...], bool] | None:
    """(operations from `sums` to their store, with it; the steps; whether they transpose), or None.

    Steps first, then at most one narrowing, with transposes and a view of what is inside anywhere behind
    what is not the same in all places.
    """
    chain, steps, value, turned, narrow, sliced = [], [], sums, False, False, False
    while True:
        users = [use.owner.operation for use in value.uses]
        if not users or any(user != users[0] for user in users):
            return None
        op = users[0]
        chain.append(op)
        if op.name == "bufferization.materialize_in_destination":
            return chain, tuple(steps), turned
        if sliced or len(op.results) != 1:
            return None
        if op.name == "tensor.extract_slice":
            if op.results[0].type.has_static_shape:
                return None
            sliced = True
        elif op.name == "linalg.transpose" and op.operands[0] == value and value.type.rank == 2:
            turned = not turned
        elif op.name in _NARROWING and not narrow:
            narrow = True
            if op.name == "arith.fptosi":
                if not _holds(steps, op.results[0].type.element_type):
                    return None
                steps.append(Step("trunc"))
        else:
            step = None if narrow or not is_elementwise(op) else _step(scope, op, value, turned)
            if step is None:
                return None
            steps.append(step)
        (value,) = op.results


def _holds(steps: list[Step], element) -> bool:
    """Whether whole numbers of type `element` hold what comes out of `steps`."""
    bits, bounds = element.width, {}
    for step in reversed(steps):
        if step.operation in _OF_CONSTANTS:
            bounds.setdefault(step.operation, step.value)
        elif step.operation not in _ROUNDING:
            break
    if len(bounds) < len(_OF_CONSTANTS):
        return False
    low, high = bounds["maxnum"], bounds["minnum"]
    return -(1 << (bits - 1)) <= low <= high < 1 << (bits - 1)


def _step(scope: Scope, op, value, turned: bool) -> Step | None:
    if op.name in _ALONE:
        if op.name == "arith.sitofp" and not isinstance(op.results[0].type.element_type, ir.F32Type):
            return None
        return Step(_ALONE[op.name])
    if op.name == "arith.subf" and op.operands[0] == value:
        number = number_of(op.operands[1])
        return Step("add", -number) if isinstance(number, float) else None
    name, others = _WITH_OPERAND.get(op.name), [v for v in op.operands if v != value]
    if name is None or len(others) != 1 or not isinstance(value.type.element_type, ir.F32Type):
        return None
    return _with(scope, name, others[0], turned)


def _with(scope: Scope, name: str, other, turned: bool = False) -> Step | None:
    """The step with tensor `other`."""
    number = number_of(other)
    if number is not None:
        constant = isinstance(number, float)
        if name == "maxnum" and number == 0:
            return Step("relu")
        # An engine may take a constant NaN, or another zero, for what it is not.
        if name in _OF_CONSTANTS and (not constant or math.isnan(number) or str(number) == "-0.0"):
            return None
        return Step(name, number)
    if turned or name not in ("add", "scale"):
        return None
    for line, found in (("row", is_row), ("column", is_column)):
        if found(other):
            return Step(name, other, line=line)
    op = producer(other)
    if op is not None and op.name == "arith.extf":
        other = op.operands[0]
        op = producer(other)
    load = scope.plan.load_of(op) if op is not None and op.name == "bufferization.to_tensor" else None
    if load is None or (load.other is not None and tests_of(load) is None):
        return None
    return Step(name, other, load) if view_of(scope.builder(1), load.view) is not None else None


def number_of(value):
    """What every element of tensor `value` is: a float, or a scalar value in f32; None if not known."""
    op = producer(value)
    if op is None:
        return None
    if op.name == "arith.constant":
        attribute = op.attributes["value"]
        if not isinstance(attribute, ir.DenseElementsAttr) or not attribute.is_splat:
            return None
        splat = attribute.get_splat_value()
        return splat.value if isinstance(splat, ir.FloatAttr) else None
    if op.name in ("tensor.splat", "linalg.fill"):
        scalar = op.operands[0]
        made = producer(scalar)
        if made is not None and made.name == "arith.constant":
            return ir.FloatAttr(made.attributes["value"]).value
        return scalar if isinstance(scalar.type, ir.F32Type) else None
    return None


def is_row(value) -> bool:
    """Whether all rows of matrix `value` are known to be alike."""
    return _alike(value, "(0, d1)")


def is_column(value) -> bool:
    """Whether all columns of matrix `value` are known to be alike."""
    return _alike(value, "(d0, 0)")


def _alike(value, where: str) -> bool:
    """Whether `value` is made of lines of numbers that are spread as `where` says."""
    op = producer(value)
    if op is None:
        return False
    if op.name == "arith.constant":
        attribute = op.attributes["value"]
        return isinstance(attribute, ir.DenseElementsAttr) and attribute.is_splat
    if op.name in ("tensor.splat", "linalg.fill"):
        return True
    if is_elementwise(op):
        return all(_alike(v, where) for v in op.operands)
    if op.name != "linalg.generic" or len(op.operands) != 2:
        return False
    maps = [str(attribute.value) for attribute in op.attributes["indexing_maps"]]
    body = [o.name for o in op.regions[0].blocks[0].operations]
    return body == ["linalg.yield"] and maps == [f"(d0, d1) -> {where}", "(d0, d1) -> (d0, d1)"]
