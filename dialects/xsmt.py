"""The `xsmt` dialect, complete: matrices in tiles, memory of a program's own, barriers, and hints.

from vertebra.dialects.xsmt import PackOp, Xsmt
"""

from vertebra.dialects.xsmt_barrier import *  # noqa: F403
from vertebra.dialects.xsmt_matrix import *  # noqa: F403
from vertebra.dialects.xsmt_memory import *  # noqa: F403
from vertebra.dialects.xsmt_types import *  # noqa: F403
