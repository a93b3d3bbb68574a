"""Matrix products on an engine: operands in panels, sums in panels, one kernel per pair of them.

The panels lie in buffers of the program (see `vertebra.core.target.PanelKernel` for their layout).
Sums that travel round a loop stay in their panels from before the loop until after it.
"""

import contextlib

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import Mode, PanelKernel
from vertebra.lowering.kernel_entry import MODE
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.carried_products import PRODUCT, Carried, carried_sums, is_zero
from vertebra.lowering.linalg_to_vector.element_range import element_range
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.lanes import Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, nest
from vertebra.lowering.linalg_to_vector.micro_kernel import computing_type
from vertebra.lowering.linalg_to_vector.panel_operands import Side, bits_of, pack
from vertebra.lowering.linalg_to_vector.panel_row import RowSums, multiply_row, takes_row
from vertebra.lowering.linalg_to_vector.panel_sums import Sums
from vertebra.lowering.linalg_to_vector.plan import producer
from vertebra.lowering.parallel_loops import PARALLEL, defined_inside, parallel_loops

_BYTE = 8
_EXTENSIONS = {"arith.extsi": "signed", "arith.extui": "unsigned", "arith.extf": "float"}


def _products(block) -> list:
    found = []

    def visit(op):
        if op.name in ("linalg.matmul", "linalg.batch_matmul"):
            found.append(op.operation)
        return ir.WalkResult.ADVANCE

    for op in block.operations:
        op.operation.walk(visit)
    return found


