"""The `proton` dialect: scopes inside of kernels, for Triton's own profiler."""

from vertebra.core.attributes import BoolAttr, StrAttr
from vertebra.core.dialect import Dialect


class Proton(Dialect, name="proton"):
    """What `enter_scope` and `exit_scope` of `triton.profiler.language` leave in a kernel."""


class RecordOp(Proton.Operation, name="record"):
    """The program enters scope `name` here, or leaves it where isStart is false.

    Source: the dialect Proton of triton-lang/triton, which writes `proton.record start "name"`.
    """

    isStart: BoolAttr
    name: StrAttr
