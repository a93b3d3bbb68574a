"""Between memory and matrix registers that whole instructions fill and store: which of their forms fits.

A form says which element of memory each element of a register is, up to the distance of lines, for which
the instruction takes a number.
"""

from typing import NamedTuple

from vertebra.core.layout.dtype import bits_of, encode
from vertebra.core.layout.errors import LayoutError
from vertebra.core.layout.layout import Layout
from vertebra.core.layout.operand import Operand
from vertebra.core.layout.plan import Plan, footprint, read, write
from vertebra.core.layout.registers import source_bytes
from vertebra.core.layout.symbol import Sym

STRIDE = Sym("stride")


class Form(NamedTuple):
    """load, store: mnemonics.  bits: of the elements it is for.  pattern: place in a register -> in memory.

    The pattern's strides may be multiples of STRIDE, from line to line.
    """

    load: str
    store: str
    bits: int
    pattern: Layout

    def stride_for(self, places) -> int | None:
        """The stride with which `places`, an int64 array, is the pattern from its first place on; or None."""
        steps, at = [], 1
        for size, step in self.pattern.flat_modes:
            if size > 1 and isinstance(step, Sym):
                one = step.bind({"stride": 1})
                steps.append((int(places[at] - places[0]), one))
            at *= size
        stride = steps[0][0] // steps[0][1] if steps else 0
        bound = self.pattern.bind(stride=stride) if steps else self.pattern
        same = len(places) == bound.size and (places - places[0] == bound.offsets()).all()
        return stride if same else None


class Transfers(NamedTuple):
    """One instruction per register.  bases: of each, in elements of memory; stride: in bytes."""

    source: Operand
    destination: Operand
    form: Form
    load: bool
    bases: tuple[int, ...]
    stride: int

    @property
    def text(self) -> tuple[str, ...]:
        name, register = (self.form.load, "t") if self.load else (self.form.store, "s")
        return tuple(f"{name} {register}{i}, base + {base}" for i, base in enumerate(self.bases))

    def execute(self, flat):
        """Bytes of memory, or of registers (registers, bytes), for the tile's elements by logical index."""
        import numpy as np

        bits = self.form.bits
        stride = self.stride * 8 // bits
        pattern = self.form.pattern.bind(stride=stride).offsets()
        inside, outside = (self.destination, self.source) if self.load else (self.source, self.destination)
        length = inside.space.bits // bits
        memory = np.zeros(footprint(outside, bits), np.uint8)
        if self.load:
            write(memory, outside.bit_addresses(bits), encode(flat, outside.dtype), bits)
            held = np.zeros((len(self.bases), inside.space.bits // 8), np.uint8)
            for i, base in enumerate(self.bases):
                found = read(memory, (base + pattern) * bits, bits, outside.dtype)
                write(held[i], np.arange(len(pattern)) * bits, found, bits)
            return held
        held = source_bytes(inside, flat).reshape(-1)
        for i, base in enumerate(self.bases):
            found = read(held, (i * length + np.arange(len(pattern))) * bits, bits, inside.dtype)
            write(memory, (base + pattern) * bits, found, bits)
        return memory


def transfer_plans(source: Operand, destination: Operand) -> list[Plan]:
    """One for each form that fits all registers.  Raises LayoutError where none does."""
    import numpy as np

    load = destination.space.kind == "vector"
    inside, outside = (destination, source) if load else (source, destination)
    bits = bits_of(inside.dtype)
    if source.dtype != destination.dtype:
        raise LayoutError(
            f"{source.dtype} to {destination.dtype} between memory and registers: converting takes registers",
            fix=f"convert to {destination.dtype} in registers" if not load else "load as it is, then convert",
        )
    at = inside.bit_addresses(bits) // bits
    order = at.argsort(kind="stable")
    length = inside.space.bits // bits
    places = (outside.bit_addresses(bits) // bits)[order]
    cuts = np.flatnonzero(np.diff(at[order] // length)) + 1
    registers = np.split(places, cuts)
    found = []
    for form in inside.space.transfers:
        if form.bits != bits:
            continue
        strides = {form.stride_for(each) for each in registers}
        if len(strides) != 1 or None in strides:
            continue
        body = Transfers(
            source, destination, form, load, tuple(int(x[0]) for x in registers), strides.pop() * bits // 8
        )
        count = len(registers)
        found.append(
            Plan(
                form.load if load else form.store,
                source,
                destination,
                body,
                instructions=count,
                cost=count,
                registers=count,
                bytes=0 if load else footprint(destination, bits),
            )
        )
    if not found:
        tried = [form.load if load else form.store for form in inside.space.transfers if form.bits == bits]
        raise LayoutError(
            f"no form of {inside.space.name} brings {source.name} to {destination.name}:"
            f" tried {', '.join(tried) or 'none'}",
            fix="copy it into rows (or columns) that are contiguous",
        )
    return found