class Engine:
    """A core's kernels, and what is known of a function's products before anything is lowered.

    Takes extensions of operands to wider types off the products that a kernel computes.
    """

    def __init__(self, kernels: tuple[PanelKernel, ...], block):
        self._kernels: dict = {}  # result of a product -> what computes it
        self._carried: dict = {}  # likewise -> Carried
        self.buffers: dict = {}  # what a loop makes of carried sums -> their panels
        self._calls: list = []
        if not kernels:
            return
        chosen = [op for op in _products(block) if self._choose(kernels, op)]
        for op in chosen:
            (result,) = op.results
            if self._keeps(op) and (way := carried_sums(op, self._alike)):
                self._carried[result] = way

    def _choose(self, kernels: tuple[PanelKernel, ...], op) -> bool:
        job = job_of(kernels, op)
        if job is None:
            return False
        op.operands[0], op.operands[1] = job.a, job.b
        self._kernels[op.results[0]] = job.kernel
        return True

    def _keeps(self, op) -> bool:
        """Whether nothing is lost or gained where sums of `op` stay in the type of its kernel."""
        element = op.results[0].type.element_type
        return str(element) == self._kernels[op.results[0]].acc or isinstance(element, ir.IntegerType)

    def _alike(self, op, other) -> bool:
        """Whether two products of equal shape have their sums in the same places."""
        one, two = (self._kernels.get(x.results[0]) for x in (op, other))
        m, n = shape_of(op.results[0])
        if two is None or m == 1:
            return False
        layouts = {
            (k.acc, k.tile[:2], k.blocking(-(-m // k.tile[0]), -(-n // k.tile[1]))) for k in (one, two)
        }
        return len(layouts) == 1

    def job(self, op) -> "Job | None":
        """How `op` is computed; None where no kernel fits."""
        kernel = self._kernels.get(op.results[0])
        return Job(kernel, op.operands[0], op.operands[1]) if kernel else None

    def carried(self, op) -> "Carried | None":
        return self._carried.get(op.results[0])

    def call(self, mode: Mode | None, emit, *operands, **sizes) -> None:
        """Emits a loop of a kernel of `mode`."""
        self._calls.append((mode, emit(*operands, **sizes)))

    def set_modes(self, func) -> None:
        """Lets `func` run in the mode that its loops need, or each loop where they differ."""
        modes = {mode for mode, _ in self._calls}
        if modes == {None} or not modes:
            return
        # The bodies of parallel loops run on other processors too.
        if len(modes) == 1 and "vertebra.kernel" in func.attributes and not parallel_loops(func):
            (mode,) = modes
            texts = [ir.StringAttr.get(text) for text in (mode.enter, mode.leave)]
            func.attributes[MODE] = ir.ArrayAttr.get(texts)
            return
        for mode, op in self._calls:
            if mode is not None:
                _surround(op, mode)


def _surround(op, mode: Mode) -> None:
    """Enters `mode` in front of `op`, and leaves it behind it."""
    i64 = ir.IntegerType.get_signless(64)
    with ir.InsertionPoint(op), op.location:
        state = _assembly([i64], [], mode.enter, "=r,~{memory}").result
    with _after(op), op.location:
        _assembly([], [state], mode.leave, "r,~{memory}")


def _assembly(results: list, operands: list, text: str, constraints: str):
    attributes = {
        "asm_string": ir.StringAttr.get(text),
        "constraints": ir.StringAttr.get(constraints),
        "has_side_effects": ir.UnitAttr.get(),
    }
    return ir.Operation.create("llvm.inline_asm", results, operands, attributes)


@attrs.frozen
class Job:
    """A product that an engine takes.  a, b: operands in the kernel's own types."""

    kernel: PanelKernel
    a: object
    b: object


def job_of(kernels: tuple[PanelKernel, ...], op) -> Job | None:
    """The first kernel that computes `op` exactly, on operands as narrow as it takes them."""
    a, b, acc = op.operands
    type = str(computing_type(acc.type.element_type))
    cast = "unsigned" if "cast" in op.attributes and "unsigned" in str(op.attributes["cast"]) else "signed"
    for kernel in kernels:
        if kernel.acc != type:
            continue
        left, right = _as_kind(a, cast, kernel.a), _as_kind(b, cast, kernel.b)
        if left is not None and right is not None:
            return Job(kernel, left, right)
    return None


def _as_kind(value, cast: str, kind: str):
    """The tensor of elements of `kind` whose extension is `value`; None without one.

    Elements of fewer than 8 bits are held in bytes.
    """
    op, sign, unsigned = producer(value), cast, kind.startswith("u")
    bits = bits_of(kind)
    held = kind.removeprefix("u") if bits >= _BYTE else f"i{_BYTE}"
    if str(value.type.element_type) != held and op is not None and op.name in _EXTENSIONS:
        value, sign = op.operands[0], _EXTENSIONS[op.name]
    element = value.type.element_type
    if str(element) != held:
        return None
    if isinstance(element, ir.FloatType):
        return value
    if bits >= _BYTE:
        return value if (sign == "unsigned") == unsigned else None
    low, high = element_range(value)
    if unsigned:
        return value if low >= 0 and high < 1 << bits else None
    half = 1 << (bits - 1)
    return value if sign == "signed" and -half <= low and high < half else None


def product(scope: Scope, op):
    """A linalg product on an engine: what replaces its result, or None where no kernel fits."""
    job = scope.engine.job(op) if scope.engine else None
    if job is None:
        return None
    acc = op.operands[2]
    *batch, m, n = shape_of(acc)
    multiply, sums = _multiply, Sums(scope, job.kernel, m, n)
    if takes_row(scope, job.kernel, job.b, m):
        multiply, sums = multiply_row, RowSums(scope, job.kernel, n)
    depth = shape_of(job.a)[-1]
    if way := scope.engine.carried(op):
        if way.result not in scope.engine.buffers:
            scope.engine.buffers[way.result] = _around(sums, way, acc.type.element_type)
        multiply(scope, op, job, sums, scope.engine.buffers[way.result], [], depth, zero=False)
        return acc
    zero = is_zero(acc)
    buffer = sums.allocate()
    result = sums.result(batch, acc.type.element_type)

    def matrices(prefix: list, _carried: list) -> list:
        if not zero:
            sums.pack(buffer, acc, prefix)
        multiply(scope, op, job, sums, buffer, prefix, depth, zero=zero)
        sums.unpack(buffer, result, prefix)
        return []

    nest(scope.builder(1), batch, [], matrices)
    return _tensor(result)


def _around(sums: Sums, way: Carried, element):
    """A buffer for carried sums: filled in front of the loop, and behind it in the loop's result."""
    with ir.InsertionPoint(way.loop):
        buffer = sums.allocate()
        sums.clear(buffer) if way.zero else sums.pack(buffer, way.start, [])
    with _after(way.loop):
        tensor = _tensor(sums.unpack(buffer, sums.result([], element), []))
    for use in list(way.result.uses):
        use.owner.operation.operands[use.operand_number] = tensor
    return buffer


def _after(op):
    following = list(op.block.operations)
    place = next(i for i, o in enumerate(following) if o.operation == op)
    return ir.InsertionPoint(following[place + 1])


def _tensor(buffer):
    type = ir.RankedTensorType.get(buffer.type.shape, buffer.type.element_type)
    attributes = {"restrict": ir.UnitAttr.get(), "writable": ir.UnitAttr.get()}
    return create("bufferization.to_tensor", type, [buffer], attributes)


def _multiply(
    scope: Scope, op, job: Job, sums: Sums, buffer, prefix: list, depth: int, *, zero: bool
) -> None:
    m, n, k = job.kernel.tile
    steps = -(-depth // k)
    a = Side(scope, job.a, prefix, -2, m, k, sums.down, bits_of(job.kernel.a))
    b = Side(scope, job.b, prefix, -1, n, k, sums.across, bits_of(job.kernel.b))
    panels = []
    for side in (a, b):
        with _as_early_as_possible(op, side.value):
            panels.append(pack(side))
    base = scope.builder(1)

    def strip(q: Uniform, columns: int) -> None:
        def pair(p: Uniform, rows: int) -> None:
            at = [
                panels[0].address(base, p),
                panels[1].address(base, q),
                sums.address(base, buffer, p, rows, q),
            ]
            scope.engine.call(
                job.kernel.mode, job.kernel.emit, *at, rows=rows, columns=columns, steps=steps, zero=zero
            )

        over_panels(scope, sums.down, pair)

    over_panels(scope, sums.across, strip)


def _as_early_as_possible(op, value):
    """In front of the outermost loop around `op` in which `value` is the same in every turn, or here."""
    place, around = None, op.block.owner
    while op.name == PRODUCT and around is not None and around.name == "scf.for":
        if PARALLEL in around.attributes or defined_inside(value, around):
            break
        place, around = around, around.operation.block.owner
    return ir.InsertionPoint(place) if place else contextlib.nullcontext()


def over_panels(scope: Scope, runs: list, body) -> None:
    """body(first tile, tiles) for every panel of `runs`, (start, stop, size) each."""
    for start, stop, size in runs:

        def turn(at: Uniform, _carried: list, size=size) -> list:
            body(at, size)
            return []

        loop(scope.builder(1), start, stop, size, [], turn)
