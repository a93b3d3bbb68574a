"""What the lines of x86-64 (AT&T notation) and AArch64 assembler text do."""

import re
from collections.abc import Callable

import attrs

from vertebra.core.roofline.machine_code import Kind
from vertebra.core.target import Core

# --- x86-64 ----------------------------------------------------------------------------------
_REGISTER = re.compile(r"%([xyz])mm\d")
_WIDTH = {"x": 128, "y": 256, "z": 512}
_MOVE = re.compile(
    r"v?p?(mov|broadcast|extract|mask?mov|scatter|gather|compress|expand)\w*|k?mov\w*|p(ush|op)\w*"
)
_TO_MEMORY = re.compile(r"(v?p?(mov|extract|compress|scatter)|mov|set|push|vcvtps2ph|vpmov)\w*")
_READS_ONLY = re.compile(r"cmp\w*|test\w*|v?u?comis[sd]|vptest\w*|bt\w?")
_X86_PRODUCT = re.compile(r"vfn?m(add|sub)\d+p[sdh]|vpdp\w+|vdpbf16ps|vpmadd\w+|tdp\w+")

# --- AArch64 ---------------------------------------------------------------------------------
_VECTOR = re.compile(r"\b(?:(v|z)\d+\.|q\d+\b)")
_ARM_PRODUCT = re.compile(r"f?ml[as]l?\w*|fml[as]|[us]{1,2}u?dot|usdot|sudot|bfdot|\w*mmla|bfml\w+")


@attrs.frozen
class HostReader:
    """read: (mnemonic, operands) -> what they do."""

    read: Callable[[str, str], tuple[Kind, int]]

    def word(self, operands: str) -> int | None:
        return None


def reader(core: Core) -> HostReader:
    """Of the machine's architecture; of one that is not known, nothing but its text."""
    known = {"x86_64": _read_x86, "aarch64": _read_arm}
    return HostReader(known.get(core.arch, lambda mnemonic, operands: (Kind.OTHER, 0)))


def _read_x86(mnemonic: str, operands: str) -> tuple[Kind, int]:
    if mnemonic.startswith("j"):
        if "*" in operands:
            return Kind.LEAVE, 0
        return (Kind.JUMP if mnemonic == "jmp" else Kind.BRANCH), 0
    if mnemonic.startswith(("ret", "ud2")):
        return Kind.LEAVE, 0
    bits = max((_WIDTH[letter] for letter in _REGISTER.findall(operands)), default=0)
    kind = Kind.OTHER
    if "(" in operands and not mnemonic.startswith(("lea", "nop", "prefetch")):
        written = operands.rstrip().endswith((")", "}")) and _last(operands).find("(") >= 0
        if not written or _READS_ONLY.fullmatch(mnemonic):
            kind = Kind.LOAD
        elif _TO_MEMORY.fullmatch(mnemonic):
            kind = Kind.STORE
        else:
            kind = Kind.LOAD | Kind.STORE
    if bits and not _MOVE.fullmatch(mnemonic):
        kind |= Kind.VECTOR
        if _X86_PRODUCT.fullmatch(mnemonic):
            kind |= Kind.MULTIPLY_ADD
    return kind, bits


def _last(operands: str) -> str:
    """The last operand; commas inside of brackets part none."""
    depth = 0
    for place in range(len(operands) - 1, -1, -1):
        depth += (operands[place] == ")") - (operands[place] == "(")
        if operands[place] == "," and not depth:
            return operands[place + 1 :]
    return operands


def _read_arm(mnemonic: str, operands: str) -> tuple[Kind, int]:
    if mnemonic == "b":
        return Kind.JUMP, 0
    if mnemonic.startswith("b.") or mnemonic in ("cbz", "cbnz", "tbz", "tbnz"):
        return Kind.BRANCH, 0
    if mnemonic in ("ret", "br", "brk"):
        return Kind.LEAVE, 0
    registers = len(_VECTOR.findall(operands.partition("[")[0]))
    if mnemonic.startswith("ld"):
        return Kind.LOAD, 128 * registers
    if mnemonic.startswith("st"):
        return Kind.STORE, 128 * registers
    if not registers or mnemonic in ("mov", "fmov", "dup", "umov", "movi", "movprfx"):
        return Kind.OTHER, 128 * bool(registers)
    product = Kind.MULTIPLY_ADD if _ARM_PRODUCT.fullmatch(mnemonic) else Kind.OTHER
    return Kind.VECTOR | product, 128
