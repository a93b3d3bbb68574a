"""How many wavefronts the banks of a memory need for what a group of threads accesses at once."""

from vertebra.core.layout.linear import rank
from vertebra.core.layout.operand import Banks


def wavefronts(addresses, width: int, banks: Banks, group: int = 32) -> int:
    """Wavefronts per group of threads, of the group that needs most, by counting.

    addresses: bytes, an integer array (accesses, threads).  width: bytes per thread and access.
    A phase takes as many wavefronts as its fullest bank has different words.
    """
    import numpy as np

    accesses, threads = addresses.shape
    lanes = min(group, threads)
    together = max(1, min(lanes, banks.row // max(width, banks.bytes)))
    pad = -threads % lanes
    if pad:  # idle lanes of the last group repeat its first one's address, which costs nothing
        addresses = np.concatenate([addresses, np.repeat(addresses[:, -1:], pad, 1)], 1)
    if lanes % together:
        together = 1
    words = addresses.reshape(accesses, -1, lanes // together, together, 1) // banks.bytes
    words = words + np.arange(max(1, width // banks.bytes))
    phases = np.sort(words.reshape(-1, words.shape[-2] * words.shape[-1]), 1)
    new = np.ones(phases.shape, bool)
    new[:, 1:] = phases[:, 1:] != phases[:, :-1]
    which = np.broadcast_to(np.arange(len(phases))[:, None] * banks.count, phases.shape)
    filled = np.bincount((which + phases % banks.count)[new], minlength=len(phases) * banks.count)
    per_phase = filled.reshape(-1, banks.count).max(1)
    return int(per_phase.reshape(accesses, -1, lanes // together).sum((0, 2)).max())


def ways(lane_columns, width: int, banks: Banks) -> int:
    """Ways of the conflict inside one phase, from the lanes' columns over GF(2) (byte addresses).

    2 ** (lanes - rank of their columns on the bank bits), for lanes that access different words.
    lane_columns: the address each lane bit contributes, lowest first, as many as a phase has.
    """
    low = max(width, banks.bytes).bit_length() - 1
    high = banks.row.bit_length() - 1
    mask = ((1 << high) - 1) >> low << low
    together = max(1, banks.row // max(width, banks.bytes)).bit_length() - 1
    columns = tuple(lane_columns)[:together]
    distinct = rank(c >> low for c in columns)
    return 1 << (distinct - rank(c & mask for c in columns))
