"""How a builtin of Triton leaves an operation that Triton's IR does not have."""

from collections.abc import Mapping
from typing import Any

from vertebra.lowering.operation_calls import encode


def leave_call(generator, operation: str, operands: Mapping[str, Any], results=(), attributes=None) -> list:
    """Leaves a call that stands for `operation` where Triton's code generator stands.

    generator: the `_generator` of a Triton builtin.  operands: field -> IR handle, or a list
    of them.  results: IR types.  attributes: name -> Python value.
    Returns the handles of the results.
    """
    builder, module = generator.builder, generator.module
    handles = [h for value in operands.values() for h in (value if isinstance(value, list) else [value])]
    inputs = [h.get_type() for h in handles]
    types = f"{[str(t) for t in inputs]} -> {[str(t) for t in results]}"
    name = encode(operation, operands, attributes or {}, types)
    if not module.has_function(name):
        # A builder without an insertion point, so that the declaration lands in the module only.
        detached = type(builder)(generator.context)
        kind = builder.get_function_ty(inputs, list(results))
        module.push_back(detached.get_or_insert_function(module, name, kind, "private", False))
    call = builder.call(module.get_function(name), handles)
    return [call.get_result(i) for i in range(len(results))]
