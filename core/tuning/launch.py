"""A compiled kernel with its arguments, and what the roofline predicts of it."""

import functools

import attrs

from vertebra.core import bounds
from vertebra.core.pipeline import Options
from vertebra.core.roofline.model import Prediction
from vertebra.core.runtime import Binary
from vertebra.core.target import Core

# Operations of a launch that are followed: a tenth of a second, of which there may be many.
_BUDGET = 60_000


@attrs.frozen(eq=False)
class Launch:
    """names: of the run-time arguments, in slot order.  args: their values; of hidden ones none.

    ttir, llir: the kernel at these stages.
    """

    binary: Binary
    grid: tuple[int, int, int]
    args: tuple
    names: tuple[str, ...]
    ttir: str
    llir: str
    options: Options

    @property
    def visible(self) -> tuple[str, ...]:
        """The types of `args`."""
        return self.binary.signature[: len(self.args)]

    def numbers(self) -> dict[str, int]:
        """The integers among the arguments."""
        return {
            name: int(value)
            for name, kind, value in zip(self.names, self.visible, self.args, strict=True)
            if kind.startswith(("i", "u"))
        }

    def predict(self) -> Prediction:
        """Raises ConfigError where core or arguments do not say enough; CompileError, BackendError."""
        names = self.names
        if self.binary.bounds:
            names = (*names, *bounds.hidden_names(self.visible, self.names))
        texts = (self.ttir, self.llir, self.options)
        return _predicted(
            self.binary.name, self.binary.core, texts, names, self.grid, tuple(self.numbers().items())
        )


@functools.lru_cache(maxsize=64)
def _predicted(kernel: str, core: Core, texts, names: tuple[str, ...], grid, values) -> Prediction:
    from vertebra.core.roofline.analysis import analyse

    ttir, llir, options = texts
    return analyse(
        ttir,
        core,
        options,
        kernel=kernel,
        names=names,
        values=dict(values),
        grid=grid,
        llir=llir,
        budget=_BUDGET,
    )
