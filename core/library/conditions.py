"""What a specialisation assumes of a launch, as a test in C and as words."""

import ast
from collections.abc import Mapping, Sequence

import attrs

from vertebra.core.abi import scalar_bits
from vertebra.core.errors import ConfigError
from vertebra.core.header import field_name

# The type of a field that chooses among constants.
SELECTOR = "selector"
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_ARITHMETIC = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
_FLOOR = {ast.FloorDiv: "vertebra_floor_div", ast.Mod: "vertebra_floor_mod"}
_LEGAL = "integer arguments and constants, whole numbers, + - * // %, comparisons, and, or, not"


@attrs.frozen
class Need:
    """test: an expression in C over `args`, the struct.  words: the same for people; of a need of a single
    field, what stands behind its name.  shown: the fields whose values explain why it does not hold."""

    test: str
    words: str
    shown: tuple[str, ...]
    of_field: bool = False

    @property
    def text(self) -> str:
        return f"{self.shown[0]} {self.words}" if self.of_field else self.words


def together(needs: Sequence[Need]) -> str:
    """All needs in words, fields that need the same side by side."""
    groups: dict[str, list[str]] = {}
    for need in needs:
        groups.setdefault(need.words, []).extend(need.shown if need.of_field else ())
    return "; ".join(f"{', '.join(names)} {words}" if names else words for words, names in groups.items())


def is_integer(kind: str) -> bool:
    """Whether a field of this type is a whole number in C."""
    return kind == SELECTOR or kind[0] in "iu"


def multiple(name: str, kind: str) -> Need:
    """`name`, an address or integer, is a multiple of 16."""
    place = f"args->{field_name(name)}"
    test = f"((uintptr_t){place} & 15) == 0" if kind.startswith("*") else f"{place} % 16 == 0"
    return Need(test, "to be a multiple of 16", (name,), of_field=True)


def equal(name: str, kind: str, value: object, kernel: str) -> Need:
    """`name` of type `kind` is `value`.  Raises ConfigError where C cannot compare these."""
    place = f"args->{field_name(name)}"
    if kind.startswith("*") and value is None:
        return Need(f"{place} == NULL", "to be NULL", (name,), of_field=True)
    if not isinstance(value, int | float) or kind.startswith("*"):
        raise ConfigError(
            f"kernel {kernel}: {name} is {kind} in one specialisation and {value!r} in another",
            fix='give every specialisation a type for it, or make them kernels of their own (name = "...")',
        )
    if is_integer(kind):
        literal = integer(int(value), kernel)
    elif kind in ("fp16", "bf16"):
        literal = f"{scalar_bits(kind, value):#x}"
    else:
        literal = f"({'double' if kind == 'fp64' else 'float'}){float(value)!r}"
    return Need(f"{place} == {literal}", f"to be {value}", (name,), of_field=True)


def integer(value: int, kernel: str) -> str:
    """A literal in C."""
    if not -(1 << 63) < value < 1 << 63:
        raise ConfigError(f"kernel {kernel}: {value} does not fit in 64 bits")
    return f"INT64_C({value})" if value >= 0 else f"(-INT64_C({-value}))"


def parse(text: str, fields: Mapping[str, str], constants: Mapping[str, object], kernel: str) -> Need:
    """The condition `text`, a Python expression over the integer `fields` and `constants`.

    It is reckoned in 64 bits, // and % as in Python.  Raises ConfigError, which says what is legal.
    """

    def refuse(what: str):
        known = ", ".join([*fields, *(name for name, v in constants.items() if isinstance(v, int))])
        return ConfigError(
            f"kernel {kernel}: when = {text!r}: {what}", fix=f"use {_LEGAL}; known are {known or 'no names'}"
        )

    shown: dict[str, None] = {}

    def spell(node: ast.AST) -> str:
        match node:
            case ast.BoolOp():
                word = " && " if isinstance(node.op, ast.And) else " || "
                return f"({word.join(map(spell, node.values))})"
            case ast.UnaryOp(op=ast.Not()):
                return f"!({spell(node.operand)})"
            case ast.UnaryOp(op=ast.USub()):
                return f"(-{spell(node.operand)})"
            case ast.Compare() if all(type(op) in _COMPARISONS for op in node.ops):
                sides = [spell(side) for side in (node.left, *node.comparators)]
                pairs = zip(sides, node.ops, sides[1:], strict=False)
                return f"({' && '.join(f'{a} {_COMPARISONS[type(op)]} {b}' for a, op, b in pairs)})"
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return f"({spell(node.left)} {_ARITHMETIC[type(node.op)]} {spell(node.right)})"
            case ast.BinOp() if type(node.op) in _FLOOR:
                if not (isinstance(node.right, ast.Constant | ast.Name) and _value(node.right, constants)):
                    raise refuse("what follows // and % has to be a number or constant other than 0")
                return f"{_FLOOR[type(node.op)]}({spell(node.left)}, {spell(node.right)})"
            case ast.Constant(value=int() as number):
                return integer(int(number), kernel)
            case ast.Name(id=name) if name in fields:
                shown[name] = None
                return f"(int64_t)args->{field_name(name)}"
            case ast.Name(id=name) if isinstance(constant := constants.get(name), int):
                return integer(int(constant), kernel)
        raise refuse(f"{ast.unparse(node)} cannot be used here")  # type: ignore[arg-type]

    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise refuse(error.msg) from None
    test = spell(tree.body)
    known = {name: v for name, v in constants.items() if name not in fields and isinstance(v, int)}
    return Need(test, ast.unparse(_Filled(known).visit(tree)), tuple(shown))


def _value(node, constants: Mapping[str, object]):
    return node.value if isinstance(node, ast.Constant) else constants.get(node.id)


class _Filled(ast.NodeTransformer):
    """Constants replaced by their values."""

    def __init__(self, constants: Mapping[str, object]):
        self.constants = constants

    def visit_Name(self, node):
        return ast.Constant(self.constants[node.id]) if node.id in self.constants else node
