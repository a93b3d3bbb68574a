"""Layouts of power-of-two sizes as matrices over GF(2).

Bit i of the input contributes the column `columns[i]`, and contributions are XORed.  Tilings,
swizzles and thread-value maps are all such matrices, so composition, inversion, conflict counts
and vector widths are linear algebra.  (Triton's LinearLayout is the same object.)
"""

from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.swizzle import Composed, Xor


class Linear:
    """x -> XOR of columns[i] over the set bits i of x.  rows: how many output bits there are."""

    __slots__ = ("columns", "rows")

    def __init__(self, columns, rows: int | None = None):
        self.columns = tuple(columns)
        needed = max((c.bit_length() for c in self.columns), default=0)
        self.rows = needed if rows is None else rows
        if self.rows < needed:
            raise LayoutError(f"a column of {needed} bits does not fit into {rows} rows")

    @property
    def size(self) -> int:
        return 1 << len(self.columns)

    def __call__(self, x: int) -> int:
        value = 0
        for column in self.columns:
            if x & 1:
                value ^= column
            x >>= 1
        return value

    def offsets(self):
        """Every value by input: an int64 array of shape (size,)."""
        import numpy as np

        table = np.zeros(1, np.int64)
        for column in self.columns:
            table = np.concatenate([table, table ^ column])
        return table

    def after(self, other: "Linear") -> "Linear":
        """self o other.  Raises LayoutError where other's values have more bits than self takes."""
        if other.rows > len(self.columns):
            raise LayoutError(f"{other.rows} bits of values do not index {len(self.columns)} bits")
        return Linear(map(self, other.columns), self.rows)

    @property
    def rank(self) -> int:
        return rank(self.columns)

    @property
    def is_injective(self) -> bool:
        return self.rank == len(self.columns)

    @property
    def is_surjective(self) -> bool:
        return self.rank == self.rows

    def inverse(self) -> "Linear":
        """A left inverse: inverse(self(x)) = x; values outside the image give what is left over.

        Raises LayoutError, with two colliding inputs, where there is none.
        """
        reduced: dict[int, tuple[int, int]] = {}  # leading bit -> (value, the input that gives it)
        for i, column in enumerate(self.columns):
            value, source = _reduce(column, 1 << i, reduced)
            if not value:
                raise LayoutError(f"no inverse: inputs 0 and {source} both give 0")
            reduced[value.bit_length() - 1] = value, source
        columns = []
        for row in range(self.rows):
            value, source, rest = 1 << row, 0, 0
            while value:
                top = value.bit_length() - 1
                if top in reduced:
                    value ^= reduced[top][0]
                    source ^= reduced[top][1]
                else:
                    rest |= 1 << top
                    value ^= 1 << top
            columns.append(source)
        return Linear(columns, len(self.columns))

    @property
    def unit_columns(self) -> int:
        """How many leading input bits are the output bits of the same number: log2 of the run length."""
        for i, column in enumerate(self.columns):
            others = [c for j, c in enumerate(self.columns) if j > i]
            if column != 1 << i or any(c >> i & 1 for c in others):
                return i
        return len(self.columns)

    def __eq__(self, other):
        return isinstance(other, Linear) and (self.columns, self.rows) == (other.columns, other.rows)

    def __hash__(self):
        return hash((self.columns, self.rows))

    def __str__(self):
        return f"[{' '.join(map(str, self.columns))}] in {self.rows} bits"

    def __repr__(self):
        return f"Linear({self})"


def _reduce(value, source, reduced):
    while value and (found := reduced.get(value.bit_length() - 1)):
        value ^= found[0]
        source ^= found[1]
    return value, source


def rank(columns) -> int:
    """The rank over GF(2) of columns given as integers."""
    basis: dict[int, int] = {}
    for value in columns:
        while value and (found := basis.get(value.bit_length() - 1)) is not None:
            value ^= found
        if value:
            basis[value.bit_length() - 1] = value
    return len(basis)


def bits_of(size: int, what: str) -> int:
    """log2 of a power of two.  Raises LayoutError for another size."""
    if not isinstance(size, int) or size < 1 or size & (size - 1):
        raise LayoutError(f"{what} has size {size}, which is no power of two", fix="use the tree form")
    return size.bit_length() - 1


def linear(function, rows: int | None = None) -> Linear:
    """The matrix of a Layout, a Composed of XORs and layouts, or (with `rows`) an Xor.

    Raises LayoutError for sizes that are no powers of two, naming the mode, and for strides
    whose sums carry.
    """
    if isinstance(function, Xor):
        return Linear((function(1 << i) for i in range(rows or 0)), max(rows or 0, function.reach))
    if isinstance(function, Composed):
        if function.offset:
            raise LayoutError(f"{function} adds {function.offset}, which no matrix does")
        made = linear(function.layout)
        for outer in reversed(function.outer):
            if isinstance(outer, Xor):
                made = Linear(map(outer, made.columns))
            else:
                step = linear(outer)
                made = step.after(Linear(made.columns, _used(made.columns)))
        return made if rows is None else Linear(made.columns, rows)
    columns, seen = [], 0
    for i, (count, stride) in enumerate(function.flat_modes):
        for bit in range(bits_of(count, f"leaf {i} of {function}")):
            column = stride << bit
            if column < 0 or column & seen:
                raise LayoutError(f"leaf {i} of {function}: stride {stride} carries into another leaf's bits")
            seen |= column
            columns.append(column)
    return Linear(columns, rows)


def _used(columns) -> int:
    return max((c.bit_length() for c in columns), default=0)


def to_layout(matrix: Linear) -> Layout:
    """The tree form.  Raises LayoutError for a matrix that is no tree: one that XORs (a swizzle)."""
    seen = 0
    for i, column in enumerate(matrix.columns):
        if column & seen:
            raise LayoutError(f"column {i} ({column}) shares bits with others: this is a swizzle, no layout")
        seen |= column
    from vertebra.core.layout.algebra import coalesce

    if not matrix.columns:
        return Layout(1, 0)
    return coalesce(Layout((2,) * len(matrix.columns), matrix.columns))
