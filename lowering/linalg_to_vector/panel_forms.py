"""Products that an engine has more than a plain product for: what is looked for, and what it is computed by.

    window   several products that add to the same sums, whose A begins one row further down each time:
             convolutions along a dimension, one product per tap
    scaled   acc + float(a @ b) * scale, rounded in 16 bits at every step, with a scale for each column, where
             K is one tile deep at most: quantised weights, a product per block; those that follow each other
             are the steps of one loop
    sparse   a @ b where b is expanded from two of every four rows (see `sparse_rows`)

Each makes exactly the numbers of the operations it replaces, but for the order of float sums in a window.
"""

import itertools
from collections.abc import Callable

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import PanelKernel
from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.carried_products import PRODUCT, is_zero
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.linalg_to_vector.panel_jobs import as_kind, job_of
from vertebra.lowering.linalg_to_vector.shifted import begins_below, undisturbed
from vertebra.lowering.sparse_rows import sparse_parts


@attrs.frozen
class Form:
    """What one call of a kernel computes.

    operations: those it replaces, in their order; the last one has the sums.  products: the matrix
    products among them.  start: (operation, number) of the operand that the sums start from.
    other: likewise of the scales, for each product, or masks.
    """

    kernel: PanelKernel
    operations: tuple
    products: tuple
    start: tuple
    other: tuple = ()

    @property
    def last(self):
        return self.operations[-1]

    @property
    def result(self):
        return self.last.results[0]

    @property
    def acc(self):
        op, number = self.start
        return op.operands[number]

    @property
    def others(self) -> list:
        return [op.operands[number] for op, number in self.other]


def forms_of(kernels: tuple[PanelKernel, ...], products: list) -> list[Form]:
    """All of them among `products`, whose operands become those of the kernels.  None share a product."""
    found: list[Form] = []
    taken: set = set()
    for form, find in _FINDERS.items():
        mine = tuple(kernel for kernel in kernels if kernel.form == form)
        if mine:
            left = [op for op in products if op.name == PRODUCT and op.results[0] not in taken]
            for each in find(mine, left):
                found.append(each)
                taken |= {op.results[0] for op in each.products}
    return found


# -- windows


def _windows(kernels: tuple[PanelKernel, ...], products: list) -> list[Form]:
    found, seen = [], set()
    for op in products:
        if op.results[0] in seen:
            continue
        chain = _chain(kernels, op)
        seen |= {x.results[0] for x, _ in chain}
        runs = _runs(chain)
        if any(len(run) > 1 for run in runs):
            found += [_window(run) for run in runs]
    return found


def _chain(kernels: tuple[PanelKernel, ...], op) -> list[tuple]:
    """(product, job) of `op` and of those that add to its sums, one after the other, on one kernel."""
    chain: list[tuple] = []
    while op is not None and (job := job_of(kernels, op)) and (not chain or job.kernel is chain[0][1].kernel):
        chain.append((op, job))
        op = _only_user(op.results[0], PRODUCT, op.block, 2)
    return chain


def _only_user(value, name: str, block, number: int | None = None):
    """The only operation that uses `value`, if it has that name and uses it as operand `number`."""
    uses = list(value.uses)
    if len(uses) != 1 or (number is not None and uses[0].operand_number != number):
        return None
    op = uses[0].owner.operation
    return op if op.name == name and op.block == block else None


