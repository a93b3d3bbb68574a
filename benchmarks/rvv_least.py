"""The least number of RISC-V vector instructions that a row kernel can take, item by item.

One operation covers at most eight registers, and so one instruction of each kind is counted for a
group of eight, under these rules of RVV 1.0:

- a load or store has its address in one register and no offset: each costs an addition besides;
- the added factor of a fused multiply-add is a vector.  Thirty-two registers hold four groups of
  eight, which a polynomial needs for its variable, its sum, the next coefficient and the exponent: no
  coefficient stays in a register, each is spread from a scalar register where it is added (one
  instruction); as factors, coefficients are scalar operands;
- a loop costs one branch a turn, of two groups; its counter is one of the addresses;
- what four groups do not hold is made again from what is in memory, if that is shorter than saving it.

Every row is one program.  What it does once is counted too: its number and addresses, the clamped
length of its unmasked part, the test for entering each loop and its masked rest, the end of each
loop's addresses, the reduction of the last group to one number, and its turn of the loop over programs.
"""

_LOAD = ("address", "load")
_STORE = ("address", "store")


def _count(*parts) -> int:
    """Instructions: names count one each, numbers as they are, tuples their items."""
    return sum(p if isinstance(p, int) else len(p) if isinstance(p, tuple) else 1 for p in parts)


def _loop(*parts) -> float:
    """Instructions of half a turn."""
    return _count(*parts) + 0.5


_BOUND = ("distance", "is it positive", "mask of that", "and")  # of the unmasked part, without min and max
_ENTRY = ("enter the loop?", "end address", "any rest?")
_ROW = ("number of the row", "times stride", "times element size")
_PROGRAM = ("next", "branch")
_TO_A_NUMBER = ("start value", "vector reduction", "to a scalar register")
_OVERLAP = ("distance", "less one", "branch")  # may the store run ahead of this load?


def softmax(exp: int) -> tuple[float, int]:
    """(instructions for a group, for a row).  exp: those of one exponential of a group."""
    group = (
        _loop(_LOAD, "maximum")
        + _loop(_LOAD, "subtract", exp, "sum", _STORE)
        + _loop(_LOAD, "divide", _STORE)
    )
    row = [_ROW, _ROW[1:], "input address", "output address", _BOUND, *[_ENTRY] * 3]
    row += ["first maxima", "first sums", _TO_A_NUMBER, _TO_A_NUMBER, _PROGRAM]
    return group, _count(*row)


def layer_norm() -> tuple[float, int]:
    """As `softmax`; every pass is a loop over blocks, of which a row of this size is one."""
    group = (
        _loop(_LOAD, "sum")
        + _loop(_LOAD, "subtract", "multiply", "sum")
        + _loop(_LOAD, _LOAD, _LOAD, "subtract", "scale", "weigh", "bias", _STORE)
    )
    passes = [(*_BOUND, "address", *_ENTRY, "next block", "branch")] * 3
    row = [_ROW, *passes, "weights", "biases", "output", *[_OVERLAP] * 3]
    row += ["first sums", _TO_A_NUMBER, "mean", "first squares", _TO_A_NUMBER]
    row += ["mean square", "add eps", "root", "reciprocal"]
    row += ["offset of the row's number", _STORE, _STORE, _PROGRAM]
    return group, _count(*row)


def gelu(erf: int) -> tuple[float, int]:
    """As `softmax`.  x / sqrt(2), the argument of erf, is needed four times: for the exponential, for the
    polynomial near 0, for that one's last step and the choice, and for the sign; x itself at the end.
    Beside a polynomial there is no room for either, so that three loads bring x back, with the product
    each time and once its absolute value: 7 instructions more.
    """
    again = 3 * ("load", "multiply") + ("absolute value",)
    group = _loop(_LOAD, "multiply", erf, "half", "add one", "multiply", _STORE, again)
    row = ["number of the block", "times its size", "input address", "output address"]
    return group, _count(*row, _BOUND, _ENTRY, _OVERLAP, _PROGRAM)


def of_function(name: str, lanes: int) -> int:
    """Instructions that the expansion of math function `name` takes on one vector of `lanes` lanes.

    Each operation is one, and each different constant that a fused multiply-add adds is one more.
    """
    from vertebra.core.context import context
    from vertebra.core.mlir import ir
    from vertebra.lowering.math_to_arith import expand_math

    text = (
        f"func.func @f(%x: vector<{lanes}xf32>) -> vector<{lanes}xf32> {{\n"
        f"%y = math.{name} %x : vector<{lanes}xf32>\nreturn %y : vector<{lanes}xf32>\n}}"
    )
    operations, addends = [], set()

    def visit(op):
        # A bitcast is none.
        if op.name.startswith(("arith.", "math.")) and op.name not in ("arith.constant", "arith.bitcast"):
            operations.append(op.name)
            if op.name == "math.fma" and op.operands[2].owner.name == "arith.constant":
                addends.add(str(op.operands[2].owner.attributes["value"]))
        return ir.WalkResult.ADVANCE

    with context(), ir.Location.unknown(context()):
        module = ir.Module.parse(text)
        expand_math(module.operation)
        module.operation.walk(visit)
    return len(operations) + len(addends)
