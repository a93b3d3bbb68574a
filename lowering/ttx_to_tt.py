"""ttx -> tt: a running sum is a scan with an addition, a running product one with a multiplication."""

from vertebra.core.lower import apply, pattern
from vertebra.core.mlir import arith, ir
from vertebra.dialects import tt, ttx


@pattern(ttx.CumSumOp)
def cumsum_to_scan(op):
    return _scan(op, arith.AddIOp, arith.AddFOp)


@pattern(ttx.CumProdOp)
def cumprod_to_scan(op):
    return _scan(op, arith.MulIOp, arith.MulFOp)


def _scan(op, integers: type, floats: type) -> ir.Value:
    """What `outs` offers is not needed: bufferisation finds a place for the result."""
    scan = tt.ScanOp([op.src], op.axis.value, op.reverse.value, [op.result.type])
    element = op.src.type.element_type
    block = scan.operation.regions[0].blocks.append(element, element)
    combine = integers if isinstance(element, ir.IntegerType) else floats
    with ir.InsertionPoint(block):
        tt.ScanReturnOp([combine(*block.arguments).result])
    return scan.operation.results[0]


PATTERNS = (cumsum_to_scan, cumprod_to_scan)


def lower_scans(module, core=None, options=None) -> None:
    """Replaces the operations of ttx by those of tt."""
    apply(module.operation, PATTERNS)
