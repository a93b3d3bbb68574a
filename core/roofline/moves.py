"""What the operations on memory of a kernel's `linalg` stage move between arguments and the kernel."""

import abc
import math
from collections.abc import Callable

from vertebra.core.mlir import ir
from vertebra.core.roofline.elementwise import width
from vertebra.core.roofline.values import DATA, Shape, Touched, Traffic, Unknown, View, joined

_DYNAMIC = ir.ShapedType.get_dynamic_size()
Step = Callable[[dict], None]


class Moves(abc.ABC):
    """One method for every operation, `_<dialect>_<operation>`, that makes a step of it.

    For `Follower`, which says what the others do, and what is done about numbers that are not known.
    """

    def __init__(self):
        self.traffic: dict[str, Traffic] = {}
        self.touched: dict[str, Touched] = {}

    @abc.abstractmethod
    def _need(self, unknown: Unknown, what: str, place) -> Unknown:
        """What stands for a number that is not known; `what` it is, at `place`."""

    @abc.abstractmethod
    def _other(self, op: ir.Operation) -> Step:
        """The step of an operation that has no method here."""

    def _numbers(self, op, attribute: str, values) -> Callable[[dict], tuple]:
        """The numbers of a mixed list: static ones in an attribute, the others operands in order."""
        values = iter(values)
        static = list(ir.DenseI64ArrayAttr(op.attributes[attribute]))
        mixed = [next(values) if n == _DYNAMIC else n for n in static]
        return lambda env: tuple(m if isinstance(m, int) else env[m] for m in mixed)

    def _mixed(self, op, sources: int, *attributes: str) -> list[Callable[[dict], tuple]]:
        rest, found = list(op.operands)[sources:], []
        for attribute in attributes:
            dynamic = list(ir.DenseI64ArrayAttr(op.attributes[attribute])).count(_DYNAMIC)
            found.append(self._numbers(op, attribute, rest[:dynamic]))
            rest = rest[dynamic:]
        return found

    def _memref_reinterpret_cast(self, op) -> Step:
        source, result = op.operands[0], op.results[0]
        offsets, sizes, strides = self._mixed(op, 1, "static_offsets", "static_sizes", "static_strides")

        def step(env):
            base = env[source]
            # Counted from the start of an argument, where that is known.
            offset = base.offset if isinstance(base.offset, Unknown) else offsets(env)[0]
            env[result] = View(base.argument, offset, sizes(env), strides(env), base.size)

        return step

    def _memref_subview(self, op) -> Step:
        source, result = op.operands[0], op.results[0]
        parts = self._mixed(op, 1, "static_offsets", "static_sizes", "static_strides")
        rank = len(ir.MemRefType(result.type).shape)

        def step(env):
            base = env[source]
            offsets, sizes, steps = (part(env) for part in parts)
            moved = [times(o, s) for o, s in zip(offsets, base.strides, strict=False)]
            strides = tuple(times(n, s) for n, s in zip(steps, base.strides, strict=False))
            offset = plus(base.offset, *moved)
            if rank < len(sizes):  # dimensions of one element are left out
                kept = [i for i, n in enumerate(sizes) if n != 1][:rank]
                kept += [i for i in range(len(sizes)) if i not in kept][: rank - len(kept)]
                sizes, strides = (tuple(x[i] for i in sorted(kept)) for x in (sizes, strides))
            env[result] = View(base.argument, offset, sizes, strides, base.size)

        return step

    def _memref_copy(self, op) -> Step:
        source, destination = op.operands

        def step(env):
            self._move(env[source], "read")
            self._move(env[destination], "written")

        return step

    def _bufferization_materialize_in_destination(self, op) -> Step:
        destination, results = op.operands[1], list(op.results)

        def step(env):
            self._move(env[destination], "written")
            env.update((result, env[destination]) for result in results)

        return step

    def _bufferization_to_tensor(self, op) -> Step:
        source, result = op.operands[0], op.results[0]

        def step(env):
            view = env[source]
            self._move(view, "read")
            env[result] = Shape(view.sizes) if isinstance(view, View) else of_type(result.type, DATA)

        return step

    def _memref_load(self, op) -> Step:
        source, result = op.operands[0], op.results[0]
        indices = list(op.operands)[1:]

        def step(env):
            self._move(element(env[source], [env[i] for i in indices]), "read", env.get("times", 1))
            env[result] = DATA

        return step

    def _memref_store(self, op) -> Step:
        _, destination, *indices = op.operands

        def step(env):
            place = element(env[destination], [env[i] for i in indices])
            self._move(place, "written", env.get("times", 1))

        return step

    def _memref_atomic_rmw(self, op) -> Step:
        other = self._other(op)
        destination = next(v for v in op.operands if isinstance(v.type, ir.MemRefType))
        indices = [v for v in op.operands if isinstance(v.type, ir.IndexType)]

        def step(env):
            place = element(env[destination], [env[i] for i in indices])
            for direction in ("read", "written"):
                self._move(place, direction, env.get("times", 1))
            other(env)

        return step

    _memref_generic_atomic_rmw = _memref_atomic_rmw

    def _memref_cast(self, op) -> Step:
        return copy(op.results[0], op.operands[0])

    _memref_memory_space_cast = _tensor_cast = _memref_cast

    def _tensor_extract_slice(self, op) -> Step:
        result = op.results[0]
        (sizes,) = self._mixed(op, 1, "static_offsets", "static_sizes")[1:]
        rank = len(ir.RankedTensorType(result.type).shape)

        def step(env):
            found = sizes(env)
            if rank < len(found):
                env[result] = of_type(result.type, DATA)
            else:
                env[result] = Shape(found)

        return step

    def _move(self, view, direction: str, times: int = 1) -> None:
        if not isinstance(view, View) or view.argument is None:
            return
        traffic = self.traffic.setdefault(view.argument, Traffic())
        touched = self.touched.setdefault(view.argument, Touched())
        sizes = [self._size(n) for n in view.sizes]
        if names := joined((view.offset, *view.strides)).names:
            self._need(Unknown(names), "an address", None)
        moved = math.prod(sizes) * times * view.size
        setattr(traffic, direction, getattr(traffic, direction) + moved)
        touched.add(view)

    def _size(self, number) -> int:
        if isinstance(number, Unknown):
            self._need(number, "the size of a block", None)
            return 1
        return max(0, number)


def element_bytes(kind: ir.Type) -> int:
    return -(-max(8, width(kind, frozenset({str(kind)}))) // 8)


def of_type(kind: ir.Type, unknown: Unknown):
    if isinstance(kind, ir.RankedTensorType):
        return Shape(tuple(unknown if n == _DYNAMIC else n for n in kind.shape))
    if isinstance(kind, ir.MemRefType):
        sizes = tuple(unknown if n == _DYNAMIC else n for n in kind.shape)
        strides = [1]
        for n in reversed(sizes[1:]):
            strides.insert(0, times(strides[0], n))
        return View(None, 0, sizes, tuple(strides[: len(sizes)]), element_bytes(kind.element_type))
    return unknown


def element(view, indices: list):
    """The view's element at `indices`."""
    if not isinstance(view, View):
        return view
    offset = plus(view.offset, *(times(i, s) for i, s in zip(indices, view.strides, strict=False)))
    return View(view.argument, offset, (), (), view.size)


def times(a, b):
    return joined((a, b)) if isinstance(a, Unknown) or isinstance(b, Unknown) else a * b


def plus(*terms):
    return joined(terms) if any(isinstance(t, Unknown) for t in terms) else sum(terms)


def copy(result, source) -> Step:
    def step(env):
        env[result] = env[source]

    return step
