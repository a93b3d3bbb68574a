"""Matrix products on an engine: operands in panels, sums in panels, one kernel per pair of them.

The panels lie in buffers of the program (see `vertebra.core.target.PanelKernel` for their layout).
Sums that travel round a loop stay in their panels from before the loop until after it.
"""

import contextlib
import functools

from vertebra.core.mlir import ir
from vertebra.core.target import Mode, PanelKernel
from vertebra.lowering.kernel_entry import MODE
from vertebra.lowering.linalg_to_vector import panel_moves
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.carried_products import PRODUCT, Carried, Link, carried_sums, is_zero
from vertebra.lowering.linalg_to_vector.elementwise import Scope
from vertebra.lowering.linalg_to_vector.finishes import Ending, Finisher, ending_of, finish_where_allowed
from vertebra.lowering.linalg_to_vector.lanes import Uniform, create
from vertebra.lowering.linalg_to_vector.loops import loop, nest
from vertebra.lowering.linalg_to_vector.panel_forms import Form, forms_of
from vertebra.lowering.linalg_to_vector.panel_jobs import Job, job_of
from vertebra.lowering.linalg_to_vector.panel_operands import (
    Side,
    bits_of,
    pack,
)
from vertebra.lowering.linalg_to_vector.panel_places import place
from vertebra.lowering.linalg_to_vector.panel_relayouts import Relayout, relayouts
from vertebra.lowering.linalg_to_vector.panel_row import RowSums, multiply_row, takes_row
from vertebra.lowering.linalg_to_vector.panel_sums import Sums
from vertebra.lowering.parallel_loops import PARALLEL, defined_inside, parallel_loops
from vertebra.lowering.service_calls import FAIL, call_service, program_of, text_address


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
        self._forms: dict = {}  # likewise -> Form
        self._replaced: set = set()  # results of the other operations of forms
        self._zero: set = set()  # results of products whose sums begin at zero
        self._relayouts: dict = {}  # result of a product -> Relayout
        self.buffers: dict = {}  # what a loop makes of carried sums -> their panels
        self._calls: list = []
        if not kernels:
            return
        products = _products(block)
        for form in forms_of(kernels, products):
            self._forms[form.result] = form
            self._kernels[form.result] = form.kernel
            self._replaced |= {op.results[0] for op in form.operations[:-1]}
        plain = tuple(kernel for kernel in kernels if kernel.form == "plain")
        links = [Link(form.last, form.acc, form.result) for form in self._forms.values()]
        chosen = {}
        for op in products:
            (result,) = op.results
            if result not in self._replaced and result not in self._forms and self._choose(plain, op):
                links.append(Link(op, op.operands[2], result))
                chosen[result] = self._kernels[result]
        # Later on, a start of zeros may be in a buffer.
        self._zero = {link.result for link in links if is_zero(link.start)}
        self._relayouts = relayouts(chosen)
        for link in links:
            if (ready := self._relayouts.get(link.result)) and ready.carried:
                self._carried[link.result] = ready.carried
                continue
            rank = link.result.type.rank
            if rank == 2 and self._keeps(link) and (way := carried_sums(link, links, self._alike)):
                self._carried[link.result] = way

    def _choose(self, kernels: tuple[PanelKernel, ...], op) -> bool:
        job = job_of(kernels, op)
        if job is None:
            return False
        op.operands[0], op.operands[1] = job.a, job.b
        self._kernels[op.results[0]] = job.kernel
        return True

    def _keeps(self, link: Link) -> bool:
        """Whether nothing is lost or gained where sums stay in the type of their kernel."""
        element = link.result.type.element_type
        return str(element) == self._kernels[link.result].acc or isinstance(element, ir.IntegerType)

    def _alike(self, link: Link, other: Link) -> bool:
        """Whether two links of equal shape have their sums in the same places."""
        one, two = (self._kernels[x.result] for x in (link, other))
        m, n = shape_of(link.result)
        if {link.result, other.result} & set(self._relayouts):
            return False
        if shape_of(other.result) != [m, n] or (m == 1 and "plain" in (one.form, two.form)):
            return False
        layouts = {
            (k.acc, k.tile[:2], k.blocking(-(-m // k.tile[0]), -(-n // k.tile[1]))) for k in (one, two)
        }
        return len(layouts) == 1

    def form(self, op) -> Form | None:
        """What `op` is the last operation of, where it is no plain product."""
        return self._forms.get(op.results[0]) if len(op.results) == 1 else None

    def replaces(self, op) -> bool:
        """Whether `op` is computed together with an operation further down."""
        return len(op.results) == 1 and op.results[0] in self._replaced

    def job(self, op) -> Job | None:
        """How `op` is computed; None where no kernel fits."""
        kernel = self._kernels.get(op.results[0])
        return Job(kernel, op.operands[0], op.operands[1]) if kernel else None

    def relayout(self, op) -> Relayout | None:
        """What of product `op` is in panels already, or stays there."""
        return self._relayouts.get(op.results[0])

    def begins_at_zero(self, result) -> bool:
        """Whether the sums that end in `result` begin at zero."""
        return result in self._zero

    def carried(self, op) -> Carried | None:
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
            if mode.failures:
                self._set_mode_of_program(func, mode)
                return
            texts = [ir.StringAttr.get(text) for text in (mode.enter, mode.leave)]
            func.attributes[MODE] = ir.ArrayAttr.get(texts)
            return
        self._set_mode_of_loops()

    def _set_mode_of_loops(self) -> None:
        for mode, op in self._calls:
            if mode is not None:
                with ir.InsertionPoint(op), op.location:
                    state = _enter(op, mode)
                with _after(op), op.location:
                    _leave(state, mode)

    def _set_mode_of_program(self, func, mode: Mode) -> None:
        """From a program's begin to its end; round each loop where programs may end elsewhere."""
        found = _operations(func)
        ends = [op for op in found if op.name == "func.return"]
        # A service may end the program, or let others run meanwhile.
        if len(ends) != 1 or any(op.name == "func.call" for op in found):
            self._set_mode_of_loops()
            return
        with ir.InsertionPoint.at_block_begin(func.regions[0].blocks[0]), func.location:
            state = _enter(func.regions[0].blocks[0].operations[0], mode)
        with ir.InsertionPoint(ends[0]), ends[0].location:
            _leave(state, mode)


def _operations(func) -> list:
    found = []

    def visit(op):
        found.append(op.operation)
        return ir.WalkResult.ADVANCE

    func.walk(visit)
    return found


def _enter(op, mode: Mode):
    """Enters `mode` at the insertion point; returns the old state."""
    i64 = ir.IntegerType.get_signless(64)
    state = _assembly([i64], [], mode.enter, "=r,~{memory}").result
    for number, failure in enumerate(mode.failures, 1):
        code = create("arith.constant", i64, [], {"value": ir.IntegerAttr.get(i64, number)})
        equal = {"predicate": ir.IntegerAttr.get(i64, 0)}
        failed = create("arith.cmpi", ir.IntegerType.get_signless(1), [state, code], equal)
        branch = ir.Operation.create("scf.if", [], [failed], regions=2)
        with ir.InsertionPoint(branch.regions[0].blocks.append()):
            call_service(op, FAIL, [text_address(op, failure.encode() + b"\0"), *program_of(op)])
            ir.Operation.create("scf.yield", [], [])
    return state


def _leave(state, mode: Mode) -> None:
    _assembly([], [state], mode.leave, "r,~{memory}")


def _assembly(results: list, operands: list, text: str, constraints: str):
    attributes = {
        "asm_string": ir.StringAttr.get(text),
        "constraints": ir.StringAttr.get(constraints),
        "has_side_effects": ir.UnitAttr.get(),
    }
    return ir.Operation.create("llvm.inline_asm", results, operands, attributes)


def product(scope: Scope, op):
    """A linalg product on an engine: what replaces its result, or None where no kernel fits."""
    job = scope.engine.job(op) if scope.engine else None
    if job is None:
        return None
    acc = op.operands[2]
    *batch, m, n = shape_of(acc)
    ready = scope.engine.relayout(op)
    multiply, sums = _multiply, Sums(scope, job.kernel, m, n, ready and ready.grid.tiles)
    if takes_row(scope, job.kernel, job.b, m):
        multiply, sums = multiply_row, RowSums(scope, job.kernel, n)
    depth = shape_of(job.b)[-2]
    if way := scope.engine.carried(op):
        if way.result not in scope.engine.buffers:
            kept = ready and ready.sums
            scope.engine.buffers[way.result] = panels_around(sums, way, acc.type.element_type, kept)
        multiply(scope, op, job, sums, scope.engine.buffers[way.result], [], depth, zero=False)
        return acc
    zero = scope.engine.begins_at_zero(op.results[0])
    if ready and ready.sums:
        if not zero:
            sums.pack(ready.sums, acc, [])
        multiply(scope, op, job, sums, ready.sums, [], depth, zero=zero)
        return acc
    ending = None if batch or multiply is multiply_row else ending_of(scope, op, job.kernel, sums, zero)
    buffer = sums.allocate()
    result = sums.result(batch, acc.type.element_type)
    if ending is not None:
        _multiply_to_the_end(scope, op, job, sums, buffer, result, ending, zero=zero)
        return tensor_of(result)

    def matrices(prefix: list, _carried: list) -> list:
        if not zero:
            sums.pack(buffer, acc, prefix)
        multiply(scope, op, job, sums, buffer, prefix, depth, zero=zero)
        sums.unpack(buffer, result, prefix)
        return []

    nest(scope.builder(1), batch, [], matrices)
    return tensor_of(result)


def panels_around(sums: Sums, way: Carried, element, buffer=None):
    """A buffer for carried sums: filled in front of the loop, and behind it in the loop's result."""
    with ir.InsertionPoint(way.loop):
        buffer = buffer or sums.allocate()
        sums.clear(buffer) if way.zero else sums.pack(buffer, way.start, [])
    with _after(way.loop):
        tensor = tensor_of(sums.unpack(buffer, sums.result([], element), []))
    for use in list(way.result.uses):
        use.owner.operation.operands[use.operand_number] = tensor
    return buffer


def _after(op):
    following = list(op.block.operations)
    place = next(i for i, o in enumerate(following) if o.operation == op)
    return ir.InsertionPoint(following[place + 1])


def tensor_of(buffer):
    type = ir.RankedTensorType.get(buffer.type.shape, buffer.type.element_type)
    attributes = {"restrict": ir.UnitAttr.get(), "writable": ir.UnitAttr.get()}
    return create("bufferization.to_tensor", type, [buffer], attributes)


def _multiply(
    scope: Scope, op, job: Job, sums: Sums, buffer, prefix: list, depth: int, *, zero: bool
) -> None:
    panels = _panels_of(scope, op, job, sums, prefix)
    _multiply_panels(scope, job, sums, buffer, panels, depth, zero=zero)


def _panels_of(scope: Scope, op, job: Job, sums: Sums, prefix: list) -> list:
    """Both operands, ready for the engine."""
    m, n, k = job.kernel.tile
    a = Side(scope, job.a, prefix, -2, m, k, sums.down, bits_of(job.kernel.a))
    b = Side(scope, job.b, prefix, -1, n, k, sums.across, bits_of(job.kernel.b))
    panels = []
    faster = functools.partial(panel_moves.turn, job.kernel.moves)
    ready = scope.engine.relayout(op)
    for side in (a, b):
        if side is a and ready and ready.left:
            panels.append(ready.left.store(scope))
            continue
        with as_early_as_possible(op, side.value):
            panels.append(place(side) if job.kernel.strided else pack(side, fill=faster))
    return panels


def _multiply_to_the_end(
    scope: Scope, op, job: Job, sums: Sums, buffer, result, ending: Ending, *, zero: bool
) -> None:
    """Finishes the sums on the engine where that may be, else leaves them in `result`."""
    depth, b = shape_of(job.b)[-2], scope.builder(1)
    panels = _panels_of(scope, op, job, sums, [])
    branch = ir.Operation.create("scf.if", [], [finish_where_allowed(b, ending, panels)], regions=2)
    with ir.InsertionPoint(branch.regions[0].blocks.append()):
        finisher = Finisher(scope, ending, job.kernel.tile[:2])
        _multiply_panels(scope, job, sums, buffer, panels, depth, zero=True, finisher=finisher)
        ir.Operation.create("scf.yield", [], [])
    with ir.InsertionPoint(branch.regions[1].blocks.append()):
        if not zero:
            sums.pack(buffer, op.operands[2], [])
        _multiply_panels(scope, job, sums, buffer, panels, depth, zero=zero)
        sums.unpack(buffer, result, [])
        ir.Operation.create("scf.yield", [], [])


def _multiply_panels(
    scope: Scope, job: Job, sums: Sums, buffer, panels: list, depth: int, *, zero: bool, finisher=None
) -> None:
    """Pair by pair; the sums go into `buffer`, or to where `finisher` says."""
    steps, base = -(-depth // job.kernel.tile[2]), scope.builder(1)

    def strip(q: Uniform, columns: int) -> None:
        def pair(p: Uniform, rows: int) -> None:
            at = [x.operand(base, first) for x, first in zip(panels, (p, q), strict=True)]
            at.append(None if finisher else sums.address(base, buffer, p, rows, q))
            sizes = {"rows": rows, "columns": columns, "steps": steps, "zero": zero}
            if finisher:
                sizes["finish"] = finisher.panel(base, p, q)
            scope.engine.call(job.kernel.mode, job.kernel.emit, *at, **sizes)

        over_panels(scope, sums.down, pair)

    over_panels(scope, sums.across, strip)


def as_early_as_possible(op, value):
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
