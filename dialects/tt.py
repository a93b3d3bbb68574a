"""The `tt` dialect, complete: Triton's own operations, types and enumerations.

from vertebra.dialects.tt import LoadOp, PtrType, Tt
"""

from vertebra.dialects.tt_control import *  # noqa: F403
from vertebra.dialects.tt_descriptor import *  # noqa: F403
from vertebra.dialects.tt_dot import *  # noqa: F403
from vertebra.dialects.tt_elementwise import *  # noqa: F403
from vertebra.dialects.tt_memory import *  # noqa: F403
from vertebra.dialects.tt_tensor import *  # noqa: F403
from vertebra.dialects.tt_types import *  # noqa: F403
