"""How fast one core of this machine is, measured."""

import ctypes
import functools
import os
from pathlib import Path

from vertebra.core import toolchain
from vertebra.core.llvm import host_cpu
from vertebra.core.target import Throughput

_BYTES = 128 << 20  # more than the caches of most machines


@functools.cache
def measured() -> Throughput:
    """Takes about 0.15 s; a machine that is busy with something else seems slower than it is.

    Rates per cycle are rounded to whole instructions, which they are where nothing disturbs.
    """
    import numpy as np

    source = Path(__file__).parent / "throughput.c"
    # The name of the processor makes another machine with the same cache folder build its own.
    flags = ["-mcpu=native", "-ffp-contract=fast", f"-DVERTEBRA_CPU_{host_cpu()[0].replace('-', '_')}"]
    run = ctypes.CDLL(str(toolchain.build("throughput", [source], "so", flags=flags))).vertebra_throughput
    memory = np.ones(_BYTES // 4, np.float32)
    found = (ctypes.c_double * 6)()
    begin = memory.ctypes.data
    aligned = -(-begin // 64) * 64
    run(ctypes.c_void_p(aligned), ctypes.c_size_t(_BYTES - 4096), found)
    clock, issue, products, loads, stream, bits = found
    per_cycle = [max(1, round(rate / clock)) for rate in (issue, products, loads)]
    return Throughput(
        issue=per_cycle[0],
        vector_bits=per_cycle[1] * int(bits),
        loads=per_cycle[2],
        load_bits=per_cycle[2] * int(bits),
        memory=stream / 1e9,
        cores=len(os.sched_getaffinity(0)),
        cache=_last_cache(),
        clock=clock / 1e9,
        source="measured on one core just now, that of memory too",
    )


def _last_cache() -> int | None:
    """Bytes, None where the system does not tell."""
    try:
        return os.sysconf("SC_LEVEL3_CACHE_SIZE") or None
    except (ValueError, OSError):
        return None
