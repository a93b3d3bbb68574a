"""What has no vector form: one element after the other, in row-major order."""

from vertebra.lowering.linalg_to_vector.access import shape_of
from vertebra.lowering.linalg_to_vector.elementwise import Scope, empty, stored_type, vector_nest
from vertebra.lowering.linalg_to_vector.evaluate import Evaluator
from vertebra.lowering.linalg_to_vector.lanes import Chunk, Uniform, create
from vertebra.lowering.linalg_to_vector.operations import is_tensor


def element_by_element(scope: Scope, op) -> list:
    """A parallel linalg.generic on tensors; returns its results as tensors in memory."""
    outs = [v for v in op.operands if is_tensor(v)][-len(op.results) :]
    shape = shape_of(outs[0])
    used = [bool(list(r.uses)) for r in op.results]
    inits = [
        empty(shape, stored_type(r.type.element_type)) for r, u in zip(op.results, used, strict=True) if u
    ]
    block = op.regions[0].blocks[0]

    def body(ev: Evaluator, idx: list[Chunk], carried: list) -> list:
        at = [ev.b.scalar(i) for i in idx]
        env = {}
        for value, argument, attr in zip(
            op.operands, block.arguments, op.attributes["indexing_maps"], strict=True
        ):
            if not list(argument.uses):
                continue
            chunk = (
                ev.at(value, [ev._affine(e, idx) for e in attr.value.results])
                if is_tensor(value)
                else Uniform(value)
            )
            env[argument] = ev.b.scalar(chunk)
        yielded = _clone_body(block, env, at)
        written, rest = [], iter(carried)
        for value, keep in zip(yielded, used, strict=True):
            if keep:
                tensor = next(rest)
                if value.type != tensor.type.element_type:
                    value = create("arith.extui", tensor.type.element_type, [value])
                written.append(create("tensor.insert", tensor.type, [value, tensor, *at]))
        return written

    filled = iter(vector_nest(scope, shape, 1, inits, body))
    results = []
    for result, keep in zip(op.results, used, strict=True):
        if not keep:
            results.append(None)
            continue
        tensor = next(filled)
        if tensor.type != result.type:
            tensor = create("arith.trunci", result.type, [tensor])
        results.append(tensor)
    return results


def _clone_body(block, env: dict, at: list) -> list:
    """Copies the operations of `block` here; returns what it yields."""
    for op in block.operations:
        op = op.operation
        if op.name == "linalg.yield":
            return [env.get(v, v) for v in op.operands]
        if op.name == "linalg.index":
            env[op.results[0]] = at[int(op.attributes["dim"])]
            continue
        copy = op.clone()
        _replace_operands(copy, env, at)
        env.update(zip(op.results, copy.results, strict=True))
    return []


def _replace_operands(op, env: dict, at: list) -> None:
    for i, operand in enumerate(op.operands):
        if operand in env:
            op.operands[i] = env[operand]
    for region in op.regions:
        for block in region.blocks:
            for inner in list(block.operations):
                inner = inner.operation
                if inner.name == "linalg.index":
                    inner.results[0].replace_all_uses_with(at[int(inner.attributes["dim"])])
                    inner.erase()
                else:
                    _replace_operands(inner, env, at)
