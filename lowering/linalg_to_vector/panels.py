"""What is known of a function's matrix products on an engine, and the mode in which its loops run."""

from vertebra.core.mlir import ir
from vertebra.core.target import Mode, PanelKernel
from vertebra.lowering.kernel_entry import ENGINE, MODE
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.carried_products import Carried, Link, carried_sums, is_zero
from vertebra.lowering.linalg_to_vector.finish_steps import is_row
from vertebra.lowering.linalg_to_vector.lanes import create
from vertebra.lowering.linalg_to_vector.panel_forms import Form, forms_of
from vertebra.lowering.linalg_to_vector.panel_frame import after
from vertebra.lowering.linalg_to_vector.panel_jobs import Job, job_of
from vertebra.lowering.linalg_to_vector.panel_relayouts import Relayout, relayouts
from vertebra.lowering.linalg_to_vector.panel_turns import at_once
from vertebra.lowering.parallel_loops import parallel_loops
from vertebra.lowering.service_calls import FAIL_AS, call_service, program_of, text_address


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
        self.gatherings: dict = {}  # likewise -> Gathering
        self.rows: dict = {}  # likewise -> a tensor whose rows are alike, at which they begin
        self._at_once: set = set()  # results of products that wait for the last turn of their loop
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
        plain_ways = {r: way for r, way in self._carried.items() if r not in self._relayouts}
        self._at_once = at_once(links, plain_ways, self._kernels)
        self._take_rows()

    def _take_rows(self) -> None:
        """Remembers the rows at which sums in an engine begin: nobody puts them into memory."""
        for way in {way.result: way for r, way in self._carried.items() if r in self._at_once}.values():
            if not way.zero and is_row(way.start):
                self.rows[way.result] = way.start
                with ir.InsertionPoint(way.loop), way.loop.location:
                    empty = create("tensor.empty", way.start.type, [])
                way.loop.operands[3 + way.number] = empty

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

    def waits(self, op) -> bool:
        """Whether product `op` is multiplied in the last turn of the loop that it is in."""
        return op.results[0] in self._at_once

    def carried(self, op) -> Carried | None:
        return self._carried.get(op.results[0])

    def call(self, mode: Mode | None, emit, *operands, **sizes) -> None:
        """Emits a loop of a kernel of `mode`."""
        op = emit(*operands, **sizes)
        self.needs(mode, op, op)

    def needs(self, mode: Mode | None, first, last) -> None:
        """Says that the operations from `first` to `last`, of one block, need `mode` without a break."""
        self._calls.append((mode, first, last))

    def set_modes(self, func) -> None:
        """Lets `func` run in the mode that its loops need, or each loop where they differ; notes that it has
        some."""
        if self._calls:
            func.attributes[ENGINE] = ir.UnitAttr.get()
        modes = {mode for mode, *_ in self._calls}
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
        for mode, first, last in self._calls:
            if mode is not None:
                with ir.InsertionPoint(first), first.location:
                    state = _enter(first, mode)
                with after(last), last.location:
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
    if mode.failures:
        none = create("arith.constant", i64, [], {"value": ir.IntegerAttr.get(i64, 0)})
        unequal = {"predicate": ir.IntegerAttr.get(i64, 1)}
        failed = create("arith.cmpi", ir.IntegerType.get_signless(1), [state, none], unequal)
        branch = ir.Operation.create("scf.if", [], [failed], regions=2)
        with ir.InsertionPoint(branch.regions[0].blocks.append()):
            texts = b"".join(text.encode() + b"\0" for text in mode.failures)
            call_service(op, FAIL_AS, [text_address(op, texts), state, *program_of(op)])
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
