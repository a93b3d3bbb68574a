"""Choosing among configurations of a kernel: prediction, measurement, and results that are kept.

`session`: the order of steps.  `predict`, `pruning`: which configurations are worth a measurement.
`launch`, `job`, `bench`, `fleet`: measuring in a process of its own, here or on other machines.
`records`, `store`: results, and the file that keeps them.
"""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def over(client, *, seconds: float = 60.0) -> Iterator[None]:
    """Kernels that are tuned inside are measured on the workers of `client`, a `distributed.Client`.

    seconds: what one configuration may take.  A worker is a board or a machine with vertebra installed,
    and measures one configuration at a time.
    """
    from vertebra.core.tuning import fleet

    with fleet.used(fleet.Fleet(client, seconds=seconds)):
        yield
