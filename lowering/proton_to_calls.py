"""proton.record -> a call of the service that every runtime has for it (core/native/services.h)."""

import json

from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir
from vertebra.dialects.proton import RecordOp
from vertebra.lowering.service_calls import call_service, program_of, text_address

SERVICE = "vertebra_record"


@pattern(RecordOp)
def record_to_call(op):
    """What is around it may still move: scopes bound what the compiler leaves inside of them."""
    i32 = ir.IntegerType.get_signless(32)
    # Records are lines of text (core/native/record.h).
    name = text_address(op, json.dumps(op.attributes["name"].value).encode() + b"\0")
    start = arith.constant(i32, int(op.attributes["isStart"].value))
    call_service(op, SERVICE, [name, start, *program_of(op)])
    return []


def lower_records(module, core=None, options=None) -> None:
    """Replaces every proton.record of `module`."""
    apply(module.operation, (record_to_call,))
