"""What the unit's instructions do, beside those of the core it is attached to."""

import attrs

from vertebra.core.roofline.machine_code import Kind, Reader
from vertebra.core.target import Core
from vertebra.plugins.ame.geometry import geometry_of
from vertebra.plugins.ame.instructions import INSTRUCTIONS

_MOVES = {"load": Kind.LOAD, "store": Kind.STORE}
_KINDS = {record.mnemonic: _MOVES.get(record.family, Kind.OTHER) for record in INSTRUCTIONS.values()}


@attrs.frozen
class UnitReader:
    """base: reads the core's own instructions.  Loads and stores of the unit move a whole matrix register."""

    core: Core
    base: Reader

    def read(self, mnemonic: str, operands: str) -> tuple[Kind, int]:
        kind = _KINDS.get(mnemonic)
        if kind is None:
            return self.base.read(mnemonic, operands)
        g = geometry_of(self.core.extensions)
        return kind, (0 if g is None or kind is Kind.OTHER else 8 * g.register_bytes)

    def word(self, operands: str) -> int | None:
        return self.base.word(operands)
