"""Which product a kernel of an engine computes, and on what operands."""

import attrs

from vertebra.core.mlir import ir
from vertebra.core.target import PanelKernel
from vertebra.lowering.linalg_to_vector.element_range import element_range
from vertebra.lowering.linalg_to_vector.micro_kernel import computing_type
from vertebra.lowering.linalg_to_vector.operations import producer
from vertebra.lowering.linalg_to_vector.panel_operands import bits_of

_BYTE = 8
_EXTENSIONS = {"arith.extsi": "signed", "arith.extui": "unsigned", "arith.extf": "float"}


@attrs.frozen
class Job:
    """A product that an engine takes.  a, b: operands in the kernel's own types."""

    kernel: PanelKernel
    a: object
    b: object


def job_of(kernels: tuple[PanelKernel, ...], op) -> Job | None:
    """The first kernel that computes `op` exactly, on operands as narrow as it takes them."""
    a, b, acc = op.operands
    type = str(computing_type(acc.type.element_type))
    cast = "unsigned" if "cast" in op.attributes and "unsigned" in str(op.attributes["cast"]) else "signed"
    for kernel in kernels:
        if kernel.acc != type:
            continue
        left, right = as_kind(a, cast, kernel.a), as_kind(b, cast, kernel.b)
        if left is not None and right is not None:
            return Job(kernel, left, right)
    return None


def as_kind(value, cast: str, kind: str):
    """The tensor of elements of `kind` whose extension is `value`; None without one.

    Elements of fewer than 8 bits are held in bytes.
    """
    op, sign, unsigned = producer(value), cast, kind.startswith("u")
    bits = bits_of(kind)
    held = kind.removeprefix("u") if bits >= _BYTE else f"i{_BYTE}"
    if str(value.type.element_type) != held and op is not None and op.name in _EXTENSIONS:
        value, sign = op.operands[0], _EXTENSIONS[op.name]
    element = value.type.element_type
    if str(element) != held:
        return None
    if isinstance(element, ir.FloatType):
        return value
    if bits >= _BYTE:
        return value if (sign == "unsigned") == unsigned else None
    low, high = element_range(value)
    if unsigned:
        return value if low >= 0 and high < 1 << bits else None
    half = 1 << (bits - 1)
    return value if sign == "signed" and -half <= low and high < half else None
