"""The assembler text of instructions, and of the region in which the unit is ours."""

from vertebra.plugins.ame.codegen import registers
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.instructions import CSRS, INSTRUCTIONS
from vertebra.plugins.ame.state import Grant
from vertebra.plugins.ame.types import FP32, Type

_WAIT = 1 | 3 << 2  # the descriptor of ame.acquire: wait for the longest bounded time
_TRIES = 1000


def instruction(name: str, **operands: int | str) -> str:
    """A line for any assembler; X registers may be given by a name that is filled in later, such as $0."""
    record = INSTRUCTIONS[name]
    word = record.encode(**{k: 0 if isinstance(v, str) else v for k, v in operands.items()})
    fields = {"d": f"x{word >> 7 & 31}", "a": f"x{word >> 15 & 31}", "b": f"x{word >> 20 & 31}"}
    for operand in record.operands:
        if isinstance(operands[operand.name], str):
            fields[operand.letter] = operands[operand.name]
    opcode, funct3, funct7 = word & 0x7F, word >> 12 & 7, word >> 25
    return f".insn r {opcode:#x}, {funct3}, {funct7:#x}, {fields['d']}, {fields['a']}, {fields['b']}"


# --- The region ----------------------------------------------------------------------------------

_SIDE, _WIDTH, _ACQUIRE = 1, 2, 2  # the numbers of failures; statuses of ame.acquire begin behind the last
_TYPES = _ACQUIRE + len(Grant)


def failures(g: Geometry, kinds: tuple[str, str], acc: str) -> tuple[str, ...]:
    """What may hinder a program from entering the region, by number; "{}" is the machine's own parameter."""
    product = f"{' and '.join(dict.fromkeys(kinds))} into {acc}"
    texts = {
        _SIDE: f"the matrix unit has squares of side {{}} (amenlen), this code is made for N = {g.n}",
        _WIDTH: f"the matrix unit has units of {{}} bits (ameudsz), this code is made for U = {g.u}",
        _TYPES: f"the matrix unit does not multiply {product} (amestatus)",
    }
    for status in Grant:
        if status:
            texts[_ACQUIRE + status] = (
                f"the matrix unit could not be acquired in {_TRIES} tries: ame.acquire says {status.words}"
            )
    return tuple(texts[number] for number in sorted(texts))


def enter(g: Geometry, kinds: tuple[Type, Type], acc: Type) -> str:
    """Checks the unit's parameters, acquires it, sets all types and tries one multiplication of zeros.

    Others have the unit for as long as a program of theirs runs, so it waits several times.
    $0 becomes 0, or tells the failure as `vertebra.core.target.Mode` says, with the unit as it was.
    """
    parameters = ((_SIDE, "amenlen", g.n), (_WIDTH, "ameudsz", g.u))
    lines = []
    for number, csr, value in parameters:
        lines += [f"csrr $0, {CSRS[csr]:#x}", f"addi $0, $0, -{value}", f"bnez $0, {number}f"]
    # The count and the answer are kept on the stack: there is but one register.
    lines += ["addi sp, sp, -16", f"li $0, {_TRIES}", "3: sd $0, 0(sp)"]
    lines += [f"li $0, {_WAIT}", instruction("ame.acquire", rd="$0", rs1="$0")]
    lines += [
        "addi $0, $0, -1",
        "beqz $0, 4f",
        "sd $0, 8(sp)",
        "ld $0, 0(sp)",
        "addi $0, $0, -1",
        "bnez $0, 3b",
    ]
    lines += ["ld $0, 8(sp)", "4: addi sp, sp, 16", "bnez $0, 5f"]
    found = registers.types(g, kinds, acc)
    for kind in dict.fromkeys(found.values()):
        lines.append(f"li $0, {kind.code}")
        lines += [instruction("msettyp", md=r, rs1="$0") for r, type in found.items() if type == kind]
    lines += [f"li $0, {FP32.code}", f"csrw {CSRS['amestype']:#x}, $0", f"li $0, {acc.code}"]
    lines += [instruction("asettyp", ad=number, rs1="$0") for number in range(g.acc)]
    lines.append(instruction("mmulbtacc.2d", acc=0, ms1=0, ms2=g.group(kinds[0].bits)))
    lines += [
        f"csrr $0, {CSRS['amestatus']:#x}",
        "beqz $0, 9f",
        instruction("ame.release"),
        f"li $0, {_TYPES}",
        "j 9f",
    ]
    for number, csr, _ in parameters:
        lines += [f"{number}: csrr $0, {CSRS[csr]:#x}", "slli $0, $0, 8", f"addi $0, $0, {number}", "j 9f"]
    lines += ["5: addi $0, $0, 1", "srli $0, $0, 1", f"addi $0, $0, {_ACQUIRE}"]
    return "\n".join([*lines, "9:"])


def leave() -> str:
    return instruction("ame.release")