def _runs(chain: list[tuple]) -> list[list[tuple]]:
    """`chain` cut where the next A is no row further down, into runs as equal as can be."""
    long: list[list[tuple]] = []
    for op, job in chain:
        run = long[-1] if long else None
        fits = run is not None and begins_below(run[-1][1].a, job.a, 1)
        if fits and undisturbed([run[0][1].a, job.a], run[0][0], op):
            run.append((op, job))
        else:
            long.append([(op, job)])
    runs = []
    for run in long:
        count = -(-len(run) // run[0][1].kernel.taps)
        ends = [len(run) * i // count for i in range(count + 1)]
        runs += [run[a:b] for a, b in itertools.pairwise(ends)]
    return runs


def _window(run: list[tuple]) -> Form:
    for op, job in run:
        op.operands[0], op.operands[1] = job.a, job.b
    products = tuple(op for op, _ in run)
    return Form(run[0][1].kernel, products, products, (products[0], 2))


# -- scales


def _scaled(kernels: tuple[PanelKernel, ...], products: list) -> list[Form]:
    """A form for each chain of such products into the same sums, of as many rows of A and columns of B."""
    chains: list[Form] = []
    for op in products:
        form = _scaled_product(kernels, op)
        if form is not None and chains and _follows(chains[-1], form):
            chains[-1] = _joined(chains[-1], form)
        elif form is not None:
            chains.append(form)
    return chains


def _follows(before: Form, form: Form) -> bool:
    """Whether `form` adds to nothing but the sums of `before`, and as they do."""
    alike = all(
        one.type == other.type
        for one, other in zip(before.products[0].operands, form.products[0].operands, strict=True)
    )
    user = _only_user(before.result, form.last.name, form.last.block, form.start[1])
    return (
        form.kernel is before.kernel
        and alike
        and form.acc == before.result
        and user is not None
        and user == form.last
        and undisturbed([], before.products[0], form.last)
    )


def _joined(before: Form, form: Form) -> Form:
    return attrs.evolve(
        before,
        operations=(*before.operations, *form.operations),
        products=(*before.products, *form.products),
        other=(*before.other, *form.other),
    )


def _scaled_product(kernels: tuple[PanelKernel, ...], op) -> Form | None:
    if not is_zero(op.operands[2]) or "cast" in op.attributes:
        return None
    rounded = _only_user(op.results[0], "arith.sitofp", op.block)
    times = rounded and _only_user(rounded.results[0], "arith.mulf", op.block)
    total = times and _only_user(times.results[0], "arith.addf", op.block)
    if not total or op.results[0].type.element_type != ir.IntegerType.get_signless(32):
        return None
    which = 1 if times.operands[0] == rounded.results[0] else 0
    start = 1 if total.operands[0] == times.results[0] else 0
    if not same_in_every_row(times.operands[which]):
        return None
    kind = str(total.results[0].type.element_type)
    for kernel in kernels:
        if kernel.acc != kind or shape_of(op.operands[0])[-1] > kernel.tile[2]:
            continue
        a, b = (as_kind(v, "signed", k) for v, k in zip(op.operands, (kernel.a, kernel.b), strict=False))
        if a is not None and b is not None and undisturbed([], op, total):
            op.operands[0], op.operands[1] = a, b
            return Form(kernel, (op, rounded, times, total), (op,), (total, start), ((times, which),))
    return None


def same_in_every_row(value) -> bool:
    """Whether all rows of a matrix are known to be equal."""
    op = producer(value)
    if shape_of(value)[0] == 1:
        return True
    if op is None:
        return False
    if op.name in ("tensor.splat", "linalg.fill"):
        return True
    if op.name == "arith.constant":
        return ir.DenseElementsAttr(op.attributes["value"]).is_splat
    if op.name == "linalg.broadcast":
        return 0 in list(op.attributes["dimensions"]) or (
            op.operands[0].type.rank == 2 and same_in_every_row(op.operands[0])
        )
    if op.name == "linalg.generic":
        return _ignores_rows(op)
    if op.name.partition(".")[0] in ("arith", "math"):
        return all(same_in_every_row(v) for v in op.operands)
    return False


def _ignores_rows(op) -> bool:
    """Whether a generic passes on elements that it finds without looking at the row."""
    block = op.regions[0].blocks[0]
    operations = list(block.operations)
    if len(operations) != 1 or len(op.results) != 1:
        return False
    passed = operations[0].operands[0]
    numbers = [i for i, argument in enumerate(block.arguments) if argument == passed]
    if not numbers or numbers[0] == len(block.arguments) - 1:
        return False
    map = op.attributes["indexing_maps"][numbers[0]].value
    return not any("d0" in str(expression) for expression in map.results)


# -- structured sparsity


def _sparse(kernels: tuple[PanelKernel, ...], products: list) -> list[Form]:
    found = []
    for op in products:
        expanded = sparse_parts(op.operands[1])
        if expanded is None or "cast" in op.attributes or shape_of(op.operands[0])[1] % 4:
            continue
        generic, values, number = expanded
        for kernel in kernels:
            if kernel.acc != str(op.results[0].type.element_type):
                continue
            a, b = as_kind(op.operands[0], "signed", kernel.a), as_kind(values, "signed", kernel.b)
            if a is not None and b is not None and undisturbed([generic.results[0]], generic, op):
                op.operands[0], op.operands[1] = a, b
                found.append(Form(kernel, (op,), (op,), (op, 2), ((generic, number),)))
                break
    return found


_FINDERS: dict[str, Callable] = {"sparse": _sparse, "scaled": _scaled, "window": _windows}
