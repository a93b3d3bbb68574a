"""Calls that stand for operations which a frontend's IR does not know.

The frontend declares a private function whose *name* carries an operation, what its
operands mean and its attributes, and calls it:

    tt.call @"xsmt.pack(src,offsets*2){\\22packed_size\\22: [8, 8]}#1f0a93c2"(%a, %i, %j) : ...

A call counts as having side effects, so order is kept and no clean-up drops it.  Names are
made here and read here; `calls_to_dialects` puts the operations in the place of the calls.
"""

import hashlib
import json
import re
from collections.abc import Mapping

import attrs

_NAME = re.compile(r"(\w+)\.([\w.]+)\(([\w,*]*)\)(\{.*\})#[0-9a-f]{8}", re.DOTALL)


@attrs.frozen
class OperationCall:
    """An operation as a function name tells it.

    dialect, operation: "xsmt", "pack".
    operands: (field, number of values) in the order of the call's arguments; None is a
        field of one value, a number one of a list.
    attributes: name -> Python value (numbers, booleans, text, None, lists of these).
    """

    dialect: str
    operation: str
    operands: tuple[tuple[str, int | None], ...]
    attributes: Mapping[str, object]

    def fields(self, arguments) -> dict[str, object]:
        """Field -> value or list of values, of the call's arguments."""
        found, at = {}, 0
        for field, count in self.operands:
            found[field] = arguments[at] if count is None else list(arguments[at : at + count])
            at += 1 if count is None else count
        assert at == len(arguments), (
            f"{self.dialect}.{self.operation} names {at} of {len(arguments)} operands"
        )
        return found


def encode(
    operation: str, operands: Mapping[str, object], attributes: Mapping[str, object], types: str
) -> str:
    """The name of the function that stands for `operation` ("xsmt.pack").

    operands: field -> a value, or a list of values.  types: text of the operands' and
    results' types; functions of different types get different names.
    """
    groups = ",".join(f"{f}*{len(v)}" if isinstance(v, list) else f for f, v in operands.items())
    digest = hashlib.sha256(types.encode()).hexdigest()[:8]
    return f"{operation}({groups}){json.dumps(dict(attributes), sort_keys=True)}#{digest}"


def decode(name: str) -> OperationCall | None:
    """What `encode` put into a function's name; None for every other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    groups = [group.partition("*") for group in found[3].split(",") if group]
    operands = tuple((field, int(count) if star else None) for field, star, count in groups)
    return OperationCall(found[1], found[2], operands, json.loads(found[4]))
