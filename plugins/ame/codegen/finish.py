"""Sums on their way from accumulators to memory: steps on the unit, a narrower type, and the store."""

import struct

from vertebra.core.target import Finish
from vertebra.plugins.ame.codegen.product import Lines
from vertebra.plugins.ame.codegen.registers import Plan, finishing
from vertebra.plugins.ame.geometry import Geometry
from vertebra.plugins.ame.types import FP32, NAMED, Type

# Step -> the instruction on a number, and on a register.
_SCALAR = {"add": "madd.ew.x", "scale": "mmul.ew.x", "max": "mmax.ew.x", "min": "mmin.ew.x"}
_REGISTER = {"add": "madd.ew", "scale": "mmul.ew"}
_ROUND = {"floor": "mfrintm.ew", "ceil": "mfrintp.ew", "trunc": "mfrintz.ew", "round": "mfrintn.ew"}
# Extremes that prefer numbers to NaN: the comparison (number, sums) that keeps the sums.
_PREFERRING = {"maxnum": "mcmplt.ew.x", "minnum": "mcmpge.ew.x"}
_MATRICES = ("f32", "f16", "bf16")  # the types of matrices that meet the sums
_STEPS = frozenset({*_SCALAR, *_ROUND, *_PREFERRING, "relu"}) | {
    f"{name} {what}" for name in _REGISTER for what in ("row", "column", *_MATRICES)
}
_MOST_INPUTS = 10  # X registers that steps take


def finishes(g: Geometry, kinds: tuple[Type, Type], acc: Type, names: tuple[str, ...], element: str) -> int:
    """How many tiles the unit finishes together by these steps, from sums of type `acc`; 0 if it does not.

    Without registers to finish sums in they are stored as they are; narrow types leave in whole
    registers, several tiles side by side.
    """
    if g.pack(acc.bits) > 1:
        return 0
    if not names and NAMED.get(element) == acc:
        return 1
    found = finishing(g, kinds, acc)
    convert = names[:1] == ("convert",)
    names = names[convert:]
    inputs = sum(len(_inputs(name)) for name in names)
    known = set(names) <= _STEPS and inputs <= _MOST_INPUTS and (element == "f32" or element in found)
    beside = _together(g, names, element) if found and known and convert != acc.float else 0
    spare = g.m - found["sums"] - beside if beside else 0  # registers for what becomes f32
    enough = spare >= _widest(g, names) or _widest(g, names) == 1
    return beside if beside <= g.acc and enough else 0


def _widest(g: Geometry, names: tuple[str, ...]) -> int:
    """Tiles of the narrowest matrix that meets the sums in one register."""
    kinds = [name.partition(" ")[2] for name in names]
    return max((g.pack(NAMED[kind].bits) for kind in kinds if kind in _MATRICES), default=1)


def _together(g: Geometry, names: tuple[str, ...], element: str) -> int:
    """Tiles that are finished together: as many as the narrowest type has in a register."""
    return max(g.pack(NAMED[element].bits), _widest(g, names))


def _inputs(name: str) -> tuple[str, ...]:
    """What of a step an X register holds, if not a constant number."""
    what = name.partition(" ")[2]
    return ("at", "stride") if what in _MATRICES else ("at",) if what else ("number",)


def finish(
    g: Geometry, plan: Plan, kinds: tuple[Type, Type], acc: Type, finish: Finish
) -> tuple[Lines, list]:
    """The sums go to where `finish` says.  The lines, and the values of their inputs."""
    made = _Finish(g, plan, finishing(g, kinds, acc), acc, finish)
    return made.lines, made.values


