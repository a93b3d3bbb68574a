"""What is known of the contents of an integer tensor, of a tensor of pointers and of a block pointer.

The element of a `Form` at (i0, i1, ...) is

    scalar + sum over d of ( stride_d * i_d + wrap_d(i_d) + lookup_d[i_d] ) + whole[i0, i1, ...]

where wrap(i) = scale * ((start + step * i) rem modulo), lookups are sums of multiples of
one-dimensional tensors and `whole` is one of full tensors: what has no structure at all.
Forms are in elements, values are taken not to overflow the integers that the kernel
computes them in.
"""

from typing import NamedTuple

from vertebra.lowering.tt_to_tts.expr import Atom, Expr, Table

# A sum of multiples of tensors: (atom, factor) pairs in order of the atoms.
TensorSum = tuple[tuple[Atom, Expr], ...]


class Wrap(NamedTuple):
    """scale * ((start + step * i) rem modulo): offsets that start over at `modulo`."""

    start: Expr
    step: Expr
    modulo: Expr
    scale: Expr


class Term(NamedTuple):
    """What one dimension adds to the elements."""

    stride: Expr = 0
    wrap: Wrap | None = None
    lookup: TensorSum = ()


NONE = Term()


class Form(NamedTuple):
    """An integer tensor (shape () is a scalar); see the top of the module."""

    shape: tuple[int, ...]
    scalar: Expr
    terms: tuple[Term, ...]
    whole: TensorSum = ()

    @property
    def is_uniform(self) -> bool:
        """All elements are the same scalar."""
        return not self.whole and all(term == NONE for term in self.terms)

    @property
    def is_linear(self) -> bool:
        """Only a scalar and strides."""
        return not self.whole and all(term.wrap is None and not term.lookup for term in self.terms)


class Pointers(NamedTuple):
    """A pointer (form of shape ()) or a tensor of them: `base` moved by `form` elements.

    base: an atom that stands for a scalar pointer.
    """

    base: Atom
    form: Form


class Block(NamedTuple):
    """A block pointer or a tensor descriptor: a window of `block` elements on an array in memory.

    shape, strides, offsets: of the array and in it, one for each dimension, in elements.
    padding: what loads give outside of the array: a key of PADDING_VALUES; None leaves it to the load.
    """

    base: Atom
    shape: tuple[Expr, ...]
    strides: tuple[Expr, ...]
    offsets: tuple[Expr, ...]
    block: tuple[int, ...]
    padding: str | None = None


State = Form | Pointers | Block


def uniform(shape: tuple[int, ...], scalar: Expr) -> Form:
    """A form of which all elements are `scalar`."""
    return Form(shape, scalar, (NONE,) * len(shape))


def opaque(table: Table, shape: tuple[int, ...], atom: Atom) -> Form:
    """The form of a tensor of which nothing is known but its shape."""
    wide = [d for d, size in enumerate(shape) if size > 1]
    if not wide:
        return uniform(shape, table.expr(table.atom("extract", atom)))
    if len(wide) == 1:
        terms = [NONE] * len(shape)
        terms[wide[0]] = Term(lookup=((atom, 1),))
        return Form(shape, 0, tuple(terms))
    return Form(shape, 0, (NONE,) * len(shape), ((atom, 1),))


def add_tensors(a: TensorSum, b: TensorSum) -> TensorSum:
    """The sum of two sums."""
    if not a or not b:
        return a or b
    factors = dict(a)
    for atom, factor in b:
        factors[atom] = factors.get(atom, 0) + factor
    return tuple(sorted(((t, f) for t, f in factors.items() if f != 0), key=lambda pair: pair[0].serial))


def scale_tensors(a: TensorSum, factor: Expr) -> TensorSum:
    """A multiple of a sum."""
    return tuple((atom, own * factor) for atom, own in a if own * factor != 0)


def add(table: Table, a: Form, b: Form) -> Form:
    """a + b, element by element; the shapes are the same."""
    terms = tuple(_add_terms(table, x, y, size) for x, y, size in zip(a.terms, b.terms, a.shape, strict=True))
    return Form(a.shape, a.scalar + b.scalar, terms, add_tensors(a.whole, b.whole))


def _add_terms(table: Table, a: Term, b: Term, size: int) -> Term:
    if b is NONE:
        return a
    if a is NONE:
        return b
    lookup = add_tensors(a.lookup, b.lookup)
    wrap = a.wrap or b.wrap
    if a.wrap and b.wrap:
        # One wrap to a dimension: the second becomes a tensor of its values.
        lookup = add_tensors(lookup, wrap_as_lookup(table, b.wrap, size))
        wrap = a.wrap
    return Term(a.stride + b.stride, wrap, lookup)


def wrap_as_lookup(table: Table, wrap: Wrap, size: int) -> TensorSum:
    """The same numbers as a one-dimensional tensor."""
    return ((table.atom("range", wrap.start, wrap.step, wrap.modulo, size), wrap.scale),)


def scale(form: Form, factor: Expr) -> Form:
    """form * factor."""
    if factor == 0:
        return uniform(form.shape, 0)
    terms = tuple(
        NONE
        if term is NONE
        else Term(
            term.stride * factor,
            term.wrap and term.wrap._replace(scale=term.wrap.scale * factor),
            scale_tensors(term.lookup, factor),
        )
        for term in form.terms
    )
    return Form(form.shape, form.scalar * factor, terms, scale_tensors(form.whole, factor))


