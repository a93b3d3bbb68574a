"""Follows one program of a kernel through its `linalg` stage: which sizes, which addresses, how often.

Operations become closures once; following a program then runs them.  Data stay unknown: a branch
that depends on them is taken, a loop whose length depends on them is passed through once.
"""

import math
from collections.abc import Callable, Set

import attrs

from vertebra.core.errors import ConfigError, place_of
from vertebra.core.mlir import ir
from vertebra.core.roofline.elementwise import body_of
from vertebra.core.roofline.integers import ARITHMETIC, CONVERSIONS, PREDICATES
from vertebra.core.roofline.moves import Moves, Step, copy, element_bytes, of_type
from vertebra.core.roofline.values import DATA, Shape, Unknown, View, joined

# What gives a kernel memory of its own; memory that is neither this nor a view has a computed address.
_OWN = frozenset({"memref.alloc", "memref.alloca", "memref.get_global", "bufferization.to_buffer"})
COMPUTED = "computed addresses"


class Follower(Moves):
    """A kernel that can be followed, and what all of the followed programs do together.

    names: of the arguments, in order.  implied: those of them that nobody is asked for.
    """

    def __init__(
        self, kernel: ir.Operation, names: tuple[str, ...], implied: Set[str], computes: Set[str], functions
    ):
        super().__init__()
        self.kernel_name = kernel.attributes["sym_name"].value
        self.products: dict[
            tuple[str, str, str], list
        ] = {}  # types -> [operations, sizes of the largest one]
        self.operations = self.results = self.bits = 0
        self.notes: dict[str, None] = {}
        self.steps = 0
        self._computes, self._functions = computes, functions
        block = kernel.regions[0].blocks[0]
        self.parameters = list(block.arguments)
        self._names, self._implied = names, implied
        self._missing: frozenset[str] = frozenset()  # integers without a value
        self._run = self._block(block)

    def follow(self, values: tuple) -> None:
        """values: of all the function's arguments; numbers that are not known are `Unknown`."""
        env = {}
        self._missing = frozenset(
            name
            for name, parameter, value in zip(self._names, self.parameters, values, strict=False)
            if isinstance(parameter.type, ir.IntegerType) and isinstance(value, Unknown)
        ).difference(self._implied)
        for number, (parameter, value) in enumerate(zip(self.parameters, values, strict=True)):
            if isinstance(parameter.type, ir.MemRefType | ir.UnrankedMemRefType):
                size = element_bytes(parameter.type.element_type)
                value = View(self._names[number], 0, (DATA,), (1,), size)
            elif not isinstance(parameter.type, ir.IntegerType):
                value = DATA
            env[parameter] = value
        self._run(env)

    # --- Blocks ------------------------------------------------------------------------------

    def _block(self, block) -> Callable[[dict], list]:
        """Runs the block; returns the values of its last operation's operands."""
        *body, last = [view.operation for view in block.operations]
        steps = [self._step(op) for op in body]
        results = list(last.operands)
        count = len(steps)

        def run(env):
            self.steps += count
            for step in steps:
                step(env)
            return [env[value] for value in results]

        return run

    def _step(self, op: ir.Operation) -> Step:
        name = op.name
        if name in ARITHMETIC and not isinstance(op.results[0].type, ir.ShapedType):
            return _binary(op, ARITHMETIC[name])
        if name in CONVERSIONS and not isinstance(op.results[0].type, ir.ShapedType):
            return copy(op.results[0], op.operands[0])
        special = getattr(self, "_" + name.replace(".", "_"), None)
        if special is not None:
            return special(op)
        return self._other(op)

    def _other(self, op: ir.Operation) -> Step:
        """An operation that moves no data of arguments: what results is a shape, or not known."""
        regions = [self._block(b) for region in op.regions for b in region.blocks]
        arguments = [a for region in op.regions for b in region.blocks for a in b.arguments]
        operands, results = list(op.operands), list(op.results)
        elsewhere = None if op.name in _OWN else COMPUTED

        def step(env):
            values = [env[value] for value in operands]
            unknown = joined(values)
            for value in arguments:
                env[value] = of_type(value.type, unknown)
            for run in regions:
                run(env)
            owner = next((v.argument for v in values if isinstance(v, View)), elsewhere)
            for result in results:
                found = of_type(result.type, unknown)
                if owner is not None and isinstance(found, View):
                    found = attrs.evolve(found, argument=owner, offset=DATA)
                env[result] = found

        return step

    # --- Numbers -----------------------------------------------------------------------------

    def _arith_constant(self, op) -> Step:
        result, attribute = op.results[0], op.attributes["value"]
        value: object = of_type(result.type, DATA)
        if isinstance(attribute, ir.IntegerAttr):
            value = attribute.value & 1 if str(result.type) == "i1" else attribute.value
        return lambda env: env.__setitem__(result, value)

    def _arith_cmpi(self, op) -> Step:
        if isinstance(op.results[0].type, ir.ShapedType):
            return self._other(op)
        compare = PREDICATES[ir.IntegerAttr(op.attributes["predicate"]).value]
        return _binary(op, lambda a, b: int(compare(a, b)))

    def _arith_select(self, op) -> Step:
        condition, yes, no = op.operands
        result = op.results[0]

        def step(env):
            chosen = env[condition]
            if isinstance(chosen, Unknown | Shape):
                both = (chosen, env[yes], env[no])
                env[result] = env[yes] if env[yes] == env[no] else of_type(result.type, joined(both))
                if isinstance(env[yes], View):
                    env[result] = env[yes] if env[yes].argument is not None else env[no]
            else:
                env[result] = env[yes] if chosen else env[no]

        return step

    # --- Control -----------------------------------------------------------------------------

    def _scf_for(self, op) -> Step:
        lower, upper, stride, *initial = op.operands
        block = op.regions[0].blocks[0]
        counter, *carried = block.arguments
        run, results, place = self._block(block), list(op.results), op.location

        def step(env):
            bounds = (env[lower], env[upper], env[stride])
            values = [env[value] for value in initial]
            if any(isinstance(bound, Unknown) for bound in bounds):
                unknown = self._need(joined(bounds), "the length of a loop", place)
                counts = (unknown,)
            else:
                counts = range(bounds[0], bounds[1], max(1, bounds[2]))
            for count in counts:
                env[counter] = count
                env.update(zip(carried, values, strict=True))
                values = run(env)
            env.update(zip(results, values, strict=True))

        return step

    def _scf_while(self, op) -> Step:
        before, after = (region.blocks[0] for region in op.regions)
        check, body = self._block(before), self._block(after)
        initial, results, place = list(op.operands), list(op.results), op.location

        def step(env):
            values = [env[value] for value in initial]
            while True:
                env.update(zip(before.arguments, values, strict=True))
                go_on, *passed = check(env)
                known = not isinstance(go_on, Unknown)
                if known and not go_on:
                    break
                if not known:
                    self._need(go_on, "the length of a loop", place)
                env.update(zip(after.arguments, passed, strict=True))
                values = body(env)
                if not known:
                    passed = [of_type(r.type, DATA) for r in results]
                    break
            env.update(zip(results, passed, strict=True))

        return step

    def _scf_if(self, op) -> Step:
        condition, results, place = op.operands[0], list(op.results), op.location
        branches = [self._block(region.blocks[0]) if len(region.blocks) else None for region in op.regions]

        def step(env):
            chosen = env[condition]
            if isinstance(chosen, Unknown):
                self._need(chosen, "a branch", place)
            run = branches[0] if isinstance(chosen, Unknown) or chosen else branches[1]
            values = run(env) if run else []
            if isinstance(chosen, Unknown):
                values = [v if isinstance(v, View | Shape) else DATA for v in values]
            env.update(zip(results, values, strict=True))

        return step

    def _func_call(self, op) -> Step:
        callee = self._functions.get(op.attributes["callee"].value)
        if callee is None:
            return self._other(op)
        block = callee.regions[0].blocks[0]
        run, operands, results = self._block(block), list(op.operands), list(op.results)

        def step(env):
            env.update(zip(block.arguments, [env[v] for v in operands], strict=True))
            env.update(zip(results, run(env), strict=True))

        return step

    def _need(self, unknown: Unknown, what: str, place) -> Unknown:
        """Arguments without a value are an error; what depends on data alone is noted."""
        where = place_of(place)
        line = f" ({where.filename}:{where.line})" if where and where.filename.endswith(".py") else ""
        if unknown.names:
            names = sorted(unknown.names)
            others = sorted(self._missing - unknown.names)
            also = f"; nor {_have(others)} {', '.join(others)}" if others else ""
            raise ConfigError(
                f"kernel {self.kernel_name}: {what}{line} depends on {', '.join(names)}, "
                f"which {_have(names)} no value{also}",
                fix=f"add --args '{','.join(f'{name}=...' for name in [*names, *others])}'",
            )
        how = {"the length of a loop": "the loop is counted once", "a branch": "it is counted as taken"}
        self.notes[f"{what}{line} depends on data: {how.get(what, 'all of it is counted')}"] = None
        return unknown

    # --- Arithmetic on blocks ----------------------------------------------------------------

    def _linalg_generic(self, op) -> Step:
        body = body_of(op, self._computes)
        inner = op.regions[0].blocks[0]
        has_memory = any(
            v.operation.regions or v.operation.name.startswith("memref.") for v in inner.operations
        )
        run = self._block(inner) if has_memory else None
        operands, results = list(op.operands), list(op.results)
        maps = [ir.AffineMapAttr(m) for m in ir.ArrayAttr(op.attributes["indexing_maps"])]
        places = _places([m.value if hasattr(m, "value") else ir.AffineMap(m) for m in maps])
        inputs = len(operands) - _outputs(op)

        def step(env):
            shapes = [_sizes(env[value]) for value in operands]
            domain = tuple(self._size(shapes[i][j]) for i, j in places)
            count = math.prod(domain)
            if body.types:
                found = self.products.setdefault(body.types, [0, (), -1])
                found[0] += 2 * count
                if count > found[2]:
                    found[1:] = domain, count
            self.operations += body.operations * count
            self.results += body.results * count
            self.bits += body.bits * count
            for number, value in enumerate(operands):
                self._move(env[value], "read" if number < inputs else "written")
            if run:
                times = env.get("times", 1)
                env.update((a, DATA) for a in inner.arguments)
                env["times"] = times * count
                run(env)
                env["times"] = times
            for number, result in enumerate(results):
                env[result] = env[operands[inputs + number]]

        return step

    def _linalg_index(self, op) -> Step:
        result = op.results[0]
        return lambda env: env.__setitem__(result, DATA)


def _have(names) -> str:
    return "has" if len(names) == 1 else "have"


def _outputs(op) -> int:
    return list(ir.DenseI32ArrayAttr(op.attributes["operandSegmentSizes"]))[1]


def _places(maps) -> list[tuple[int, int]]:
    """For every loop (operand, dimension) whose size is the loop's length."""
    found: dict[int, tuple[int, int]] = {}
    for operand, affine in enumerate(maps):
        for dimension, expression in enumerate(affine.results):
            if isinstance(expression, ir.AffineDimExpr):
                found.setdefault(expression.position, (operand, dimension))
    return [found[loop] for loop in range(maps[0].n_dims)] if maps else []


def _sizes(value) -> tuple:
    return value.sizes if isinstance(value, View | Shape) else ()


def _binary(op, function) -> Step:
    left, right = op.operands
    result = op.results[0]

    def step(env):
        a, b = env[left], env[right]
        env[result] = function(a, b) if type(a) is int and type(b) is int else joined((a, b))

    return step
