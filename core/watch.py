"""Following a kernel on its way: what is told of every pass and every stage."""

from collections.abc import Iterable


class Watch:
    """Does nothing; a subclass overrides what it wants to hear.

    Modules are only lent: the next pass changes them in place.
    """

    def passing(self, stage: str, name: str) -> None:
        """The pass `name`, on the way to `stage`, begins."""

    def passed(self, stage: str, name: str, seconds: float, module) -> None:
        """It has ended, and left `module`."""

    def reached(self, stage: str, result) -> None:
        """`stage` is complete: a module for the stages of MLIR, text for llir and asm, bytes for obj."""


class Watches(Watch):
    """Tells each of several."""

    def __init__(self, watches: Iterable[Watch]):
        self.watches = tuple(watches)

    def passing(self, stage, name):
        for watch in self.watches:
            watch.passing(stage, name)

    def passed(self, stage, name, seconds, module):
        for watch in self.watches:
            watch.passed(stage, name, seconds, module)

    def reached(self, stage, result):
        for watch in self.watches:
            watch.reached(stage, result)