def remainder(table: Table, form: Form, modulo: Expr) -> Form | None:
    """form rem modulo where one dimension varies by a stride; None where that has no form."""
    if not form.is_linear:
        return None
    varying = [d for d, term in enumerate(form.terms) if term != NONE]
    if not varying:
        return uniform(form.shape, table.apply("rem", form.scalar, modulo)) if modulo != 0 else None
    if len(varying) > 1 or modulo == 0:
        return None
    (d,) = varying
    size, stride = form.shape[d], form.terms[d].stride
    if isinstance(form.scalar, int) and isinstance(stride, int) and isinstance(modulo, int):
        first, last = form.scalar, form.scalar + stride * (size - 1)
        if min(first, last) >= 0 and max(first, last) < modulo:
            return form
    terms = list(form.terms)
    terms[d] = Term(wrap=Wrap(form.scalar, stride, modulo, 1))
    return Form(form.shape, 0, tuple(terms))


def expand_dims(form: Form, axis: int) -> Form:
    """The form with a new dimension of size 1 at `axis`."""
    shape = (*form.shape[:axis], 1, *form.shape[axis:])
    return Form(shape, form.scalar, (*form.terms[:axis], NONE, *form.terms[axis:]))


def broadcast(form: Form, shape: tuple[int, ...]) -> Form:
    """The form stretched to `shape`: dimensions of size 1 hold nothing that varies."""
    return Form(shape, form.scalar, form.terms)


def transpose(form: Form, order: tuple[int, ...]) -> Form:
    """The form with its dimensions in another order: dimension d of the result is `order[d]` of the form."""
    return Form(tuple(form.shape[d] for d in order), form.scalar, tuple(form.terms[d] for d in order))


def reshape(form: Form, shape: tuple[int, ...]) -> Form | None:
    """The form in another shape; None unless runs of dimensions are split or joined evenly.

    Splitting (n,) into (n / m, m) is always possible for strides; joining asks that the outer
    stride is the inner one times the inner size.
    """
    if not form.is_linear:
        return _reshape_units(form, shape)
    groups = _groups(form.shape, shape)
    terms: list[Term] = []
    for old, new in groups:
        strides = [(form.terms[d].stride, form.shape[d]) for d in old if form.shape[d] > 1]
        stride, _ = strides[-1] if strides else (0, 1)
        expected = stride
        for own, size in reversed(strides):
            if own != expected:
                return None
            expected = own * size
        made = []
        for d in reversed(new):
            made.append(Term(stride) if shape[d] > 1 and stride != 0 else NONE)
            stride = stride * shape[d]
        terms += reversed(made)
    return Form(shape, form.scalar, tuple(terms))


def _reshape_units(form: Form, shape: tuple[int, ...]) -> Form | None:
    """Only dimensions of size 1 come or go."""
    wide = [d for d, size in enumerate(form.shape) if size > 1]
    target = [d for d, size in enumerate(shape) if size > 1]
    if form.whole or [form.shape[d] for d in wide] != [shape[d] for d in target]:
        return None
    terms = [NONE] * len(shape)
    for old, new in zip(wide, target, strict=True):
        terms[new] = form.terms[old]
    return Form(shape, form.scalar, tuple(terms))


def _groups(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Runs of dimensions of both shapes with equal numbers of elements, as short as possible."""
    groups = []
    i = j = 0
    while i < len(old) or j < len(new):
        left, right = [], []
        a = b = 1
        while a != b or not (left or right):
            if (a <= b and i < len(old)) or j >= len(new):
                left.append(i)
                a *= old[i]
                i += 1
            else:
                right.append(j)
                b *= new[j]
                j += 1
        groups.append((left, right))
    return groups


def flatten(state: State) -> tuple[tuple, list[Expr]]:
    """(skeleton, expressions): the parts that a loop may not change, and those that it may."""
    if isinstance(state, Block):
        n = len(state.shape)
        return (Block, state.base, n, state.block, state.padding), [
            *state.shape,
            *state.strides,
            *state.offsets,
        ]
    form = state.form if isinstance(state, Pointers) else state
    base = state.base if isinstance(state, Pointers) else None
    parts = [form.scalar]
    kinds = []
    for term in form.terms:
        parts.append(term.stride)
        kinds.append((term.wrap is not None, tuple(atom for atom, _ in term.lookup)))
        parts += [*(term.wrap or ()), *(factor for _, factor in term.lookup)]
    parts += [factor for _, factor in form.whole]
    return (type(state), base, form.shape, tuple(kinds), tuple(atom for atom, _ in form.whole)), parts


def unflatten(skeleton: tuple, parts: list[Expr]) -> State:
    """The opposite of `flatten`."""
    kind, base, *rest = skeleton
    if kind is Block:
        n, block, padding = rest
        return Block(base, tuple(parts[:n]), tuple(parts[n : 2 * n]), tuple(parts[2 * n :]), block, padding)
    shape, kinds, whole = rest
    take = iter(parts)
    scalar = next(take)
    terms = []
    for has_wrap, tensors in kinds:
        stride = next(take)
        wrap = Wrap(*(next(take) for _ in range(4))) if has_wrap else None
        lookup = tuple((atom, next(take)) for atom in tensors)
        plain = wrap is None and not lookup and stride == 0
        terms.append(NONE if plain else Term(stride, wrap, lookup))
    form = Form(shape, scalar, tuple(terms), tuple((atom, next(take)) for atom in whole))
    return Pointers(base, form) if kind is Pointers else form
