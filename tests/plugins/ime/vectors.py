"""Numbers for every form of instruction: registers before it and after it.

264 cases with random registers, boundary values, and the worked examples of SpacemiT's specification 0.6;
those on integers and layouts were made by two formulations in scalar code that agree.
Registers that are not listed do not matter before, and do not change.
"""

from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np

from vertebra.core.vector_state import VectorState
from vertebra.plugins.ime.semantics import BF16


@attrs.frozen
class Vector:
    core: str
    name: str
    form: str
    word: int
    before: VectorState
    after: np.ndarray


def vectors() -> Iterator[Vector]:
    """All of them; what no vector mentions is random."""
    random = np.random.default_rng(5)
    with np.load(Path(__file__).with_name("vectors.npz")) as file:
        data = dict(file)
    for core in sorted({key.split("/")[0] for key in data}):
        fields = {key.split("/")[1]: value for key, value in data.items() if key.startswith(f"{core}/")}
        for i, name in enumerate(fields["id"]):
            registers = random.integers(0, 256, (32, fields["before"].shape[1]), np.uint8)
            _place(registers, fields, "before", i)
            after = registers.copy()
            _place(after, fields, "after", i)
            before = VectorState(registers, int(fields["sew"][i]), BF16 if fields["bf16"][i] else "")
            yield Vector(
                core, f"{core}-{name}", str(fields["form"][i]), int(fields["word"][i]), before, after
            )


def _place(registers: np.ndarray, fields: dict, when: str, vector: int) -> None:
    places = fields[f"{when}_place"]
    chosen = places[:, 0] == vector
    registers[places[chosen, 1]] = fields[when][chosen]