class _Finish:
    def __init__(self, g: Geometry, plan: Plan, found: dict[str, int], acc: Type, finish: Finish):
        self.g, self.plan, self.found, self.acc, self.finish = g, plan, found, acc, finish
        self.values = [finish.address, finish.stride]
        inputs = ["out", "stride"]
        for number, (name, value) in enumerate(finish.steps):
            given = value if isinstance(value, tuple) else (value,)
            if value is not None and not isinstance(value, float):
                inputs += [f"{what}{number}" for what in _inputs(name)]
                self.values += given
        self.lines = Lines(("at", "number", "spare"), tuple(inputs))
        count = _together(g, tuple(name for name, _ in finish.steps), finish.element)
        for i in range(plan.rows):
            for j in range(0, plan.columns, count):
                self._tiles(i, j, count)

    def _tiles(self, i: int, j: int, count: int) -> None:
        """Tiles (i, j), (i, j + 1) and so on, `count` of them."""
        steps, element = list(enumerate(self.finish.steps)), NAMED[self.finish.element]
        first, narrow = self.found.get("sums", self.plan.sums), element.bits < self.acc.bits
        convert = bool(steps) and steps[0][1][0] == "convert"
        if not steps and element == self.acc:
            first = self.plan.sums
        for s in range(count):
            to = self.found["whole"] if convert else first + s
            self.lines.unit("mmov.m.a", md=to, acc=i * self.plan.columns + j + s)
            if convert:
                self.lines.unit("mconv.ew", md=first + s, ms1=to)
        for number, (name, value) in steps[convert:]:
            self._step(number, name, value, i, j, range(first, first + count))
        for s in range(0, count, self.g.pack(element.bits)):
            out = first + s
            if narrow:
                out = self.found[self.finish.element]
                self.lines.unit("mconv.ew", md=out, ms1=first + s)
            self._locate("out", "stride", i, j + s, element, self.finish.turned)
            name = "mss.tst" if self.finish.turned else "mss.st"
            self.lines.unit(name, ms1=out, rs1="at", rs2="stride")

    def _locate(self, base: str, stride: str, i: int, j: int, element: Type, turned: bool = False) -> None:
        """at = the address of tile (i, j) of a matrix that begins at `base`."""
        x, side = self.lines.x, self.g.n
        line, inner = (j, i) if turned else (i, j)
        if line:
            self.lines.write(f"li {x['number']}, {line * side}", f"mul {x['at']}, {x['number']}, {x[stride]}")
            self.lines.write(f"add {x['at']}, {x['at']}, {x[base]}")
            base = "at"
        self.lines.add("at", base, inner * side * element.bits // 8, "number")

    def _step(self, number: int, name: str, value, i: int, j: int, tiles: range) -> None:
        """One step on registers of sums in f32."""
        operation, _, what = name.partition(" ")
        if what:
            for s in range(0, len(tiles), self.g.pack(NAMED[what].bits) if what in _MATRICES else 1):
                met = self._met(number, what, i, j + s, tiles.stop)
                for at, other in enumerate(met):
                    sums = tiles.start + s + at
                    self.lines.unit(_REGISTER[operation], md=sums, ms1=other, ms2=sums)
        elif operation in _ROUND:
            for sums in tiles:
                self.lines.unit(_ROUND[operation], md=sums, ms1=sums)
        elif operation == "relu":
            for sums in tiles:
                self.lines.unit("mselge.ew", md=sums, ms1=sums, ms2=sums)
        else:
            self._with_number(operation, self._number(number, value), tiles)

    def _met(self, number: int, what: str, i: int, j: int, spare: int) -> range:
        """The registers with what meets tile (i, j), and those beside it that one register has.

        spare: the first register for what becomes f32.
        """
        row, address, stride = self.found["row"], f"at{number}", f"stride{number}"
        if what in ("row", "column"):  # a distance of 0 between lines spreads one over all
            place, name = (j, "mls.st") if what == "row" else (i, "mls.tst")
            self.lines.add("at", address, place * self.g.n * FP32.bits // 8, "number")
            self.lines.unit(name, md=row, rs1="at", rs2=0)
            return range(row, row + 1)
        kind = NAMED[what]
        loaded = row if kind == FP32 else self.found[what]
        self._locate(address, stride, i, j, kind)
        self.lines.unit("mls.st", md=loaded, rs1="at", rs2=stride)
        if kind == FP32:
            return range(row, row + 1)
        self.lines.unit("mconv.ew", md=spare, ms1=loaded)
        return range(spare, spare + self.g.pack(kind.bits))

    def _number(self, number: int, value) -> str:
        """The register that holds a step's number."""
        if not isinstance(value, float):
            return f"number{number}"
        (bits,) = struct.unpack("<I", struct.pack("<f", value))
        self.lines.write(f"li {self.lines.x['number']}, {bits:#x}")
        return "number"

    def _with_number(self, operation: str, given: str, tiles: range) -> None:
        if operation in _SCALAR:
            for sums in tiles:
                self.lines.unit(_SCALAR[operation], md=sums, rs1=given, ms2=sums)
            return
        row, whole = self.found["row"], self.found["whole"]
        self.lines.write(f"li {self.lines.x['spare']}, {FP32.code}")
        self.lines.unit("mbcast.m.x", md=row, rs1=given, rs2="spare")
        for sums in tiles:
            # All ones, which is less than zero, where the sums stay.
            self.lines.unit(_PREFERRING[operation], md=whole, rs1=given, ms2=sums)
            self.lines.unit("mcmovge.ew", md=sums, ms1=whole, ms2=row)
